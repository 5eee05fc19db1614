"""Uploads in parts, by both clients, against the real service and against one that fails."""

import asyncio
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nmtune_client import (
    APIConnectionError,
    AsyncClient,
    Client,
    Dataset,
    RetryPolicy,
    ValidationError,
)
from nmtune_client._datasets import upload as _upload
from nmtune_client._datasets.upload_bar import UploadBar, upload_line

import migrations
from service.app import create_app
from service.settings import ServiceSettings
from store.queue import LocalQueue
from store.store import Store
from tests.support.http import Running, serve

PART_BYTES = 16_384


class Interrupted(Exception):  # noqa: N818  what a Ctrl-C is to the client
    pass


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    settings = ServiceSettings(
        data_dir=tmp_path_factory.mktemp("uploads") / "data", upload_part_bytes=PART_BYTES
    )
    settings.data_dir.mkdir()
    migrations.upgrade(f"sqlite:///{settings.data_dir / 'nmtune.db'}")
    store = Store.open(settings)
    app = create_app(
        settings, store=store, queue=LocalQueue(), expected_schema=migrations.head_revision()
    )
    with serve(app) as found:
        yield found
    store.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of ten parts that no other test has."""
    x = np.random.default_rng().standard_normal((1000, 40), dtype=np.float32)
    file = tmp_path / "my pets.npz"
    np.savez(file, train_x=x, train_y=np.arange(1000) % 2, class_names=np.array(["cat", "dog"]))
    return file


def interrupt_at(n_parts: int) -> Any:
    def interrupt(n_sent: int, _n_bytes: int) -> None:
        if n_sent >= n_parts * PART_BYTES:
            raise Interrupted

    return interrupt


def test_the_client_goes_on_where_it_was_interrupted(running: Running, path: Path) -> None:
    seen: list[tuple[int, int]] = []
    with Client(running.url) as client, pytest.raises(Interrupted):
        client.datasets.upload(path, resumable_bytes=0, progress=interrupt_at(4))
    with Client(running.url) as client:
        dataset = client.datasets.upload(
            path,
            resumable_bytes=0,
            keep_seconds=3600,
            progress=lambda n_sent, n_bytes: seen.append((n_sent, n_bytes)),
        )
        direct = client.datasets.upload(path)
    n_bytes = path.stat().st_size
    assert seen[0] == (4 * PART_BYTES, n_bytes)
    assert seen[-1] == (n_bytes, n_bytes)
    assert (dataset.name, dataset.sha256) == ("my-pets", direct.sha256)
    assert dataset.expires_at is not None
    assert direct.expires_at is None


def test_the_asynchronous_client_does_too(running: Running, path: Path) -> None:
    seen: list[int] = []

    async def upload() -> Dataset:
        async with AsyncClient(running.url) as client:
            with pytest.raises(Interrupted):
                await client.datasets.upload(path, resumable_bytes=0, progress=interrupt_at(3))
            dataset = await client.datasets.upload(
                path, resumable_bytes=0, progress=lambda n_sent, _: seen.append(n_sent)
            )
            kept = await client.datasets.keep(dataset.id, 60)
            assert kept.expires_at is not None
            return dataset

    dataset = asyncio.run(upload())
    assert seen[0] == 3 * PART_BYTES
    with Client(running.url) as client:
        assert client.datasets.upload(path).sha256 == dataset.sha256


def test_two_clients_send_one_file_together(running: Running, path: Path) -> None:
    """Each goes on from where the other has come; both get the dataset."""

    async def both() -> list[Dataset]:
        async with AsyncClient(running.url) as one, AsyncClient(running.url) as two:
            with pytest.raises(Interrupted):
                await one.datasets.upload(path, resumable_bytes=0, progress=interrupt_at(1))
            return list(
                await asyncio.gather(
                    *(
                        client.datasets.upload(path, resumable_bytes=0, name="together")
                        for client in (one, two)
                    ),
                    return_exceptions=False,
                )
            )

    one, two = asyncio.run(both())
    assert one.sha256 == two.sha256


def test_a_refused_file_is_not_sent_again(running: Running, tmp_path: Path) -> None:
    path = tmp_path / "pets.csv"
    lines = [f"{'cat' if n % 2 else 'dog'},{n}.25,{n % 7}" for n in range(5000)]
    path.write_text("\n".join(["species,dim_0,dim_1", *lines]))
    seen: list[int] = []
    with Client(running.url) as client:
        with pytest.raises(ValidationError):
            client.datasets.upload(path, resumable_bytes=0)
        dataset = client.datasets.upload(
            path, label="species", resumable_bytes=0, progress=lambda n, _: seen.append(n)
        )
    assert dataset.classes == ("cat", "dog") or dataset.classes == ("dog", "cat")
    assert seen == [path.stat().st_size]


STATE = {
    "id": "up_1",
    "size_bytes": 10,
    "received_bytes": 0,
    "part_bytes": 4,
    "sha256": "0" * 64,
}
DATASET = {"id": "ds_1", "name": "pets", "n_rows": 4, "n_columns": 2}


@pytest.fixture
def failing(server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A server with an empty list of uploads, and a file of ten bytes for it."""
    monkeypatch.setattr(_upload, "_PAUSES_SECONDS", (0.01, 0.01))
    server.on("GET", "/uploads", server.ok({"items": []}))
    server.on("POST", "/uploads", server.ok(STATE, status=201))
    server.on("POST", "/datasets", server.ok(DATASET, status=201))
    server.on("DELETE", "/uploads/up_1", type(server.DROP)(status=204))
    (tmp_path / "pets.npz").write_bytes(b"0123456789")
    return server


def stored_up_to(server: Any, offset: int) -> Any:
    return type(server.DROP)(status=204, headers={"Upload-Offset": str(offset)})


def test_a_part_that_failed_is_sent_again(failing: Any, tmp_path: Path) -> None:
    """One whose answer was lost is not: the server is asked how far it has come."""
    mismatch = failing.ok({"code": "checksum_mismatch", "status": 460}, status=460)
    failing.on(
        "PATCH", "/uploads/up_1",
        stored_up_to(failing, 4), failing.DROP, mismatch, stored_up_to(failing, 10),
    )  # fmt: skip
    failing.on("GET", "/uploads/up_1", failing.ok(STATE | {"received_bytes": 8}))
    with Client(failing.url, retry=RetryPolicy(tries=1)) as client:
        assert client.datasets.upload(tmp_path / "pets.npz", resumable_bytes=0).id == "ds_1"
    sent = [
        (part.headers["upload-offset"], part.body)
        for part in failing.seen("PATCH", "/uploads/up_1")
    ]
    assert sent == [("0", b"0123"), ("4", b"4567"), ("8", b"89"), ("8", b"89")]
    assert failing.seen("DELETE", "/uploads/up_1")
    assert failing.seen("POST", "/datasets")[0].query == {"upload": "up_1", "name": "pets"}


def test_an_upload_that_another_client_was_done_with_is_begun_again(
    failing: Any, tmp_path: Path
) -> None:
    gone = failing.ok({"code": "not_found", "status": 404}, status=404)
    failing.on("PATCH", "/uploads/up_1", stored_up_to(failing, 4), gone, stored_up_to(failing, 10))
    with Client(failing.url) as client:
        assert client.datasets.upload(tmp_path / "pets.npz", resumable_bytes=0).id == "ds_1"
    assert len(failing.seen("POST", "/uploads")) == 2


def test_a_file_that_changed_while_it_was_sent_is_forgotten(failing: Any, tmp_path: Path) -> None:
    """Else each later try would find the spoilt upload complete."""
    wrong = failing.ok({"code": "checksum_mismatch", "status": 422}, status=422)
    failing.on("PATCH", "/uploads/up_1", stored_up_to(failing, 10))
    failing.on("POST", "/datasets", wrong)
    with Client(failing.url) as client, pytest.raises(ValidationError):
        client.datasets.upload(tmp_path / "pets.npz", resumable_bytes=0)
    assert failing.seen("DELETE", "/uploads/up_1")


def test_a_server_that_stays_away_is_an_error(failing: Any, tmp_path: Path) -> None:
    failing.on("PATCH", "/uploads/up_1", failing.DROP)
    failing.on("GET", "/uploads/up_1", failing.ok(STATE))
    with (
        Client(failing.url, retry=RetryPolicy(tries=1)) as client,
        pytest.raises(APIConnectionError),
    ):
        client.datasets.upload(tmp_path / "pets.npz", resumable_bytes=0)
    assert len(failing.seen("PATCH", "/uploads/up_1")) == 3


def test_a_file_that_became_shorter_is_an_error(failing: Any, tmp_path: Path) -> None:
    path = tmp_path / "pets.npz"
    failing.on("PATCH", "/uploads/up_1", stored_up_to(failing, 4))

    def cut(n_sent: int, _n_bytes: int) -> None:
        if n_sent:
            path.write_bytes(b"0")

    with Client(failing.url) as client, pytest.raises(ValueError, match="was shortened"):
        client.datasets.upload(path, resumable_bytes=0, progress=cut)


def test_the_bar_says_how_far_and_how_long() -> None:
    line = upload_line(3 << 20, 4 << 20, n_before=1 << 20, elapsed_seconds=20)
    assert line == "[==================>     ]   75%  3.0 MiB of 4.0 MiB  ETA 0:10"
    assert "ETA" not in upload_line(4, 4, n_before=0, elapsed_seconds=1)


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (79, "[==================>     ]   75%  3.0 MiB of 4.0 MiB  ETA 0:10"),
        (40, " 75%  3.0 MiB of 4.0 MiB  ETA 0:10"),
        (20, " 75%  ETA 0:10"),
        (10, " 75%"),
    ],
)
def test_a_narrow_bar_leaves_out_what_matters_least(width: int, shown: str) -> None:
    line = upload_line(3 << 20, 4 << 20, n_before=1 << 20, elapsed_seconds=20, width=width)
    assert line == shown


def test_without_a_terminal_there_is_a_line_for_each_tenth() -> None:
    stream = io.StringIO()
    bar = UploadBar(stream)
    bar.begin(100, 1000)
    for n_sent in range(100, 1001, 10):
        bar.update(n_sent)
    bar.complete()
    lines = stream.getvalue().splitlines()
    assert lines[0].startswith("Resuming: the server already has 100 B of 1000 B")
    assert len(lines) == 1 + 10 + 1

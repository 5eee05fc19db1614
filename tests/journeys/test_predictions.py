"""The journey of a file: tune on real sentences' embeddings, predict a Parquet file, compare."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from nmtune_client import AsyncClient, Client, JobFailed, ValidationError, WaitTimeout

from tests.servers import fault_server
from tests.support.places import ROOT
from tests.support.processes import BRIEF_LEASE, Process, Site
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

EXAMPLE = ROOT / "examples" / "data" / "intents.npz"
QUICK: dict[str, Any] = {"seed": 1, "l2": 1.0}


@pytest.fixture(scope="module")
def x() -> np.ndarray[Any, Any]:
    """The example's test rows."""
    with np.load(EXAMPLE) as arrays:
        rows: np.ndarray[Any, Any] = arrays["test_x"].astype(np.float32)
        return rows


@pytest.fixture(scope="module")
def head(house: Process) -> str:
    with Client(house.url) as client:
        dataset = client.datasets.upload(EXAMPLE)
        job = client.jobs.create(
            name="intents", dataset=dataset, method="linear_probe", config=QUICK, alias="prod"
        )
        job.wait(timeout=200)
    return "intents@prod"


@pytest.fixture
def rows(tmp_path: Path, x: np.ndarray[Any, Any]) -> Path:
    path = tmp_path / "rows.parquet"
    ids = [f"u-{number}" for number in range(len(x))]
    pq.write_table(pa.table({"id": ids, "embedding": list(x)}), path)
    return path


def matrix(table: Any, name: str) -> np.ndarray[Any, Any]:
    values = table[name].combine_chunks().flatten().to_numpy()
    found: np.ndarray[Any, Any] = values.reshape(table.num_rows, -1)
    return found


def test_a_file_is_predicted_as_its_rows_are_bit_for_bit(
    client: Client, head: str, rows: Path, x: np.ndarray[Any, Any], tmp_path: Path
) -> None:
    out = client.predict_file(rows, head=head, to=tmp_path / "out.parquet", timeout=120)
    table = pq.read_table(out)
    asked = client.predict(head, x)
    assert matrix(table, "probabilities").tobytes() == asked.probabilities.tobytes()
    assert table["label"].to_pylist() == asked.labels.tolist()
    assert table["id"].to_pylist() == pq.read_table(rows)["id"].to_pylist()
    assert json.loads(table.schema.metadata[b"nmtune"])["classes"] == list(asked.classes)
    assert not [one for one in client.datasets.list() if not one.classes], "the rows are deleted"


def test_options_say_what_the_same_options_say_of_rows(
    client: Client, head: str, rows: Path, x: np.ndarray[Any, Any], tmp_path: Path
) -> None:
    options: dict[str, Any] = {"top_k": 2, "abstain_below": 0.6, "ood": True}
    out = client.predict_file(rows, head=head, to=tmp_path / "out.jsonl", timeout=120, **options)
    found = [json.loads(line) for line in out.read_text().splitlines()]
    asked = client.predict(head, x, **options)
    assert [one["label"] for one in found] == asked.labels.tolist()
    assert [one["top_labels"] for one in found] == [list(top) for top in asked.extras["top_labels"]]
    assert asked.is_ood is not None
    assert [one["is_ood"] for one in found] == asked.is_ood.tolist()


def test_the_command_line_does_it(house: Process, head: str, rows: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    command = [sys.executable, "-m", "nmtune_client._cli.main", "--url", house.url, "predict"]
    done = subprocess.run(
        [*command, str(rows), "--head", head, "--output", str(out), "--top-k", "2"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(out)
    header = out.read_text().splitlines()[0]
    assert header == (
        "id,label,probability,top_labels:1,top_labels:2,top_probabilities:1,top_probabilities:2"
    )
    wrong = subprocess.run(
        [*command, str(rows), "--head", head, "--output", "out.xlsx"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (wrong.returncode, ".parquet, .csv or .jsonl" in wrong.stderr) == (2, True)


def test_the_asynchronous_client_does_it_too(
    house: Process, head: str, rows: Path, tmp_path: Path
) -> None:
    async def journey() -> tuple[Path, Path]:
        async with AsyncClient(house.url) as client:
            first = await client.predict_file(rows, head=head, to=tmp_path / "a.csv")
            dataset = await client.datasets.upload(rows, unlabelled=True)
            job = await client.jobs.predict(dataset, head=head, format="csv")
            await job.wait(timeout=120)
            second = await job.output(tmp_path / "b.csv")
            await client.jobs.delete_output(job.id)
            return first, second

    first, second = asyncio.run(journey())
    assert first.read_bytes() == second.read_bytes()


def test_rows_whose_sender_does_not_wait_expire(
    client: Client, head: str, x: np.ndarray[Any, Any], tmp_path: Path
) -> None:
    many = tmp_path / "many.npy"
    np.save(many, np.tile(x, (100, 1)))
    with pytest.raises(WaitTimeout) as left:
        client.predict_file(many, head=head, to=tmp_path / "out.parquet", timeout=0.01)
    job = client.jobs.get(left.value.job.id)
    assert job.dataset_id is not None
    dataset = client.datasets.get(job.dataset_id)
    assert dataset.raw["expires_at"] is not None
    assert job.wait(timeout=120).status == "succeeded", "the job has what it needs"
    client.datasets.delete(dataset.id)


def test_wrong_files_say_what_to_do(
    client: Client, head: str, x: np.ndarray[Any, Any], tmp_path: Path
) -> None:
    wide = tmp_path / "wide.npy"
    np.save(wide, np.hstack([x, x]))
    with pytest.raises(ValidationError, match="columns, but the head") as refused:
        client.predict_file(wide, head=head, to=tmp_path / "out.parquet")
    assert refused.value.code == "width_mismatch"
    with pytest.raises(ValueError, match=r"\.parquet, \.csv or \.jsonl"):
        client.predict_file(wide, head=head, to=tmp_path / "out")
    dataset = client.datasets.upload(wide, unlabelled=True)
    with pytest.raises(ValidationError, match="no labels"):
        client.jobs.create(name="pets", dataset=dataset)
    assert not list(tmp_path.glob("out*")), "nothing is left of what failed"


def test_texts_are_embedded_by_the_heads_own_encoder_and_paid_for_once(tmp_path: Path) -> None:
    with fault_server.serving() as provider:
        host, port = provider.host
        site = Site(tmp_path)
        try:
            server = site.start(NMTUNE_PROVIDER_ALLOW_HOSTS=f"{host}:{port}")
            _predict_texts(server.client, provider, tmp_path)
        finally:
            site.close()
        assert not site.complaints()


def _predict_texts(client: Client, provider: fault_server.Server, folder: Path) -> None:
    learnt = [f"text {number}" for number in range(40)]
    client.jobs.create(
        name="texts",
        texts=learnt,
        labels=["a", "b"] * 20,
        provider={"name": "openai-compatible", "model": "toy", "base_url": provider.url},
        method="linear_probe",
        config=QUICK,
    ).wait(timeout=120)
    values = [*learnt[:3], "new 1", "new 2", "new 1"]
    path = folder / "texts.parquet"
    pq.write_table(pa.table({"id": range(6), "text": values}), path)
    before = len(provider.texts())
    outs = [
        client.predict_file(path, head="texts", to=folder / f"{at}.parquet", timeout=120)
        for at in range(2)
    ]
    paid = [text for text in provider.texts()[before:] if text in values]
    assert sorted(paid) == ["new 1", "new 2"], "once each, and nothing that was known"
    first, second = (pq.read_table(out) for out in outs)
    assert first.equals(second)
    asked = client.predict("texts", texts=values)
    assert matrix(first, "probabilities") == pytest.approx(asked.probabilities, abs=1e-6)
    assert first["id"].to_pylist() == [str(number) for number in range(6)]


def test_a_server_killed_in_the_middle_ends_with_one_output(
    tmp_path: Path, x: np.ndarray[Any, Any]
) -> None:
    site = Site(tmp_path)
    try:
        server = site.start(**BRIEF_LEASE)
        dataset = server.client.datasets.upload(EXAMPLE)
        server.client.jobs.create(
            name="intents", dataset=dataset, method="linear_probe", config=QUICK
        ).wait(timeout=200)
        many = tmp_path / "many.npy"
        np.save(many, np.tile(x.astype(np.float16), (120_000 // len(x) + 1, 1)))  # seconds of work
        rows = server.client.datasets.upload(many, unlabelled=True)
        job = server.client.jobs.predict(rows, head="intents", format="jsonl")
        wait_until(lambda: (one := job.refresh().progress) and one.fraction)
        server.kill()
        assert job.data.status == "running"
        again = site.start()
        ended = again.client.jobs.get(job.id).wait(timeout=120)
        assert ended.data.attempt == 2
        out = ended.output(tmp_path / "out.jsonl")
        assert out.read_bytes().count(b"\n") == rows.n_rows
    finally:
        site.close()
    assert not site.complaints()


def test_a_head_that_was_deleted_fails_the_job_with_words(tmp_path: Path, rows: Path) -> None:
    """The version goes while the job waits behind a training: this worker has no other slot."""
    site = Site(tmp_path)
    try:
        client = site.start(NMTUNE_PREDICTION_SLOTS="0").client
        dataset = client.datasets.upload(EXAMPLE)
        client.jobs.create(name="gone", dataset=dataset, method="linear_probe", config=QUICK).wait(
            timeout=200
        )
        training = client.jobs.create(
            name="other", dataset=dataset, method="mlp", config={"epochs": 10_000, "l2": 1.0}
        )
        wait_until(lambda: training.refresh().status == "running")
        waiting = client.datasets.upload(rows, unlabelled=True)
        job = client.jobs.predict(waiting, head="gone")
        client.heads.delete("gone")
        training.cancel()
        with pytest.raises(JobFailed, match="deleted before the job"):
            job.wait(timeout=60)
        assert (job.error or {})["code"] == "head_deleted"
    finally:
        site.close()
    assert not site.complaints()

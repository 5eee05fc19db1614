"""`client.encoders` and `nmtune encoders`: what is sent of a model's directory."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from nmtune_client import Client, LocalEncoder, NotFoundError
from nmtune_client._encoders import archive

from providers.local import files
from service.encoders.schemas import EXAMPLE
from tests.clients.conftest import Reply
from tests.support import encoders


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = encoders.write(tmp_path / "my-minilm")
    (found / "modeling.py").write_text("raise SystemExit")
    (found / "pytorch_model.bin").write_bytes(b"\x80\x04")
    return found


@pytest.fixture(autouse=True)
def _server(server: Any) -> None:
    server.on("PUT", "/encoders/my-minilm", server.ok(EXAMPLE, status=201))
    server.on("GET", "/encoders", server.ok({"items": [EXAMPLE], "provided": []}))
    server.on("GET", "/encoders/my-minilm", server.ok(EXAMPLE))
    server.on("DELETE", "/encoders/my-minilm", Reply(status=204))


def test_the_files_that_the_server_reads_are_sent(server: Any, folder: Path) -> None:
    with Client(server.url) as client:
        added = client.encoders.add(folder, prefix="query: ", normalise=False)
    assert isinstance(added, LocalEncoder)
    assert (added.family, added.n_columns, added.problem) == ("bert", 384, None)
    [sent] = server.seen("PUT", "/encoders/my-minilm")
    assert sent.headers["content-type"] == "application/x-tar"
    with tarfile.open(fileobj=io.BytesIO(sent.body)) as tar:
        assert tar.getnames() == [*sorted((*files.REQUIRED, "nmtune.json"))]
        choices = tar.extractfile("nmtune.json")
        assert choices is not None
        assert json.load(choices) == {"normalise": False, "prefix": "query: "}


def test_the_archive_is_the_one_that_the_server_keeps(folder: Path, tmp_path: Path) -> None:
    """So an upload is resumed, and its sha256 is the encoder's."""
    for name in ("one.tar", "two.tar"):
        archive.write_archive(folder, tmp_path / name, {})
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    assert files.sha256(files.find(tmp_path / "one.tar")) == files.sha256(files.find(folder))
    assert set(archive.REQUIRED) | set(archive.OTHERS) == set(files.KNOWN)


def test_a_missing_file_is_named_before_anything_is_sent(server: Any, folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with (
        Client(server.url) as client,
        pytest.raises(ValueError, match=r"no model.safetensors: a .bin file may be a pickle"),
    ):
        client.encoders.add(folder)
    assert server.seen("PUT", "/encoders/my-minilm") == []


def test_encoders_are_listed_shown_and_deleted(server: Any) -> None:
    with Client(server.url) as client:
        assert [one.name for one in client.encoders.list()] == ["my-minilm"]
        assert client.encoders.get("my-minilm").created_at is not None
        client.encoders.delete("my-minilm")
        server.on("GET", "/encoders/none", server.problem(404, "not_found", "There is none."))
        with pytest.raises(NotFoundError):
            client.encoders.get("none")
    assert server.seen("DELETE", "/encoders/my-minilm")


def test_a_large_model_goes_up_in_parts(server: Any, folder: Path) -> None:
    state = {
        "id": "up_1",
        "file_name": "encoder.tar",
        "sha256": None,
        "size_bytes": 0,
        "received_bytes": 0,
        "part_bytes": 1 << 20,
    }

    def begin(request: Any) -> Any:
        state["size_bytes"] = int(request.headers["upload-length"])
        return server.ok(state, status=201)

    def append(request: Any) -> Any:
        offset = int(request.headers["upload-offset"]) + len(request.body)
        return Reply(status=204, headers={"Upload-Offset": str(offset)})

    server.on("GET", "/uploads", server.ok({"items": [], "next_cursor": None}))
    server.on("POST", "/uploads", begin)
    server.on("PATCH", "/uploads/up_1", append)
    server.on("DELETE", "/uploads/up_1", Reply(status=204))
    with Client(server.url) as client:
        client.encoders.add(folder, resumable_bytes=1)
    [sent] = server.seen("PUT", "/encoders/my-minilm")
    assert (sent.query, sent.body) == ({"upload": "up_1"}, b"")


def test_the_command(server: Any, nmtune: Any, folder: Path) -> None:
    code, out, err = nmtune("encoders", "add", str(folder), "--pooling", "cls", "--max-tokens", "9")
    assert code == 0, err
    assert "--provider local --model my-minilm" in out + err
    code, out, _ = nmtune("encoders")
    assert code == 0
    assert "my-minilm" in out
    assert "384" in out
    code, out, _ = nmtune("encoders", "show", "my-minilm", "--json")
    assert json.loads(out)["family"] == "bert"
    code, out, _ = nmtune("encoders", "show", "my-minilm")
    assert "pooling\tmean" in out
    assert nmtune("encoders", "delete", "my-minilm")[0] == 0
    (folder / "config.json").unlink()
    code, _, err = nmtune("encoders", "add", str(folder))
    assert (code, "no config.json" in err) == (2, True)

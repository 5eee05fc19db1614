"""Exports, comparisons, deletions and rollbacks as the client and its command ask for them."""

import base64
import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from nmtune_client import APIConnectionError, Client, ConflictError, ServerError
from nmtune_client._heads.arguments import EXPORT_SUFFIXES, FOLDERS

from service.export.formats import SUFFIXES
from tests.clients.examples import DATASET

EXPORT = "/heads/pets/versions/3/export"
FILE = b"PK and so on" * 1000
FIGURE = {"from": 0.9, "to": 0.95, "difference": 0.05, "interval": [0.02, 0.08]}
NO_FIGURE = {"from": None, "to": None, "difference": None, "interval": None}
COMPARISON = {
    "from": {"name": "pets", "version": 2, "method": "auto", "aliases": []},
    "to": {"name": "pets", "version": 3, "method": "auto", "aliases": ["prod"]},
    "verdict": "pets@3 is more accurate.",
    "paired": False,
    "note": "Not paired.",
    "splits": [
        {
            "split": "test",
            "n_rows_from": 10,
            "n_rows_to": 10,
            "same_rows": True,
            "metrics": {"accuracy": FIGURE, "ece": NO_FIGURE},
        }
    ],
    "config": {"epochs": {"from": 3, "to": 5}},
    "classes": {"added": ["owl"], "removed": [], "reordered": False},
    "lineage": {},
}

TRAIN = {
    "split": "train",
    "same_rows": True,
    "n_gained": None,
    "n_lost": None,
    "p_value": None,
    "metrics": {"accuracy": FIGURE},
}

Command = Callable[..., tuple[int, str, str]]


def file_reply(server: Any, body: bytes = FILE, **options: Any) -> Any:
    digest = base64.b64encode(hashlib.sha256(FILE).digest()).decode()
    reply = type(server.DROP)
    return reply(body=body, headers={"Repr-Digest": f"sha-256=:{digest}:"}, **options)


def test_an_export_is_a_whole_file_or_none(server: Any, client: Client, tmp_path: Path) -> None:
    server.on("GET", EXPORT, file_reply(server))
    path = client.heads.export("pets", 3, path=tmp_path / "it.zip")
    assert path.read_bytes() == FILE
    assert server.seen("GET", EXPORT)[0].query == {"format": "bundle"}
    assert list(tmp_path.iterdir()) == [path]


def test_a_download_that_breaks_is_tried_again_and_leaves_nothing(
    server: Any, client: Client, tmp_path: Path
) -> None:
    damaged = file_reply(server, FILE[:-1] + b"?")
    path = tmp_path / "it.zip"
    server.on("GET", EXPORT, damaged, file_reply(server, fault="cut"), file_reply(server))
    client.heads.export("pets", 3, format="onnx", path=path)
    assert path.read_bytes() == FILE
    server.on("GET", EXPORT, damaged)
    path.write_bytes(b"the one of before")
    with pytest.raises(APIConnectionError, match="damaged"):
        client.heads.export("pets", 3, path=path)
    assert path.read_bytes() == b"the one of before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_refused_export_says_why(server: Any, client: Client, tmp_path: Path) -> None:
    server.on("GET", EXPORT, server.problem(500, "export_disagrees", "ONNX differs by 0.1"))
    with pytest.raises(ServerError, match=r"differs by 0\.1") as refused:
        client.heads.export("pets", 3, path=tmp_path / "it.zip")
    assert refused.value.code == "export_disagrees"
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="format must be one of"):
        client.heads.export("pets", 3, format="pickle")


def test_the_command_exports_by_number_alias_or_latest(
    nmtune: Command,
    server: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    for named, version in (("pets@3", "3"), ("pets@prod", "prod"), ("pets", "latest")):
        server.on("GET", f"/heads/pets/versions/{version}/export", file_reply(server))
        code, out, _ = nmtune("heads", "export", named)
        assert (code, out) == (0, f"pets-{version}.zip\n")
        assert (tmp_path / f"pets-{version}.zip").read_bytes() == FILE
    code, out, _ = nmtune("heads", "export", "pets@3", "--format", "onnx", "-o", "m.onnx")
    assert (code, out) == (0, "m.onnx\n")


def zipped(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, name)
    return file.getvalue()


def test_a_folder_is_unpacked_whole_or_not_at_all(
    nmtune: Command,
    server: Any,
    client: Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    body = zipped("pets-3-mlflow/MLmodel", "pets-3-mlflow/code/nmtune_head/run.py")
    server.on("GET", EXPORT, type(server.DROP)(body=body))
    code, out, _ = nmtune("heads", "export", "pets@3", "--format", "mlflow")
    assert (code, out) == (0, "pets-3-mlflow\n")
    assert (tmp_path / "pets-3-mlflow/code/nmtune_head/run.py").is_file()
    assert [one.name for one in tmp_path.iterdir()] == ["pets-3-mlflow"]
    with pytest.raises(FileExistsError, match="pets-3-mlflow exists already"):
        client.heads.export("pets", 3, format="mlflow")
    for hostile in ("pets/../../out", "pets//../out", "alone"):
        server.on("GET", EXPORT, type(server.DROP)(body=zipped("pets/README.md", hostile)))
        with pytest.raises(ValueError, match="not a file in its folder"):
            client.heads.export("pets", 3, format="hf", path="new")
        assert [one.name for one in tmp_path.iterdir()] == ["pets-3-mlflow"]


def test_rows_to_label_are_asked_for_and_written(
    nmtune: Command,
    server: Any,
    client: Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    server.on("POST", "/heads/pets/select", type(server.DROP)(body=b"{}\n"))
    path = client.heads.select("pets", "ds_1", n_rows=7, version="prod", ood_share=0.5)
    assert (path.name, path.read_bytes()) == ("pets-prod-to-label.jsonl", b"{}\n")
    sent = server.seen("POST", "/heads/pets/select")[0]
    asked = {"dataset_id": "ds_1", "n_rows": 7, "version": "prod", "format": "jsonl", "seed": 0}
    assert json.loads(sent.body) == asked | {"ood_share": 0.5}
    (tmp_path / "new.csv").write_text("text\nhello\n")
    server.on("POST", "/datasets", server.ok(DATASET, status=201))
    arguments = ("heads", "select", "pets@3", "new.csv", "--rows", "5", "--format", "csv")
    code, out, _ = nmtune(*arguments)
    assert (code, out) == (0, "pets-3-to-label.csv\n")
    asked = {"dataset_id": "ds_1", "n_rows": 5, "version": "3", "format": "csv", "seed": 0}
    assert json.loads(server.seen("POST", "/heads/pets/select")[1].body) == asked
    assert server.seen("POST", "/datasets")[0].query["unlabelled"] == "true"


def test_two_versions_are_compared(nmtune: Command, server: Any, client: Client) -> None:
    server.on("GET", "/heads/pets/compare", server.ok(COMPARISON))
    found = client.heads.compare("pets", 2, "prod")
    assert (str(found.before), str(found.after)) == ("pets@2", "pets@3")
    assert server.seen("GET", "/heads/pets/compare")[0].query == {"from": "2", "to": "prod"}
    code, out, _ = nmtune("heads", "compare", "pets", "2", "prod")
    assert code == 0
    assert out.startswith("pets@3 is more accurate.")
    for words in ("+0.0200 to +0.0800", "same", "Not paired.", "epochs  3  ->  5", "added: owl"):
        assert words in out
    assert "ece" not in out
    assert "McNemar" not in out


def test_rows_that_were_compared_one_by_one_are_counted(nmtune: Command, server: Any) -> None:
    figures = {"n_gained": 1200, "n_lost": 3, "p_value": 0.00004}
    splits = [COMPARISON["splits"][0] | figures, TRAIN]
    paired = COMPARISON | {"paired": True, "note": "Paired.", "splits": splits}
    server.on("GET", "/heads/pets/compare", server.ok(paired))
    out = nmtune("heads", "compare", "pets", "2", "3")[1]
    counts = out.split("\n\n")[2].splitlines()
    assert [line.split() for line in counts] == [
        ["split", "only", "pets@3", "right", "only", "pets@2", "right", "McNemar", "p"],
        ["test", "1,200", "3", "4e-05"],
    ]
    assert "Paired." in out


def test_versions_and_heads_are_deleted(nmtune: Command, server: Any) -> None:
    gone = type(server.DROP)(status=204)
    server.on("DELETE", "/heads/pets/versions/3", gone)
    server.on("DELETE", "/heads/pets", gone)
    head = {"name": "pets", "latest_version": 4, "aliases": {"prod": 3}}
    server.on("GET", "/heads/pets", server.ok(head))
    assert nmtune("heads", "delete", "pets@3")[0] == 0
    assert nmtune("heads", "delete", "pets@prod", "--force")[0] == 0
    tries = server.seen("DELETE", "/heads/pets/versions/3")
    assert [request.query for request in tries] == [{}, {"force": "true"}]
    for wrong in (["pets"], ["pets@3", "--all"], ["pets@none"]):
        assert nmtune("heads", "delete", *wrong)[0] == 2
    assert server.seen("DELETE", "/heads/pets") == []
    assert nmtune("heads", "delete", "pets", "--all")[0] == 0
    refusal = server.problem(409, "head_in_use", "Aliases point at it: pets@prod")
    server.on("DELETE", "/heads/pets/versions/3", refusal)
    code, _, err = nmtune("heads", "delete", "pets@3")
    assert code == 1
    assert "pets@prod" in err


def test_an_alias_is_rolled_back_and_deleted(
    nmtune: Command,
    server: Any,
    client: Client,
) -> None:
    path = "/heads/pets/aliases/prod/rollback"
    server.on("POST", path, server.DROP, server.ok({"name": "pets", "version": 2}))
    code, out, _ = nmtune("heads", "rollback", "pets", "prod")
    assert (code, out) == (0, "pets@prod -> pets@2\n")
    first, second = server.seen("POST", path)
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    server.on("POST", path, server.problem(409, "nothing_to_roll_back", "named no other"))
    with pytest.raises(ConflictError):
        client.heads.rollback("pets", "prod", expected=2)
    assert server.seen("POST", path)[-1].query == {"from": "2"}
    server.on("DELETE", "/heads/pets/aliases/prod", type(server.DROP)(status=204))
    client.heads.delete_alias("pets", "prod")


def test_the_client_knows_every_format_of_the_server() -> None:
    assert EXPORT_SUFFIXES.keys() == SUFFIXES.keys()
    assert {form: SUFFIXES[form] for form in SUFFIXES if form not in FOLDERS} == {
        form: ending for form, ending in EXPORT_SUFFIXES.items() if form not in FOLDERS
    }

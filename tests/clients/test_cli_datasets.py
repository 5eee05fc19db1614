"""`nmtune datasets`: listing, uploading, showing, keeping and deleting."""

from pathlib import Path
from typing import Any

import pytest
from nmtune_client._jobs import following as _following
from nmtune_client._sync import client as _client

from tests.clients.examples import DATASET


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_following, "_FIRST_POLL_SECONDS", 0.005)
    monkeypatch.setattr(_client, "sleep", lambda _: None)  # between tries


def test_datasets_are_listed_uploaded_shown_and_deleted(
    server: Any, nmtune: Any, npz: Path
) -> None:
    server.on("GET", "/datasets", server.ok({"items": [DATASET], "next_cursor": None}))
    server.on("GET", "/datasets/ds_1", server.ok(DATASET))
    server.on("POST", "/datasets", server.ok(DATASET, status=201))
    server.on("DELETE", "/datasets/ds_1", type(server.DROP)(status=204))
    assert "2.0 KiB" in nmtune("datasets")[1]
    assert "train     4" in nmtune("datasets", "show", "ds_1")[1]
    assert nmtune("datasets", "upload", npz)[0] == 0
    assert server.seen("POST", "/datasets")[0].query == {"name": "pets"}
    assert nmtune("datasets", "delete", "ds_1") == (0, "", "Deleted ds_1.\n")


def test_how_long_a_dataset_is_kept_is_said_in_words(server: Any, nmtune: Any, npz: Path) -> None:
    expiring = DATASET | {"expires_at": "2026-12-24T12:00:00Z"}
    server.on("POST", "/datasets", server.ok(expiring, status=201))
    server.on("PATCH", "/datasets/ds_1", server.ok(expiring), server.ok(DATASET))
    code, out, _ = nmtune("datasets", "upload", npz, "--keep", "7d")
    assert code == 0
    assert "expires  2026-12-24" in out
    assert server.seen("POST", "/datasets")[0].query["keep_seconds"] == "604800"
    assert "expires" in nmtune("datasets", "keep", "ds_1", "12h")[1]
    assert "expires" not in nmtune("datasets", "keep", "ds_1", "forever")[1]
    bodies = [request.json for request in server.seen("PATCH", "/datasets/ds_1")]
    assert bodies == [{"keep_seconds": 43_200}, {"keep_seconds": None}]
    for wrong in ("7", "d", "0d", "-1d", "1.5d", "next week"):
        code, _, err = nmtune("datasets", "upload", npz, "--keep", wrong)
        assert code == 2, wrong
        assert "such as 7d" in err or "expected one argument" in err
        assert nmtune("datasets", "keep", "ds_1", "--", wrong)[0] == 2

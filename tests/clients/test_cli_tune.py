"""`nmtune tune`: upload, submit, watch, show the result."""

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


@pytest.mark.usefixtures("trained")
def test_tune_uploads_waits_and_prints_the_table(server: Any, nmtune: Any, npz: Path) -> None:
    options = ("--preset", "reference", "--set", "epochs=3", "--set", "schedule=linear")
    code, out, err = nmtune("tune", npz, "--name", "pets", "--alias", "prod", *options)
    assert code == 0
    assert server.seen("POST", "/datasets")[0].body == npz.read_bytes()
    asked, submitted = server.seen("POST", "/jobs")
    assert asked.query == {"plan": "true"}  # before the upload, to refuse what cannot be
    settings = submitted.json.keys() - {"dataset_id"}
    assert {name: asked.json[name] for name in settings} == {
        name: submitted.json[name] for name in settings
    }
    assert asked.json.keys() - settings == {"embeddings", "labels"}  # examples of the client's own
    assert submitted.json == {
        "name": "pets",
        "dataset_id": "ds_1",
        "config": {"preset": "reference", "epochs": 3, "schedule": "linear"},
        "alias": "prod",
    }
    assert "mean OOD" in out
    assert "Use NMTune" in out
    assert "Warning: The class dog has 2 rows." in err
    assert "job_1 succeeded" in err
    assert "Published pets@3 = pets@prod" in err


@pytest.mark.usefixtures("trained")
def test_tune_of_a_stored_dataset_uploads_nothing(server: Any, nmtune: Any) -> None:
    code, out, _ = nmtune("tune", "ds_7", "--name", "pets", "--no-wait")
    assert (code, out) == (0, "job_1\n")
    assert server.seen("POST", "/datasets") == []
    assert server.seen("POST", "/jobs")[0].json["dataset_id"] == "ds_7"


@pytest.mark.usefixtures("trained")
def test_tune_of_a_stored_dataset_refuses_how_to_read_a_file(server: Any, nmtune: Any) -> None:
    options = ("--label", "species", "--test-fraction", "0.3")
    code, _, err = nmtune("tune", "ds_7", "--name", "pets", *options, "--no-wait")
    assert code == 2
    assert "ds_7 is stored, and --label, --test-fraction say how a file is read" in err
    assert server.seen("POST", "/jobs") == []


@pytest.mark.usefixtures("trained")
def test_tune_of_texts_names_column_and_provider(server: Any, nmtune: Any, tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    path.write_text("review,label\nbad,no\n")
    options = ("--text", "review", "--provider", "openai", "--model", "m", "--dimensions", "8")
    code, _, err = nmtune("tune", path, *options, "--no-wait")
    assert code == 0, err
    assert server.seen("POST", "/datasets")[0].query == {"name": "reviews", "text": "review"}
    assert server.seen("POST", "/jobs")[-1].json == {
        "name": "reviews",
        "dataset_id": "ds_1",
        "provider": {"name": "openai", "model": "m", "dimensions": 8},
    }
    code, _, err = nmtune("tune", path, "--text", "review")
    assert code == 2
    assert "--text needs --provider" in err


def test_plan_of_texts_says_what_is_unknown(server: Any, nmtune: Any) -> None:
    plan = {
        "dataset_id": "ds_7",
        "splits": [{"name": "train", "n_rows": 4}],
        "candidates": [{"name": "mlp"}],
        "memory_bytes": None,
        "seconds": None,
    }
    server.on("POST", "/jobs", server.ok(plan))
    code, out, _ = nmtune("tune", "ds_7", "--plan", "--provider", "local-minilm")
    assert code == 0
    assert "unknown before texts are embedded" in out
    assert server.seen("POST", "/jobs")[0].json["provider"] == {"name": "local-minilm"}


@pytest.mark.parametrize("plan", [(), ("--plan",)])
def test_what_cannot_be_is_refused_before_the_upload(
    server: Any, nmtune: Any, npz: Path, plan: tuple[str, ...]
) -> None:
    server.on("POST", "/jobs", server.problem(422, "invalid_request", "method must be 'auto'."))
    code, out, err = nmtune("tune", npz, "--method", "foo", *plan)
    assert (code, out) == (1, "")
    assert "method must be 'auto'." in err
    assert server.seen("POST", "/datasets") == []
    (asked,) = server.seen("POST", "/jobs")
    assert (asked.query, asked.json["method"]) == ({"plan": "true"}, "foo")


@pytest.mark.parametrize("plan", [(), ("--plan",)])
def test_a_refusal_after_the_upload_names_the_stored_dataset(
    server: Any, nmtune: Any, npz: Path, plan: tuple[str, ...]
) -> None:
    server.on("POST", "/datasets", server.ok(DATASET, status=201))
    refusal = server.problem(422, "too_few_rows", "There is one class.")
    server.on("POST", "/jobs", server.ok({}), refusal)
    code, out, err = nmtune("tune", npz, *plan)
    assert (code, out) == (1, "")
    assert "The dataset is stored: ds_1 can stand for the file next time." in err
    assert "There is one class." in err
    examples, asked = server.seen("POST", "/jobs")
    assert "dataset_id" not in examples.json
    assert asked.json["dataset_id"] == "ds_1"


@pytest.mark.usefixtures("trained")
def test_tune_sends_notes(server: Any, nmtune: Any, npz: Path) -> None:
    notes = ("--description", "labels of May", "--tag", "ticket=ML-12", "--tag", "who=me")
    assert nmtune("tune", npz, "--name", "pets", *notes)[0] == 0
    sent = server.seen("POST", "/jobs")[-1].json
    assert (sent["description"], sent["tags"]) == (
        "labels of May",
        {"ticket": "ML-12", "who": "me"},
    )

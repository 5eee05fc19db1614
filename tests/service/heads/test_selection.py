"""POST /heads/{name}/select: a file of rows to label, which goes back by the door of new rows."""

import base64
import csv
import hashlib
import io
import json
from typing import Any

import numpy as np
import pytest

from nmtune import Head
from nmtune.trust.knowledge import learn
from store.store import Store
from tests.service.datasets.test_corrections import uploaded
from tests.service.in_process import InProcess, assert_problem, publish
from tests.support.files.arrays import npy

Rows = tuple[np.ndarray, np.ndarray]

PATH = "/heads/pets/select"
N = 300


@pytest.fixture(scope="module")
def knowing(trained: bytes, rows: Rows) -> bytes:
    """The head with an OOD score of rows like the training rows."""
    x = np.concatenate([rows[0] + 0.01 * at for at in range(4)]).astype(np.float32)
    y = np.tile(rows[1], 4)
    knowledge = learn(x, y, predicted=y, of_truth=None, n_classes=2, seed=0)
    return Head.from_bytes(trained).with_knowledge(knowledge).to_bytes()


def unlabelled(client: InProcess, rows: Rows) -> tuple[str, np.ndarray]:
    """A dataset without labels, of which the last 30 rows are far from the training rows."""
    random = np.random.default_rng(0)
    x = rows[0][random.integers(0, len(rows[0]), N)] + 0.02 * random.normal(size=(N, 3))
    x[-30:] += 20 * random.normal(size=(30, 3))
    lines = [json.dumps({"id": f"r{at}", "embedding": row.tolist()}) for at, row in enumerate(x)]
    content = "\n".join(lines).encode()
    return uploaded(client, content, "application/x-ndjson", unlabelled=True)["id"], x


def selected(client: InProcess, **body: Any) -> Any:
    answer = client.post(PATH, json=body)
    assert answer.status_code == 200, answer.text
    return answer


def test_rows_come_with_ids_and_what_the_head_says_of_them(
    client: InProcess, store: Store, knowing: bytes, rows: Rows
) -> None:
    publish(store, knowing, alias="prod")
    dataset_id, x = unlabelled(client, rows)
    answer = selected(client, version="prod", dataset_id=dataset_id, n_rows=20)
    assert answer.headers["x-nmtune-head"] == "pets@1"
    digest = base64.b64encode(hashlib.sha256(answer.content).digest()).decode()
    assert answer.headers["repr-digest"] == f"sha-256=:{digest}:"
    assert 0.05 < float(answer.headers["x-nmtune-ood-share"]) < 0.5
    assert "pets-1-to-label.jsonl" in answer.headers["content-disposition"]
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert len(lines) == len({line["row"] for line in lines}) == 20
    assert [line["chosen_as"] for line in lines] == ["uncertain"] * 16 + ["ood"] * 4
    for line in lines:
        assert line["id"] == f"r{line['row']}"
        np.testing.assert_allclose(line["embedding"], x[line["row"]], rtol=1e-3)
        assert line["label"] is None
    head = Head.from_bytes(knowing)
    probabilities = head.predict_proba(np.array([line["embedding"] for line in lines]))
    said = [line["probability"] for line in lines]
    np.testing.assert_allclose(said, probabilities.max(axis=1), atol=1e-4)
    assert [line["predicted"] for line in lines] == head.predict(
        np.array([line["embedding"] for line in lines])
    )
    again = selected(client, dataset_id=dataset_id, n_rows=20)
    assert again.content == answer.content


def test_the_file_goes_back_with_labels_as_it_is(
    client: InProcess, store: Store, knowing: bytes, rows: Rows
) -> None:
    publish(store, knowing)
    dataset_id, _ = unlabelled(client, rows)
    known = uploaded(
        client,
        json.dumps({"embeddings": rows[0].tolist(), "labels": ["cat", "dog"] * 20}).encode(),
        "application/json",
    )
    lines = selected(client, dataset_id=dataset_id, n_rows=10).text.splitlines()
    labelled = "\n".join(json.dumps(json.loads(line) | {"label": "dog"}) for line in lines)
    answer = client.post(
        f"/datasets/{known['id']}/rows",
        content=labelled.encode(),
        headers={"content-type": "application/x-ndjson"},
    )
    assert answer.status_code == 201, answer.text
    assert answer.json()["lineage"]["n_added"] == 10
    assert answer.json()["n_rows"] == 50


def test_a_table_leaves_the_embeddings_out(
    client: InProcess, store: Store, trained: bytes, rows: Rows
) -> None:
    """And a head without an OOD score chooses by doubt alone."""
    publish(store, trained)
    x = rows[0].astype(np.float32)
    dataset_id = uploaded(client, npy(x), "application/x-npy", unlabelled=True)["id"]
    answer = selected(client, dataset_id=dataset_id, n_rows=5, format="csv")
    assert "x-nmtune-ood-share" not in answer.headers
    table = list(csv.DictReader(io.StringIO(answer.text)))
    assert list(table[0]) == ["row", "id", "predicted", "probability", "chosen_as", "label"]
    assert {line["chosen_as"] for line in table} == {"uncertain"}
    assert {line["id"] for line in table} == {""}
    asked = x[[int(line["row"]) for line in table]]
    margins = np.ptp(Head.from_bytes(trained).predict_proba(x), axis=1)
    mine = np.ptp(Head.from_bytes(trained).predict_proba(asked), axis=1)
    assert mine.max() <= np.sort(margins)[25]


def test_an_alias_is_unsure_by_its_class_shares(
    client: InProcess, store: Store, trained: bytes, rows: Rows
) -> None:
    publish(store, trained)
    shares = {"cat": 0.4, "dog": 0.6}
    moved = client.put("/heads/pets/aliases/prod", json={"version": 1, "class_shares": shares})
    assert moved.status_code == 200, moved.text
    x = np.repeat(rows[0].mean(axis=0)[None], 200, axis=0)
    between = rows[0][rows[1] == 1].mean(axis=0) - rows[0][rows[1] == 0].mean(axis=0)
    x = (x + np.linspace(-1, 1, 200)[:, None] * between).astype(np.float32)
    dataset_id = uploaded(client, npy(x), "application/x-npy", unlabelled=True)["id"]
    chosen = {}
    for version in ("1", "prod"):
        answer = selected(client, version=version, dataset_id=dataset_id, n_rows=9)
        lines = [json.loads(line) for line in answer.text.splitlines()]
        chosen[version] = {line["row"] for line in lines}
        asked = npy(np.array([line["embedding"] for line in lines], np.float32))
        kind = {"content-type": "application/x-npy"}
        found = client.post(f"/predict?head=pets@{version}", content=asked, headers=kind).json()
        assert [line["predicted"] for line in lines] == found["labels"]
        said = [line["probability"] for line in lines]
        np.testing.assert_allclose(said, np.max(found["probabilities"], axis=1), atol=1e-4)
    assert chosen["1"] != chosen["prod"]


def test_rows_too_large_for_a_square_are_chosen_from(
    client: InProcess, store: Store, trained: bytes, rows: Rows
) -> None:
    publish(store, trained)
    x = (rows[0] * 1e25).astype(np.float32)
    dataset_id = uploaded(client, npy(x), "application/x-npy", unlabelled=True)["id"]
    lines = selected(client, dataset_id=dataset_id, n_rows=5).text.splitlines()
    assert len({json.loads(line)["row"] for line in lines}) == 5


def test_what_cannot_be_chosen_from_is_refused(
    client: InProcess, store: Store, trained: bytes
) -> None:
    publish(store, trained)

    def refused(code: str, field: str, **body: Any) -> None:
        answer = client.post(PATH, json=body)
        assert_problem(answer, 422, code, field)

    wide = uploaded(client, npy(np.ones((4, 5), np.float32)), "application/x-npy", unlabelled=True)
    refused("width_mismatch", "dataset_id", dataset_id=wide["id"])
    labelled = uploaded(
        client,
        json.dumps({"embeddings": [[1, 2, 3]] * 10, "labels": ["a", "b"] * 5}).encode(),
        "application/json",
    )
    refused("labelled_dataset", "dataset_id", dataset_id=labelled["id"])
    texts = uploaded(client, b'{"text": "hello"}\n', "application/x-ndjson", unlabelled=True)
    refused("text_not_supported", "dataset_id", dataset_id=texts["id"])
    for wrong in (0, 1001, "many"):
        refused("invalid_request", "n_rows", dataset_id=wide["id"], n_rows=wrong)
    refused("invalid_request", "ood_share", dataset_id=wide["id"], ood_share=1.5)
    absent = {"dataset_id": "ds_31k8drzh5p2gk7m4t9x3wvq6ab"}
    assert_problem(client.post(PATH, json=absent), 404, "not_found")
    assert_problem(client.post("/heads/none/select", json=absent), 404, "not_found")

"""What classes and domains are called: by metadata, in any script, and when they look alike."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from safetensors.numpy import save

from nmtune.rows.similar_names import similar
from service.ingest.errors import BadInput
from tests.service.datasets.dataset_calls import created
from tests.service.in_process import InProcess, assert_problem
from tests.support.files.arrays import npy, npz
from tests.support.files.tables import decoded, parquet

N_ROWS = 20
X = np.random.default_rng(0).standard_normal((N_ROWS, 2)).astype(np.float32)
LABELS = ["a", "b"] * (N_ROWS // 2)
COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"


def hugging_face(label: Any, feature: Any) -> bytes:
    """A Parquet file as datasets writes it."""
    table = pa.table({"embedding": [[1.0, 2.0]] * len(label), "label": label})
    features = {
        "embedding": {"feature": {"dtype": "float32", "_type": "Value"}, "_type": "Sequence"},
        "label": feature,
    }
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    sink = pa.BufferOutputStream()
    pa.parquet.write_table(table.replace_schema_metadata(metadata), sink)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def class_label(*names: Any) -> dict[str, Any]:
    return {"names": list(names), "_type": "ClassLabel"}


# pandas makes floats of integers with a gap
@pytest.mark.parametrize("indices", [[1, 0, 1], [1.0, 0.0, 1.0]])
def test_class_labels_are_called_by_their_names(tmp_path: Path, indices: list[Any]) -> None:
    content = hugging_face(indices, class_label("cat", "dog"))
    label = decoded(tmp_path, "a.parquet", content).columns["label"]
    assert [(label.names or ())[code] for code in label.codes] == ["dog", "cat", "dog"]


@pytest.mark.parametrize(
    ("feature", "names"),
    [
        ({"dtype": "int64", "_type": "Value"}, ("1", "0")),
        ({"num_classes": 2, "_type": "ClassLabel"}, ("1", "0")),
        (class_label(), ("1", "0")),
        ({"feature": class_label("cat", "dog"), "_type": "Sequence"}, ("1", "0")),
        ("ClassLabel", ("1", "0")),
    ],
)
def test_features_without_names_leave_the_integers(
    tmp_path: Path, feature: Any, names: tuple[str, ...]
) -> None:
    content = hugging_face([1, 0, 1], feature)
    assert decoded(tmp_path, "a.parquet", content).columns["label"].names == names


@pytest.mark.parametrize(
    ("label", "code", "words"),
    [
        ([0, 1, -1], "invalid_label", "is missing"),
        ([0, 1, None], "invalid_label", "is missing"),
        ([0, 1, 2], "label_out_of_range", "is not the index of a class"),
        ([0, 1, -2], "label_out_of_range", "is not the index of a class"),
        ([0.0, 1.0, float("nan")], "invalid_label", "is missing"),
        ([0.0, 1.0, 0.5], "label_out_of_range", "is not the index of a class"),
        ([0.0, 1.0, float("inf")], "label_out_of_range", "is not the index of a class"),
    ],
)
def test_a_class_label_that_names_nothing_is_refused(
    tmp_path: Path, label: list[Any], code: str, words: str
) -> None:
    with pytest.raises(BadInput, match=words) as caught:
        decoded(tmp_path, "a.parquet", hugging_face(label, class_label("cat", "dog")))
    assert (caught.value.code, caught.value.row) == (code, 2)


@pytest.mark.parametrize("metadata", [b"{", b"[]", b'{"info": 1}', b'{"info": {"features": [1]}}'])
def test_strange_metadata_is_passed_over(tmp_path: Path, metadata: bytes) -> None:
    table = pa.table({"embedding": [[1.0], [2.0]], "label": [0, 1]})
    sink = pa.BufferOutputStream()
    pa.parquet.write_table(table.replace_schema_metadata({"huggingface": metadata}), sink)
    found = decoded(tmp_path, "a.parquet", sink.getvalue().to_pybytes())
    assert found.columns["label"].names == ("0", "1")


def test_names_that_people_read_as_one_are_found() -> None:
    names = ["b", COMPOSED, "Cat ", "cat", DECOMPOSED, "new york", "New  York", "stra\u00dfe"]
    assert similar([*names, "STRASSE", "x\u200b", "x", "cot"]) == [
        (COMPOSED, DECOMPOSED),
        ("Cat ", "cat"),
        ("new york", "New  York"),
        ("stra\u00dfe", "STRASSE"),
        ("x\u200b", "x"),
    ]


def _doors(labels: list[str]) -> dict[str, tuple[str, dict[str, Any]]]:
    y = np.array(labels)
    classes = sorted(set(labels))
    indices = np.array([classes.index(label) for label in labels])
    columns = {"embedding": list(X), "label": labels, "split": ["train"] * N_ROWS}
    arrays = {"train_x": X, "train_y": y}
    by_index = {"train_x": X, "train_y": indices}
    tensors = save(by_index, {"class_names": json.dumps(classes)})
    body = {"labels": labels, "splits": ["train"] * N_ROWS}
    rows = zip(X.tolist(), labels, body["splits"], strict=True)
    records = [dict(zip(columns, row, strict=True)) for row in rows]
    return {
        "parquet": ("file", {"file": ("a.parquet", parquet(columns))}),
        "json": ("file", {"file": ("a.json", json.dumps(records).encode())}),
        "npy": ("file", {"file": ("x.npy", npy(X)), "labels": json.dumps(labels).encode()}),
        "npz": ("file", {"file": ("a.npz", npz(arrays))}),
        "npz, by index": (
            "file",
            {"file": ("a.npz", npz(by_index | {"class_names": np.array(classes)}))},
        ),
        "safetensors": ("file", {"file": ("a.safetensors", tensors)}),
        "inline": ("json", body | {"embeddings": X.tolist()}),
        "texts": ("json", body | {"texts": [f"text {n}" for n in range(N_ROWS)]}),
    }


DOORS = sorted(_doors(LABELS))


def send(client: InProcess, door: str, labels: list[str], *, merge: bool) -> dict[str, Any]:
    how, value = _doors(labels)[door]
    path = "/datasets?merge_similar=true" if merge else "/datasets"
    return created(client.post(path, **({"json": value} if how == "json" else {"files": value})))


@pytest.mark.parametrize("door", DOORS)
def test_classes_that_look_the_same_are_named(client: InProcess, door: str) -> None:
    labels = [COMPOSED, "b", DECOMPOSED, COMPOSED] * 5
    body = send(client, door, labels, merge=False)
    assert set(body["classes"]) == {COMPOSED, DECOMPOSED, "b"}
    (warning,) = [one for one in body["warnings"] if one["code"] == "similar_labels"]
    assert "caf\\xe9" in warning["message"]
    assert "cafe\\u0301" in warning["message"]
    assert "merge_similar=true" in warning["message"]


@pytest.mark.parametrize("door", DOORS)
def test_one_option_makes_one_class_of_them(client: InProcess, door: str) -> None:
    labels = [COMPOSED, "b", DECOMPOSED, COMPOSED] * 5
    body = send(client, door, labels, merge=True)
    assert body["classes"] == ["b", COMPOSED]
    assert "labels_merged" in [one["code"] for one in body["warnings"]]
    counts = [split["class_counts"][COMPOSED] for split in body["splits"]]
    assert sum(counts) == 15


def test_the_option_is_a_field_of_json_too(client: InProcess) -> None:
    body = {"embeddings": X.tolist(), "labels": ["Cat", "dog", "cat", "dog"] * 5}
    job = {"name": "a", "merge_similar": True} | body
    assert created(client.post("/datasets", json=body | {"merge_similar": True}))["classes"] == [
        "Cat",
        "dog",
    ]
    made = client.post("/jobs", json=job)
    assert made.status_code == 202, made.text
    assert client.get(f"/datasets/{made.json()['dataset_id']}").json()["classes"] == ["Cat", "dog"]
    plan = client.post("/jobs?plan=true", json=job)
    assert plan.status_code == 200, plan.text
    refused = client.post("/jobs", json={"name": "a", "dataset_id": "ds_1", "merge_similar": True})
    assert_problem(refused, 422, "invalid_request", "merge_similar")


def of_domains(domains: list[str], **more: Any) -> dict[str, Any]:
    columns = {"embedding": list(X), "label": LABELS, "domain": domains} | more
    return {"file": ("a.parquet", parquet(columns))}


def splits_of(body: dict[str, Any]) -> dict[str, int]:
    return {split["name"]: split["n_rows"] for split in body["splits"]}


CITIES = ["東京"] * 3 + ["大阪"] * 3 + ["New York, NY"] * 4 + ["a/b: 100%"] * 4 + ["photo"] * 6


def test_domains_are_called_as_their_owner_calls_them(client: InProcess) -> None:
    params = {"ood_domains": '東京,大阪,"New York, NY",a/b: 100%'}
    body = created(client.post("/datasets", params=params, files=of_domains(CITIES)))
    splits = splits_of(body)
    assert splits.pop("train") + splits.pop("test") == 6
    assert splits == {"ood/New York, NY": 4, "ood/a/b: 100%": 4, "ood/大阪": 3, "ood/東京": 3}
    assert set(body["profile"]["splits"]) >= {"ood/東京", "ood/大阪"}


def test_domains_are_called_so_in_arrays_too(client: InProcess) -> None:
    y = np.arange(N_ROWS) % 2
    arrays = {"train_x": X, "train_y": y, "ood_東京_x": X, "ood_東京_y": y}
    encoded = arrays | {"ood_a%2Fb%3A 100%25_x": X, "ood_a%2Fb%3A 100%25_y": y}
    for name, content in {"a.npz": npz(encoded), "a.safetensors": save(encoded)}.items():
        body = created(client.post("/datasets", files={"file": (name, content)}))
        assert list(splits_of(body)) == ["train", "ood/a/b: 100%", "ood/東京"]


def test_domains_that_look_the_same_stay_apart_unless_wished(client: InProcess) -> None:
    domains = ["Sketch"] * 3 + ["sketch "] * 2 + ["photo"] * 15
    apart = created(client.post("/datasets?ood_domains=Sketch", files=of_domains(domains)))
    assert splits_of(apart)["ood/Sketch"] == 3
    assert "similar_domains" in [one["code"] for one in apart["warnings"]]
    one = created(
        client.post("/datasets?ood_domains=sketch&merge_similar=true", files=of_domains(domains))
    )
    assert splits_of(one)["ood/Sketch"] == 5
    assert "domains_merged" in [warning["code"] for warning in one["warnings"]]


@pytest.mark.parametrize("merge", [False, True])
def test_splits_and_arrays_of_domains_that_look_the_same(client: InProcess, merge: bool) -> None:
    splits = ["train"] * 15 + ["ood/Web"] * 3 + ["ood/web"] * 2
    body = {"embeddings": X.tolist(), "labels": LABELS, "splits": splits, "merge_similar": merge}
    expected = {"train": 15, "ood/Web": 5} if merge else {"train": 15, "ood/Web": 3, "ood/web": 2}
    assert splits_of(created(client.post("/datasets", json=body))) == expected
    y = np.arange(N_ROWS) % 2
    arrays = {"train_x": X[:15], "train_y": y[:15], "ood_Web_x": X[15:18], "ood_Web_y": y[15:18]}
    arrays |= {"ood_web_x": X[18:], "ood_web_y": y[18:]}
    for name, content in {"a.npz": npz(arrays), "a.safetensors": save(arrays)}.items():
        path = f"/datasets?merge_similar={str(merge).lower()}"
        assert splits_of(created(client.post(path, files={"file": (name, content)}))) == expected


@pytest.mark.parametrize(
    "domain",
    ["a\0b", "a\tb", "a\u202eb", "a\u2066b", "\u200fa", "a\u2028b", "x" * 201, "..", "a/../b"],
    ids=ascii,
)
def test_domains_that_could_not_be_shown_are_refused(client: InProcess, domain: str) -> None:
    domains = [domain] * 3 + ["photo"] * 17
    response = client.post("/datasets", files=of_domains(domains))
    body = assert_problem(response, 422, "invalid_domain", "domain")
    assert body["errors"][0]["row"] == 0
    inline = {"embeddings": X.tolist(), "labels": LABELS}
    splits = ["train"] * 19 + [f"ood/{domain}"]
    answer = client.post("/datasets", json=inline | {"splits": splits})
    assert assert_problem(answer, 422, "invalid_split", "splits")["errors"][0]["row"] == 19


@pytest.mark.parametrize("query", ["?ood_domains=a,%22b", "?ood_domains=%22a%22b"])
def test_a_list_of_domains_with_an_open_quote_is_refused(client: InProcess, query: str) -> None:
    response = client.post(f"/datasets{query}", files=of_domains(CITIES))
    assert_problem(response, 422, "invalid_request", "ood_domains")

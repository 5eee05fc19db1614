"""The Open Inference Protocol as a client without a library writes it."""

import struct

import numpy as np
import pytest

from nmtune import Head
from nmtune.version import __version__
from service.settings import ServiceSettings
from store.store import Store
from tests.service.in_process import CLASSES, InProcess, publish
from tests.service.oip.infer_requests import (
    INFER,
    LENGTH,
    ask,
    binary_body,
    binary_input,
    error,
    outputs,
    tensor,
)

Rows = tuple[np.ndarray, np.ndarray]

AGREEMENT = 1e-5


@pytest.fixture
def pets(trained: bytes) -> Head:
    """The twin, in this process, of the head pets@prod."""
    return Head.from_bytes(trained)


def test_the_server_says_who_it_is_and_that_it_is_well(client: InProcess) -> None:
    assert client.get("/v2").json() == {
        "name": "nmtune",
        "version": __version__,
        "extensions": ["binary_tensor_data", "classification"],
    }
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}


def test_a_server_that_is_not_ready_says_why(
    client: InProcess, store: Store, settings: ServiceSettings
) -> None:
    store.close()
    (settings.data_dir / "nmtune.db").write_bytes(b"no database")
    assert "Not ready" in error(client.get("/v2/health/ready"), 503)


@pytest.mark.parametrize("path", ["pets", "pets@prod", "pets/versions/1", "pets/versions/prod"])
def test_a_head_tells_its_tensors_and_that_it_is_ready(asking: InProcess, path: str) -> None:
    assert asking.get(f"/v2/models/{path}").json() == {
        "name": "pets",
        "versions": ["1"],
        "platform": "nmtune",
        "inputs": [{"name": "embeddings", "datatype": "FP32", "shape": [-1, 3]}],
        "outputs": [
            {
                "name": "probabilities",
                "datatype": "FP32",
                "shape": [-1, 2],
                "parameters": {"classes": list(CLASSES)},
            },
            {"name": "labels", "datatype": "BYTES", "shape": [-1]},
        ],
    }
    assert asking.get(f"/v2/models/{path}/ready").json() == {"name": "pets", "ready": True}


def test_versions_count_up_and_an_alias_is_asked_like_one(
    client: InProcess, store: Store, trained: bytes, rows: Rows
) -> None:
    publish(store, trained, alias="prod")
    publish(store, trained)
    assert client.get("/v2/models/pets").json()["versions"] == ["1", "2"]
    for path, version in (("pets", "2"), ("pets/versions/prod", "1"), ("pets@prod", "1")):
        answer = ask(client, rows[0], f"/v2/models/{path}/infer").json()
        assert (answer["model_name"], answer["model_version"]) == ("pets", version)


def test_flat_numbers_are_answered_with_every_output(
    asking: InProcess, pets: Head, rows: Rows
) -> None:
    response = ask(asking, rows[0], id="42", parameters={"priority": 3, "of_others": "passes"})
    assert response.json()["id"] == "42"
    found = outputs(response)
    expected = pets.predict_proba(rows[0])
    assert found["probabilities"]["shape"] == [40, 2]
    assert found["probabilities"]["datatype"] == "FP32"
    values = np.array(found["probabilities"]["data"], np.float32)
    assert np.allclose(values.reshape(40, 2), expected, rtol=0, atol=AGREEMENT)
    assert found["labels"] == {
        "name": "labels",
        "datatype": "BYTES",
        "shape": [40],
        "data": pets.predict(rows[0]),
    }
    assert "id" not in ask(asking, rows[0]).json()


def test_rows_of_numbers_are_taken_too(asking: InProcess, rows: Rows) -> None:
    nested = asking.post(INFER, json={"inputs": [tensor(rows[0], data=rows[0].tolist())]})
    assert outputs(nested) == outputs(ask(asking, rows[0]))


@pytest.mark.parametrize(("datatype", "dtype"), [("FP32", "<f4"), ("FP16", "<f2"), ("FP64", "<f8")])
def test_bytes_of_each_float_type_get_the_same_answer(
    asking: InProcess, pets: Head, rows: Rows, datatype: str, dtype: str
) -> None:
    x = rows[0].astype(dtype)
    request = {"inputs": [binary_input(x, datatype)]}
    response = asking.post(INFER, **binary_body(request, x.tobytes()))
    found = np.array(outputs(response)["probabilities"]["data"], np.float32).reshape(40, 2)
    expected = pets.predict_proba(x.astype(np.float32))
    assert np.allclose(found, expected, rtol=0, atol=AGREEMENT)
    as_text = asking.post(INFER, json={"inputs": [tensor(x, datatype=datatype)]})
    assert outputs(as_text) == outputs(response)


def test_bytes_behind_json_of_any_length_are_read(asking: InProcess, rows: Rows) -> None:
    expected = outputs(ask(asking, rows[0]))
    for padding in range(4):  # so that the floats lie at addresses of every kind
        request = {"inputs": [binary_input(rows[0])], "pad": "x" * padding}
        response = asking.post(INFER, **binary_body(request, rows[0].tobytes()))
        assert outputs(response) == expected


def test_outputs_are_answered_as_bytes_in_the_order_asked(
    asking: InProcess, pets: Head, rows: Rows
) -> None:
    wanted = [{"name": "labels"}, {"name": "probabilities", "parameters": {"binary_data": True}}]
    response = ask(asking, rows[0], outputs=wanted, parameters={"binary_data_output": True})
    assert response.headers["content-type"] == "application/octet-stream"
    found = outputs(response)
    sizes = {name: output["parameters"]["binary_data_size"] for name, output in found.items()}
    assert list(sizes) == ["labels", "probabilities"]
    content = response.content[int(response.headers[LENGTH]) :]
    assert len(content) == sum(sizes.values())
    labels, rest = content[: sizes["labels"]], content[sizes["labels"] :]
    words = [label.encode() for label in pets.predict(rows[0])]
    assert labels == b"".join(struct.pack("<I", len(word)) + word for word in words)
    values = np.frombuffer(rest, "<f4").reshape(40, 2)
    assert np.allclose(values, pets.predict_proba(rows[0]), rtol=0, atol=AGREEMENT)


def test_an_output_may_be_json_where_the_others_are_bytes(asking: InProcess, rows: Rows) -> None:
    wanted = [{"name": "labels", "parameters": {"binary_data": False}}, {"name": "probabilities"}]
    response = ask(asking, rows[0], outputs=wanted, parameters={"binary_data_output": True})
    found = outputs(response)
    assert len(found["labels"]["data"]) == 40
    assert len(response.content) - int(response.headers[LENGTH]) == 40 * 2 * 4


def test_the_most_probable_classes_are_named_in_order(
    asking: InProcess, pets: Head, rows: Rows
) -> None:
    wanted = [{"name": "probabilities", "parameters": {"classification": 7}}]
    (found,) = outputs(ask(asking, rows[0], outputs=wanted)).values()
    assert (found["datatype"], found["shape"]) == ("BYTES", [40, 2])
    for row, expected in enumerate(pets.predict_proba(rows[0])):
        best, second = (one.split(":") for one in found["data"][2 * row : 2 * row + 2])
        assert float(best[0]) >= float(second[0])
        assert abs(np.float32(best[0]) - expected[int(best[1])]) < AGREEMENT
        assert best[2] == CLASSES[int(best[1])]
    wanted[0]["parameters"]["classification"] = 1  # type: ignore[index]
    (found,) = outputs(ask(asking, rows[0], outputs=wanted)).values()
    assert found["shape"] == [40, 1]

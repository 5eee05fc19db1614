"""The Open Inference Protocol as its best-known client speaks it: tritonclient, unchanged."""

from collections.abc import Iterator

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from nmtune import Head
from nmtune.version import __version__
from tests.service.in_process import CLASSES, InProcess
from tests.support.http import serve

Rows = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def client(asking: InProcess) -> Iterator[triton.InferenceServerClient]:
    """A client of a running server that has the head pets@prod."""
    with (
        serve(asking.app) as running,
        triton.InferenceServerClient(running.url.removeprefix("http://")) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def pets(trained: bytes) -> Head:
    """The twin, in this process, of the head pets@prod."""
    return Head.from_bytes(trained)


def embeddings(
    x: np.ndarray, *, datatype: str = "FP32", binary: bool = True
) -> list[triton.InferInput]:
    tensor = triton.InferInput("embeddings", list(x.shape), datatype)
    tensor.set_data_from_numpy(x, binary_data=binary)
    return [tensor]


def check(answer: triton.InferResult, pets: Head, x: np.ndarray) -> None:
    probabilities = answer.as_numpy("probabilities")
    assert probabilities.dtype == np.float32
    assert np.allclose(probabilities, pets.predict_proba(x), rtol=0, atol=1e-5)
    labels = answer.as_numpy("labels")
    words = [label.decode() if isinstance(label, bytes) else label for label in labels]
    assert words == pets.predict(x)
    assert labels.shape == (len(x),)


def test_server_and_head_are_alive_and_ready(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("pets")
    assert client.is_model_ready("pets", "prod")
    assert not client.is_model_ready("cats")
    assert not client.is_model_ready("pets", "9")


def test_metadata_is_read(client: triton.InferenceServerClient) -> None:
    assert client.get_server_metadata()["version"] == __version__
    for name, version in (("pets", ""), ("pets", "1"), ("pets", "prod"), ("pets@prod", "")):
        found = client.get_model_metadata(name, version)
        assert found["inputs"] == [{"name": "embeddings", "datatype": "FP32", "shape": [-1, 3]}]
        assert found["outputs"][0]["parameters"]["classes"] == list(CLASSES)


@pytest.mark.parametrize(
    ("name", "version"), [("pets", ""), ("pets", "1"), ("pets", "prod"), ("pets@prod", "")]
)
def test_bytes_go_there_and_back(
    client: triton.InferenceServerClient, pets: Head, rows: Rows, name: str, version: str
) -> None:
    answer = client.infer(name, embeddings(rows[0]), model_version=version, request_id="a-b")
    check(answer, pets, rows[0])
    response = answer.get_response()
    assert (response["model_name"], response["model_version"]) == ("pets", "1")
    assert response["id"] == "a-b"


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
def test_numbers_and_bytes_may_be_mixed(
    client: triton.InferenceServerClient, pets: Head, rows: Rows, binary_in: bool, binary_out: bool
) -> None:
    wanted = [
        triton.InferRequestedOutput("labels", binary_data=binary_out),
        triton.InferRequestedOutput("probabilities", binary_data=True),
    ]
    answer = client.infer("pets", embeddings(rows[0], binary=binary_in), outputs=wanted)
    check(answer, pets, rows[0])


@pytest.mark.parametrize(("datatype", "dtype"), [("FP16", np.float16), ("FP64", np.float64)])
def test_other_floats_are_taken(
    client: triton.InferenceServerClient, pets: Head, rows: Rows, datatype: str, dtype: type
) -> None:
    x = rows[0].astype(dtype)
    check(client.infer("pets", embeddings(x, datatype=datatype)), pets, x.astype(np.float32))


def test_classes_are_named_by_the_classification_extension(
    client: triton.InferenceServerClient, pets: Head, rows: Rows
) -> None:
    wanted = [triton.InferRequestedOutput("probabilities", class_count=2)]
    named = client.infer("pets", embeddings(rows[0]), outputs=wanted).as_numpy("probabilities")
    assert named.shape == (40, 2)
    best = [one.decode().split(":")[2] for one in named[:, 0]]
    assert best == pets.predict(rows[0])


def test_what_others_send_along_passes(
    client: triton.InferenceServerClient, pets: Head, rows: Rows
) -> None:
    answer = client.infer(
        "pets",
        embeddings(rows[0]),
        priority=2,
        timeout=1_000_000,
        sequence_id=7,
        parameters={"of_others": "passes"},
        response_compression_algorithm="gzip",
    )
    check(answer, pets, rows[0])


def test_many_requests_are_answered_at_once(
    client: triton.InferenceServerClient, pets: Head, rows: Rows
) -> None:
    pending = [client.async_infer("pets", embeddings(rows[0])) for _ in range(20)]
    for one in pending:
        check(one.get_result(), pets, rows[0])


@pytest.mark.parametrize(
    ("name", "x", "status", "message"),
    [
        ("cats", np.ones((1, 3), np.float32), "404", "cats"),
        ("pets", np.ones((1, 4), np.float32), "422", "must have 3 columns"),
        ("pets", np.ones(3, np.float32), "400", "rows, columns"),
        ("pets", np.full((1, 3), np.nan, np.float32), "422", "row 0, column 0"),
        ("pets", np.ones((1001, 3), np.float32), "413", "at most 1,000"),
    ],
)
def test_refusals_reach_the_clients_user(
    client: triton.InferenceServerClient, name: str, x: np.ndarray, status: str, message: str
) -> None:
    with pytest.raises(InferenceServerException) as caught:
        client.infer(name, embeddings(x))
    assert caught.value.status() == status
    assert message in caught.value.message()


def test_a_wrong_name_or_type_of_the_input_is_refused(
    client: triton.InferenceServerClient,
) -> None:
    wrong_type = triton.InferInput("embeddings", [1, 3], "INT32")
    wrong_type.set_data_from_numpy(np.ones((1, 3), np.int32))
    wrong_name = triton.InferInput("input__0", [1, 3], "FP32")
    wrong_name.set_data_from_numpy(np.ones((1, 3), np.float32))
    for tensor, message in ((wrong_type, "FP32, FP16 or FP64"), (wrong_name, "named embeddings")):
        with pytest.raises(InferenceServerException, match=message):
            client.infer("pets", [tensor])


def test_compressed_requests_are_refused_with_the_reason(
    client: triton.InferenceServerClient,
) -> None:
    with pytest.raises(InferenceServerException, match="without compression"):
        client.infer(
            "pets", embeddings(np.ones((1, 3), np.float32)), request_compression_algorithm="gzip"
        )

"""A query parameter that no route knows is refused by name, on every path that is documented."""

import re
from typing import Any

import pytest

from tests.service.in_process import InProcess, assert_problem

HEADERS = {"Tus-Resumable": "1.0.0"}
OF_OPERATORS = {"/livez", "/readyz", "/metrics"}


def test_every_documented_path_refuses_a_parameter_that_it_does_not_know(
    client: InProcess,
) -> None:
    document: dict[str, Any] = client.get("/openapi.json").json()
    refused = 0
    for path, item in document["paths"].items():
        for method in item:
            if path in OF_OPERATORS:
                continue
            place = re.sub(r"\{\w+\}", "1", path)
            response = client(method.upper(), f"{place}?nonsense=1", headers=HEADERS)
            assert response.status_code == 422, (method, path)
            if method != "head":
                assert "'nonsense'" in response.text, (method, path)
            refused += 1
    assert refused > 30


def test_probes_and_scrapes_take_what_they_are_sent(client: InProcess) -> None:
    for path in OF_OPERATORS:
        assert client.get(f"{path}?verbose=1").status_code == 200


@pytest.mark.parametrize(
    ("call", "meant"),
    [
        (("POST", "/datasets?lable=species"), "label"),
        (("POST", "/jobs?plam=true"), "plan"),
        (("GET", "/jobs?limt=3"), "limit"),
        (("DELETE", "/heads/pets?forced=true"), "force"),
        (("GET", "/predict?head=pets&embeding=1,2"), "embedding"),
        (("POST", "/predict?topk=3"), "top_k"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_nearest_known_name_is_said(
    client: InProcess, call: tuple[str, str], meant: str
) -> None:
    method, target = call
    wrong = target.rpartition("?")[2].rpartition("&")[2].partition("=")[0]
    problem = assert_problem(client(method, target), 422, "invalid_request", wrong)
    assert f"did you mean {meant}?" in problem["detail"]


def test_a_path_without_parameters_says_so(client: InProcess) -> None:
    problem = assert_problem(client.get("/heads/pets?version=3"), 422, "invalid_request", "version")
    assert "takes none" in problem["detail"]

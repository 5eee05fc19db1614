"""JSON bodies of every kind are parsed or refused; none is an internal error."""

import gzip
import json
import time
from typing import Any

import pytest

from service.http.errors import Problem
from service.http.json_body import is_json, parse
from tests.service.in_process import InProcess, assert_problem

MARK = "MARKER"

# Each route that takes JSON, a body it would take, and the path to a value inside it.
ROUTES: list[tuple[str, str, dict[str, Any], list[str | int]]] = [
    (
        "POST",
        "/jobs",
        {"name": "pets", "embeddings": [[0.5], [1.5]], "labels": ["a", "b"], "config": {"l2": 1}},
        ["embeddings", 0, 0],
    ),
    (
        "POST",
        "/jobs",
        {"name": "pets", "dataset_id": "ds_1", "config": {"l2": 1}},
        ["config", "l2"],
    ),
    ("POST", "/jobs", {"name": "pets", "dataset_id": "ds_1"}, ["name"]),
    ("POST", "/jobs", {"name": "pets", "dataset_id": "ds_1"}, ["dataset_id"]),
    ("POST", "/predict", {"head": "pets", "embeddings": [[0.5]]}, ["embeddings", 0, 0]),
    ("POST", "/predict", {"head": "pets", "embeddings": [[0.5]]}, ["head"]),
    ("PUT", "/heads/pets/aliases/prod", {"version": 1}, ["version"]),
    ("POST", "/datasets", {"embeddings": [[0.5], [1.5]], "labels": ["a", "b"]}, ["labels", 0]),
]

# Raw JSON texts put in the place of that value; none may be a 500 anywhere.
VALUES = {
    "NaN": b"NaN",
    "Infinity": b"Infinity",
    "-Infinity": b"-Infinity",
    "1e999": b"1e999",
    "the string NaN": b'"NaN?"',
    "a lone surrogate": b'"\\ud800"',
    "an integer of 5000 digits": b"9" * 5000,
    "a depth of 100000": b"[" * 100_000 + b"]" * 100_000,
    "a depth of 900": b"[" * 900 + b"]" * 900,
    "objects in objects": b'{"a":' * 300 + b"1" + b"}" * 300,
    "bad UTF-8": b'"\xff\xfe"',
    "a NUL": b'"a\\u0000b"',
    "a raw control character": b'"a\x01b"',
    "a long string": b'"' + MARK.encode() * 20_000 + b'"',
    "thousands of wrong things": b"[" + b",".join([b'"MARKER"'] * 10_000) + b"]",
    "nothing": b"",
    "a number that is too large for anything": b"1e308",
    "a very large integer": b"99999999999999999999999",
    "a negative number": b"-5",
    "an empty object": b"{}",
}


def _bodies() -> list[Any]:
    bodies = []
    for method, path, whole, place in ROUTES:
        where = ".".join(map(str, place))
        for name, value in VALUES.items():
            marked = json.loads(json.dumps(whole))
            parent = marked
            for step in place[:-1]:
                parent = parent[step]
            parent[place[-1]] = "@@"
            body = json.dumps(marked).encode().replace(b'"@@"', value)
            bodies.append(pytest.param(method, path, body, id=f"{method} {path} {where}: {name}"))
    return bodies


@pytest.mark.parametrize(("method", "path", "body"), _bodies())
def test_no_body_is_an_internal_error_or_comes_back(
    refusing: InProcess, method: str, path: str, body: bytes
) -> None:
    began = time.perf_counter()
    response = refusing(method, path, content=body, headers={"content-type": "application/json"})
    if response.is_error:  # a few values are lawful in some places, such as -5 in a row
        assert response.status_code in (400, 404, 413, 422), response.text
        assert_problem(response, response.status_code, response.json()["code"])
    assert response.text.count(MARK) <= 12  # the first 40 characters may be quoted, twice
    assert time.perf_counter() - began < 30


@pytest.mark.parametrize(("method", "path"), sorted({(m, p) for m, p, _, _ in ROUTES}))
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"null", 422),
        (b"[]", 422),
        (b'"text"', 422),
        (b"7", 422),
        (b"{", 400),
        (b"{'a': 1}", 400),
        (b'{"a": 1,}', 400),
        (b"// no comments\n{}", 400),
        (b'{"\\ud800": 1}', 400),
        (b"\xef\xbb\xbf{}", 400),
        ('{"a": 1}'.encode("utf-16"), 400),
        ('{"a": 1}'.encode("utf-16-le"), 400),
        ('{"a": 1}'.encode("utf-32-be"), 400),
        (b"\x00", 400),
    ],
)
def test_a_body_that_is_no_json_object_is_refused(
    refusing: InProcess, method: str, path: str, body: bytes, status: int
) -> None:
    response = refusing(method, path, content=body, headers={"content-type": "application/json"})
    if body == b"":
        assert response.status_code in (400, 422)
    else:
        assert response.status_code == status, response.text
    assert_problem(response, response.status_code, response.json()["code"])


@pytest.mark.parametrize(("method", "path"), sorted({(m, p) for m, p, _, _ in ROUTES}))
def test_however_many_unknown_fields_are_one_wrong_thing(
    refusing: InProcess, method: str, path: str
) -> None:
    response = refusing(method, path, json={f"field_{i}": 0 for i in range(1000)})
    assert assert_problem(response, 422, "invalid_request")["count"] == 1


@pytest.mark.parametrize(("method", "path"), [("POST", "/jobs"), ("PUT", "/heads/a/aliases/b")])
@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "nonsense", None]
)
def test_another_content_type_is_refused(
    refusing: InProcess, method: str, path: str, content_type: str | None
) -> None:
    headers = {} if content_type is None else {"content-type": content_type}
    response = refusing(method, path, content=b'{"version": 1}', headers=headers)
    assert_problem(response, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"a": 1,\n "b": NaN}', "Line 2, column 7: NaN and Infinity are not JSON"),
        (b'{"a":\n\n  -Infinity}', "Line 3, column 4: NaN and Infinity are not JSON"),
        (b'{"a": 1e999}', "Line 1, column 7: this number is too large"),
        (b'{"a":\n"\xff"}', "Line 2, column 2: this byte is not valid UTF-8"),
        (b"\xff", "Line 1, column 1: this byte is not valid UTF-8"),
        (b'"\\udc00"', "half a surrogate pair"),
        (b"[" * 2000, "nested deeper than 1024 levels"),
        (b"", "the body is empty"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b'{\x00"\x00a\x00"\x00', "UTF-16"),
    ],
)
def test_the_reason_says_where_and_what(body: bytes, said: str) -> None:
    with pytest.raises(Problem) as caught:
        parse(body)
    assert caught.value.code == "invalid_json"
    assert said in str(caught.value.detail)


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("application/problem+json", True),
        ("text/json", False),
        ("application/jsonl", False),
        ("", False),
        (None, False),
    ],
)
def test_which_content_types_are_json(content_type: str | None, expected: bool) -> None:
    assert is_json(content_type) is expected


@pytest.mark.parametrize(
    "packed", [gzip.compress(b"{}"), b"\x28\xb5\x2f\xfd\x00"], ids=["gzip", "zstd"]
)
def test_a_packed_body_is_called_packed(client: InProcess, packed: bytes) -> None:
    for path in ("/jobs", "/predict", "/predictions", "/datasets"):
        headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        answer = client.post(path, content=packed, headers=headers)
        assert "compressed" in assert_problem(answer, 400, "invalid_json")["detail"]

"""Notes on a head version: set with the job or later, or refused."""

from typing import Any

import pytest

from store.store import Store
from tests.service.in_process import InProcess, add_dataset, assert_problem, claim, publish, succeed

PATH = "/heads/pets/versions/1"


def test_a_jobs_notes_go_to_the_version_that_it_publishes(
    client: InProcess, store: Store, trained: bytes
) -> None:
    body = {
        "name": "pets",
        "dataset_id": add_dataset(store),
        "description": "with the labels of May\nné 東京",
        "tags": {"ticket": "ML-12", "team": ""},
    }
    job = client.post("/jobs", json=body).json()
    assert (job["description"], job["tags"]) == (body["description"], body["tags"])
    succeed(store, claim(store, job["id"]), trained)
    version = client.get(PATH).json()
    assert (version["description"], version["tags"]) == (body["description"], body["tags"])
    assert client.get("/heads").json()["items"][0]["versions"] == [version]


def test_notes_are_changed_and_nothing_else_is(
    client: InProcess, store: Store, trained: bytes
) -> None:
    publish(store, trained)
    publish(store, trained)
    before = client.get(PATH).json()
    assert (before["description"], before["tags"]) == (None, {})
    noted = client("PATCH", PATH, json={"description": "good", "tags": {"a": "1", "b": "2"}})
    assert noted.status_code == 200
    assert noted.json() == before | {"description": "good", "tags": {"a": "1", "b": "2"}}
    # what is left out stays; tags are replaced as a whole
    assert client("PATCH", PATH, json={"tags": {"c": "3"}}).json()["tags"] == {"c": "3"}
    assert client("PATCH", PATH, json={}).json() == before | {
        "description": "good",
        "tags": {"c": "3"},
    }
    assert client("PATCH", PATH, json={"description": None, "tags": {}}).json() == before
    assert client.get("/heads/pets/versions/2").json()["tags"] == {}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"description": "x" * 2001}, "description"),
        ({"description": "a\x00b"}, "description"),
        ({"description": 3}, "description"),
        ({"tags": None}, "tags"),
        ({"tags": ["a"]}, "tags"),
        ({"tags": {str(number): "" for number in range(21)}}, "tags"),
        ({"tags": {"a": "x" * 201}}, "tags.a"),
        ({"tags": {"a": 1}}, "tags.a"),
        ({"tags": {"a": "\x00"}}, "tags.a"),
        ({"tags": {"": "x"}}, None),
        ({"tags": {"a b": "x"}}, None),
        ({"note": "x"}, "note"),
    ],
)
def test_notes_that_cannot_be_kept_are_refused(
    client: InProcess, store: Store, trained: bytes, body: dict[str, Any], field: str | None
) -> None:
    publish(store, trained)
    before = client.get(PATH).json()
    assert_problem(client("PATCH", PATH, json=body), 422, "invalid_request", field)
    if "note" not in body:
        job = {"name": "pets", "dataset_id": before["dataset_id"], **body}
        assert_problem(client.post("/jobs", json=job), 422, "invalid_request", field)
    assert client.get(PATH).json() == before


@pytest.mark.parametrize("name", ["bad name", "", "a/b", "[key]", "\n", "x" * 65, "é"])
def test_a_tag_that_cannot_be_so_called_is_named(
    client: InProcess, store: Store, trained: bytes, name: str
) -> None:
    publish(store, trained)
    answer = client("PATCH", PATH, json={"tags": {"good": "1", name: "2"}})
    shown = "?" if name == "\n" else name
    field = f"tags.{shown}"
    problem = assert_problem(answer, 422, "invalid_request", field)
    assert problem["detail"] == (
        f"The tag '{shown}' must be 1 to 64 letters, digits, '.', '_' or '-', and begin with a "
        "letter or digit."
    )


def test_what_is_not_there_cannot_be_noted(client: InProcess) -> None:
    assert_problem(client("PATCH", PATH, json={"description": "x"}), 404, "not_found")

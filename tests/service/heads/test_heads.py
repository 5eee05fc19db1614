"""The registry's routes: heads, versions and aliases, compared, rolled back and deleted."""

import hashlib

import pytest

from store.store import Store
from tests.service.in_process import CLASSES, InProcess, assert_problem, publish


@pytest.fixture
def pets(store: Store, trained: bytes) -> None:
    """The head pets with the versions 1 (alias old) and 2 (alias prod)."""
    publish(store, trained, alias="old")
    publish(store, trained, alias="prod")


@pytest.mark.usefixtures("pets")
def test_a_head_shows_its_versions_and_aliases(client: InProcess) -> None:
    head = client.get("/heads/pets").json()
    assert (head["name"], head["latest_version"]) == ("pets", 2)
    assert head["aliases"] == {"old": 1, "prod": 2}
    assert [version["version"] for version in head["versions"]] == [2, 1]
    assert client.get("/heads").json() == {"items": [head], "next_cursor": None}
    version = client.get("/heads/pets/versions/2").json()
    assert version == head["versions"][0]
    assert version["classes"] == list(CLASSES)
    assert version["aliases"] == ["prod"]


def test_heads_are_listed_by_pages(client: InProcess, store: Store, trained: bytes) -> None:
    for name in ("a", "b", "c"):
        publish(store, trained, name=name)
    first = client.get("/heads?limit=2").json()
    rest = client.get("/heads", params={"cursor": first["next_cursor"]}).json()
    assert [head["name"] for head in first["items"] + rest["items"]] == ["c", "b", "a"]


@pytest.mark.usefixtures("pets")
def test_an_alias_is_moved_and_made(client: InProcess) -> None:
    moved = client.put("/heads/pets/aliases/prod", json={"version": 1})
    assert (moved.status_code, moved.json()["aliases"]) == (200, ["old", "prod"])
    assert client.put("/heads/pets/aliases/prod", json={"version": 1}).json() == moved.json()
    client.put("/heads/pets/aliases/next", json={"version": 2})
    assert client.get("/heads/pets").json()["aliases"] == {"old": 1, "prod": 1, "next": 2}


@pytest.mark.usefixtures("pets")
def test_a_version_tells_what_it_was_made_from_and_with(client: InProcess) -> None:
    version = client.get("/heads/pets/versions/2").json()
    lineage = version["lineage"]
    assert lineage["job_id"] == version["job_id"]
    assert lineage["dataset_id"] == version["dataset_id"]
    assert lineage["dataset_sha256"] == hashlib.sha256(b"dataset").hexdigest()
    assert (lineage["encoder"], lineage["seed"], lineage["nmtune_version"]) == (None, 0, "0.1.0")
    assert lineage["machine"]["device"] == "cpu"


@pytest.mark.usefixtures("pets")
def test_two_versions_are_compared_by_number_or_alias(client: InProcess) -> None:
    found = client.get("/heads/pets/compare?from=1&to=prod").json()
    assert (found["from"]["version"], found["to"]["version"]) == (1, 2)
    assert found["paired"] is False
    assert "kept no results by row" in found["note"]
    assert found["verdict"] == "pets@1 and pets@2 are the same head, byte for byte."
    accuracy = found["splits"][0]["metrics"]["accuracy"]
    assert (accuracy["from"], accuracy["to"], accuracy["difference"]) == (1.0, 1.0, 0.0)
    assert set(found["lineage"]) == {"job_id", "dataset_id"}
    assert_problem(client.get("/heads/pets/compare?from=1&to=9"), 404, "not_found")
    assert_problem(client.get("/heads/pets/compare?from=1"), 422, "invalid_request", "to")


@pytest.mark.usefixtures("pets")
def test_an_alias_is_rolled_back_in_one_call(client: InProcess) -> None:
    client.put("/heads/pets/aliases/prod", json={"version": 1})
    back = client.post("/heads/pets/aliases/prod/rollback")
    assert (back.status_code, back.json()["version"]) == (200, 2)
    assert client.get("/heads/pets").json()["aliases"] == {"old": 1, "prod": 2}
    again = client.post("/heads/pets/aliases/prod/rollback")
    assert_problem(again, 409, "nothing_to_roll_back")
    assert_problem(client.post("/heads/pets/aliases/none/rollback"), 404, "not_found")


@pytest.mark.usefixtures("pets")
def test_a_rollback_that_is_sent_again_goes_back_once(client: InProcess) -> None:
    for version in (1, 2, 1):
        client.put("/heads/pets/aliases/prod", json={"version": version})
    headers = {"Idempotency-Key": "once"}
    first = client.post("/heads/pets/aliases/prod/rollback?from=1", headers=headers)
    second = client.post("/heads/pets/aliases/prod/rollback?from=1", headers=headers)
    assert (first.json()["version"], second.json()) == (2, first.json())
    assert second.headers["idempotent-replayed"] == "true"
    assert client.get("/heads/pets").json()["aliases"]["prod"] == 2
    moved = client.post("/heads/pets/aliases/prod/rollback?from=1")
    assert_problem(moved, 409, "nothing_to_roll_back")


@pytest.mark.usefixtures("pets")
def test_an_alias_is_deleted_and_its_version_stays(client: InProcess) -> None:
    assert client.delete("/heads/pets/aliases/old").status_code == 204
    assert client.get("/heads/pets").json()["aliases"] == {"prod": 2}
    assert_problem(client.delete("/heads/pets/aliases/old"), 404, "not_found")
    assert client.get("/heads/pets/versions/1").status_code == 200


def test_a_version_is_deleted_with_its_bytes_and_predictions_end(
    client: InProcess, store: Store, trained: bytes
) -> None:
    publish(store, trained, alias="prod")
    sha256 = client.get("/heads/pets/versions/1").json()["sha256"]
    refused = assert_problem(client.delete("/heads/pets/versions/1"), 409, "head_in_use")
    assert "pets@prod" in refused["detail"]
    assert client.get("/predict?head=pets@prod&embedding=1,0,0.3").status_code == 200
    assert client.delete("/heads/pets/versions/1?force=true").status_code == 204
    assert_problem(client.get("/predict?head=pets@prod&embedding=1,0,0.3"), 404, "not_found")
    assert_problem(client.get("/heads/pets"), 404, "not_found")
    assert not store.artifacts.exists("default", sha256)
    job = client.get("/jobs").json()["items"][0]
    assert job["head"] == {"name": "pets", "version": 1}
    assert client.get(f"/jobs/{job['id']}/report").status_code == 200


@pytest.mark.usefixtures("pets")
def test_a_head_is_deleted_whole_and_its_numbers_go_on(
    client: InProcess, store: Store, trained: bytes
) -> None:
    assert_problem(client.delete("/heads/pets"), 409, "head_in_use")
    for alias in ("old", "prod"):
        client.delete(f"/heads/pets/aliases/{alias}")
    assert client.delete("/heads/pets").status_code == 204
    assert client.get("/heads").json()["items"] == []
    assert_problem(client.delete("/heads/pets"), 404, "not_found")
    publish(store, trained)
    assert client.get("/heads/pets").json()["latest_version"] == 3


@pytest.mark.parametrize(
    "path", ["/heads/none", "/heads/none/versions/1", "/heads/pets/versions/3"]
)
@pytest.mark.usefixtures("pets")
def test_what_is_not_there_is_not_found(client: InProcess, path: str) -> None:
    assert_problem(client.get(path), 404, "not_found")


@pytest.mark.usefixtures("pets")
def test_an_alias_needs_a_head_and_a_version(client: InProcess) -> None:
    for path, version in (("/heads/pets/aliases/x", 3), ("/heads/none/aliases/x", 1)):
        assert_problem(client.put(path, json={"version": version}), 404, "not_found")
    assert client.get("/heads/pets").json()["aliases"] == {"old": 1, "prod": 2}


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("GET", "/heads/..%5c", None, "name"),
        ("GET", "/heads/.hidden", None, "name"),
        ("GET", "/heads/a%00", None, "name"),
        ("GET", "/heads/" + "x" * 300, None, "name"),
        ("GET", "/heads/pets/versions/0", None, "version"),
        ("GET", "/heads/pets/versions/-1", None, "version"),
        ("GET", "/heads/pets/versions/two", None, "version"),
        ("GET", "/heads/pets/versions/99999999999999999999", None, "version"),
        ("GET", "/heads?limit=0", None, "limit"),
        ("GET", "/heads?status=queued", None, "status"),
        ("GET", "/heads/pets/compare?from=1&to=a%20b", None, "to"),
        ("GET", "/heads/pets/compare?to=1", None, "from"),
        ("GET", "/heads/pets/compare?from=1&to=2&x=3", None, "x"),
        ("DELETE", "/heads/pets/versions/0", None, "version"),
        ("DELETE", "/heads/pets/versions/1?force=maybe", None, "force"),
        ("DELETE", "/heads/.hidden", None, "name"),
        ("POST", "/heads/pets/aliases/latest/rollback", None, "alias"),
        ("POST", "/heads/pets/aliases/prod/rollback?from=0", None, "from"),
        ("PUT", "/heads/pets/aliases/latest", {"version": 1}, "alias"),
        ("PUT", "/heads/pets/aliases/12", {"version": 1}, "alias"),
        ("PUT", "/heads/pets/aliases/a%20b", {"version": 1}, "alias"),
        ("PUT", "/heads/pets/aliases/prod", {}, "version"),
        ("PUT", "/heads/pets/aliases/prod", {"version": 0}, "version"),
        ("PUT", "/heads/pets/aliases/prod", {"version": "1"}, "version"),
        ("PUT", "/heads/pets/aliases/prod", {"version": True}, "version"),
        ("PUT", "/heads/pets/aliases/prod", {"version": 1.5}, "version"),
        ("PUT", "/heads/pets/aliases/prod", {"version": 2**63}, "version"),
        ("PUT", "/heads/pets/aliases/prod", {"version": 1, "head": "x"}, "head"),
    ],
)
def test_a_wrong_request_names_the_field(
    refusing: InProcess, method: str, path: str, body: object, field: str
) -> None:
    response = refusing(method, path) if body is None else refusing(method, path, json=body)
    assert_problem(response, 422, "invalid_request", field)


def test_a_cursor_of_another_list_is_refused(
    client: InProcess, store: Store, trained: bytes
) -> None:
    for name in ("a", "b"):
        publish(store, trained, name=name)
    cursor = client.get("/jobs?limit=1").json()["next_cursor"]
    assert_problem(client.get("/heads", params={"cursor": cursor}), 422, "invalid_cursor", "cursor")

import pytest

from store.store import Store
from tests.service.support import CLASSES, InProcess, assert_problem, publish


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

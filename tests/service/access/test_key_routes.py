"""Routes of keys: a key is shown once, and never leaves its tenant."""

from datetime import datetime, timedelta

import pytest

from store.access import secrets as made
from store.access import tenants
from store.store import Store
from tests.service.access.asking import Asking
from tests.service.in_process import assert_problem
from tests.store.access.access_calls import make_key


def test_a_key_is_made_used_and_shown_once(ask: Asking, secrets: dict[str, str]) -> None:
    admin = secrets["admin"]
    body = {"name": "web", "scopes": ["predict"], "heads": ["pets"]}
    answer = ask.with_key(admin, "POST", "/keys", json=body)
    assert answer.status_code == 201, answer.text
    assert answer.headers["cache-control"] == "no-store"
    told = answer.json()
    key = told.pop("key")
    assert made.is_key(key)
    assert told["hint"] == f"nmk_...{key[-4:]}"
    created, expires = (datetime.fromisoformat(told[n]) for n in ("created_at", "expires_at"))
    assert expires - created == timedelta(days=90)
    assert not told["never_expires"]
    who = ask.with_key(key, "GET", "/identity").json()
    assert (who["key_id"], who["name"], who["heads"]) == (told["id"], "web", ["pets"])
    shown = ask.with_key(admin, "GET", f"/keys/{told['id']}")
    assert shown.json() | {"last_used_at": None} == told
    listed = ask.with_key(admin, "GET", "/keys").json()["items"]
    assert listed[0]["name"] == "web"
    assert {one["name"] for one in listed} == {"web", *secrets}
    for answer in (shown, ask.with_key(admin, "GET", "/keys")):
        assert key not in answer.text


def test_a_key_without_an_end_is_marked(ask: Asking, secrets: dict[str, str]) -> None:
    body = {"name": "ever", "scopes": ["read"], "expires_in_seconds": "never"}
    told = ask.with_key(secrets["admin"], "POST", "/keys", json=body).json()
    assert (told["expires_at"], told["never_expires"]) == (None, True)


WRONG = {
    "no name": ({"scopes": ["read"]}, "name"),
    "no scope": ({"name": "a", "scopes": []}, "scopes"),
    "unknown scope": ({"name": "a", "scopes": ["root"]}, "scopes"),
    "heads of a reader": ({"name": "a", "scopes": ["read"], "heads": ["pets"]}, "scopes"),
    "no heads": ({"name": "a", "scopes": ["predict"], "heads": []}, "heads"),
    "a version for a head": ({"name": "a", "scopes": ["predict"], "heads": ["a@1"]}, "heads"),
    "negative": ({"name": "a", "scopes": ["read"], "expires_in_seconds": -1}, None),
    "a word": ({"name": "a", "scopes": ["read"], "expires_in_seconds": "soon"}, None),
    "of another tenant": ({"name": "a", "scopes": ["read"], "tenant_id": "b"}, "tenant_id"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_wish_is_refused(ask: Asking, secrets: dict[str, str], wrong: str) -> None:
    body, field = WRONG[wrong]
    answer = ask.with_key(secrets["admin"], "POST", "/keys", json=body)
    assert answer.status_code == 422
    assert answer.json()["code"] in {"invalid_request", "invalid_scope"}
    if field is not None:
        assert answer.json()["errors"][0]["field"] == field
    assert "nmk_" not in answer.text


def test_a_key_is_revoked_at_once(ask: Asking, secrets: dict[str, str], store: Store) -> None:
    new = make_key(store, scopes=["read"])
    assert ask.with_key(new.secret, "GET", "/jobs").status_code == 200
    answer = ask.with_key(secrets["admin"], "DELETE", f"/keys/{new.key.id}")
    assert answer.status_code == 200
    assert answer.json()["revoked_at"] is not None
    assert_problem(ask.with_key(new.secret, "GET", "/jobs"), 401, "key_invalid")
    again = ask.with_key(secrets["admin"], "DELETE", f"/keys/{new.key.id}")
    assert again.json() == answer.json()


def test_the_last_admin_key_is_kept(ask: Asking, secrets: dict[str, str]) -> None:
    admin = secrets["admin"]
    key_id = ask.with_key(admin, "GET", "/identity").json()["key_id"]
    answer = ask.with_key(admin, "DELETE", f"/keys/{key_id}")
    assert "force=true" in assert_problem(answer, 409, "last_admin_key")["detail"]
    assert ask.with_key(admin, "DELETE", f"/keys/{key_id}?force=true").status_code == 200
    assert_problem(ask.with_key(admin, "GET", "/keys"), 401, "key_invalid")


def test_a_rotated_key_gives_way(ask: Asking, secrets: dict[str, str], store: Store) -> None:
    admin = secrets["admin"]
    old = make_key(store, name="web", scopes=["predict"])
    path = f"/keys/{old.key.id}/rotate"
    assert ask.with_key(old.secret, "GET", "/heads").status_code == 200
    answer = ask.with_key(admin, "POST", path, json={"overlap_seconds": 3600})
    assert answer.status_code == 201, answer.text
    new = answer.json()["key"]
    for key in (old.secret, new):
        assert ask.with_key(key, "GET", "/heads").status_code == 200
    assert_problem(ask.with_key(admin, "POST", path, json={}), 409, "key_ended")
    for overlap in (-1, 7 * 86_400 + 1):
        refused = ask.with_key(admin, "POST", path, json={"overlap_seconds": overlap})
        assert_problem(refused, 422, "invalid_request", "overlap_seconds")


def test_without_overlap_the_old_key_ends_at_once(
    ask: Asking, secrets: dict[str, str], store: Store
) -> None:
    old = make_key(store, scopes=["predict"])
    assert ask.with_key(old.secret, "GET", "/heads").status_code == 200
    path = f"/keys/{old.key.id}/rotate"
    assert ask.with_key(secrets["admin"], "POST", path, json={"overlap_seconds": 0}).is_success
    assert_problem(ask.with_key(old.secret, "GET", "/heads"), 401, "key_invalid")


def test_keys_of_another_tenant_are_not_there(
    ask: Asking, secrets: dict[str, str], store: Store
) -> None:
    with store.database.begin() as tx:
        tenants.create(tx, "theirs")
    theirs = make_key(store, "theirs")
    admin = secrets["admin"]
    for method, path in (
        ("GET", f"/keys/{theirs.key.id}"),
        ("DELETE", f"/keys/{theirs.key.id}"),
        ("POST", f"/keys/{theirs.key.id}/rotate"),
    ):
        assert_problem(ask.with_key(admin, method, path, json={}), 404, "not_found")
    mine = {one["id"] for one in ask.with_key(admin, "GET", "/keys").json()["items"]}
    assert theirs.key.id not in mine
    listed = ask.with_key(theirs.secret, "GET", "/keys").json()["items"]
    assert [one["id"] for one in listed] == [theirs.key.id]
    assert ask.with_key(theirs.secret, "GET", "/identity").json()["tenant_id"] == "theirs"

"""GET /audit and its page: filters, pages, JSON lines, and who may see them."""

import json
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert

from service.audit import routes
from store.access import audit
from store.access.keys import NewKey
from store.database import tables
from store.database.clock import now
from store.store import Store
from tests.service.access.asking import Asking
from tests.service.in_process import assert_problem
from tests.store.access.access_calls import make_key
from tests.store.made_rows import statements

N_ENTRIES = 5
LINES = {"Accept": "application/x-ndjson"}


@pytest.fixture
def entries(store: Store) -> list[audit.Entry]:
    """Acts of two actors, newest first."""
    for number in range(N_ENTRIES):
        with store.database.begin() as tx:
            actor = audit.operator("default") if number % 2 else audit.worker("default", "w-1")
            audit.note(tx, actor, f"head.act{number % 2}", f"pets@{number}", number=number)
    with store.database.read() as tx:
        return list(audit.page(tx, "default").items)


def asked(ask: Asking, admin: NewKey, **query: Any) -> list[int]:
    """The numbers of the acts that a query lists."""
    answer = ask.with_key(admin.secret, "GET", "/audit", params=query)
    assert answer.status_code == 200, answer.text
    return [one["details"]["number"] for one in answer.json()["items"]]


def test_acts_are_listed_newest_first_page_by_page(
    ask: Asking, admin: NewKey, entries: list[audit.Entry]
) -> None:
    found: list[int] = []
    cursor = None
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = ask.with_key(admin.secret, "GET", "/audit", params=query).json()
        found += [one["details"]["number"] for one in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert found == [4, 3, 2, 1, 0]
    assert len(entries) == N_ENTRIES


def test_filters(ask: Asking, admin: NewKey, entries: list[audit.Entry]) -> None:
    assert asked(ask, admin, actor="w-1") == [4, 2, 0]
    assert asked(ask, admin, action="head.act1") == [3, 1]
    assert asked(ask, admin, target="pets@3") == [3]
    assert asked(ask, admin, actor="w-1", target="pets@3") == []
    later = (entries[0].at + timedelta(seconds=1)).isoformat()
    assert asked(ask, admin, until=later) == [4, 3, 2, 1, 0]
    assert asked(ask, admin, since=later) == []
    assert asked(ask, admin, since=entries[-1].at.isoformat()) == [4, 3, 2, 1, 0]


WRONG = {
    "no zone": ({"since": "2026-12-01T00:00:00"}, "since"),
    "no time": ({"until": "soon"}, "until"),
    "a NUL": ({"target": "a\0"}, "target"),
    "no cursor of ours": ({"cursor": "x"}, "cursor"),
    "too many": ({"limit": 201}, "limit"),
    "unknown": ({"actions": "a"}, "actions"),
    "a form": ({"format": "csv"}, "format"),
    "a cursor of lines": ({"format": "jsonl", "cursor": "x"}, "cursor"),
    "before the calendar": ({"since": "0001-01-01T00:00:00+14:00"}, "since"),
    "after the calendar": ({"until": "9999-12-31T23:59:59-14:00"}, "until"),
    "a limit of lines": ({"format": "jsonl", "limit": 5}, "limit"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_named(ask: Asking, admin: NewKey, wrong: str) -> None:
    query, field = WRONG[wrong]
    answer = ask.with_key(admin.secret, "GET", "/audit", params=query)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"] == field


def test_only_administrators_see_it(ask: Asking, store: Store) -> None:
    key = make_key(store, scopes=["write"]).secret
    assert_problem(ask.with_key(key, "GET", "/audit"), 403, "scope_missing")
    assert ask.with_key(key, "GET", "/ui/audit").status_code == 403
    assert "ui/audit" not in ask.with_key(key, "GET", "/ui/jobs").text


@pytest.mark.parametrize("how", [{"headers": LINES}, {"params": {"format": "jsonl"}}])
def test_json_lines_have_everything(
    ask: Asking, admin: NewKey, entries: list[audit.Entry], how: dict[str, Any]
) -> None:
    answer = ask.with_key(admin.secret, "GET", "/audit", **how)
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    assert "audit.jsonl" in answer.headers["content-disposition"]
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [line["id"] for line in lines] == [one.id for one in entries]
    assert ask.with_key(admin.secret, "GET", "/audit").headers["vary"] == "Accept"


def test_json_lines_are_read_a_page_at_a_time(
    ask: Asking, admin: NewKey, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each part that is sent is one page of rows, so memory does not grow with the file."""
    monkeypatch.setattr(routes, "MAX_LIMIT", 100)
    columns = {"tenant_id": "default", "actor_kind": "key", "actor_id": "k", "action": "a.b"}
    columns |= {"target": "t", "outcome": "done", "details": {}}
    with store.database.begin() as tx:
        rows = [columns | {"id": f"aud_{n:06}"} for n in range(1050)]
        tx.execute(insert(tables.audit).values(at=now()), rows)
    with statements() as sent:
        answer = ask.with_key(admin.secret, "GET", "/audit", headers=LINES)
    assert len(set(answer.text.splitlines())) == 1050
    assert len([one for one in sent if "FROM audit" in str(one)]) == 11


def test_nothing_done_is_an_empty_file(ask: Asking, admin: NewKey) -> None:
    answer = ask.with_key(admin.secret, "GET", "/audit", headers=LINES)
    assert (answer.status_code, answer.text) == (200, "")


def test_the_page_shows_the_acts_and_keeps_its_filters(
    ask: Asking, admin: NewKey, entries: list[audit.Entry]
) -> None:
    page = ask.with_key(admin.secret, "GET", "/ui/audit?actor=w-1&action=&limit=2")
    assert page.status_code == 200
    assert "pets@4" in page.text
    assert "pets@3" not in page.text
    assert 'value="w-1"' in page.text
    assert "actor=w-1&amp;cursor=" in page.text
    assert 'aria-current="page">Audit' in page.text
    assert "format=jsonl&amp;actor=w-1" in page.text
    nothing = ask.with_key(admin.secret, "GET", "/ui/audit?target=nothing")
    assert "Nothing matches." in nothing.text
    assert ask.with_key(admin.secret, "GET", "/ui/audit?since=soon").status_code == 422
    assert ask.with_key(admin.secret, "GET", "/ui/audit?colour=red").status_code == 422
    assert len(entries) == N_ENTRIES

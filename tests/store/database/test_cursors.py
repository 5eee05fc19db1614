"""Cursors: what was given comes back, anything else is refused."""

import base64
from datetime import UTC, datetime

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from store import jobs
from store.database import cursors
from store.errors import InvalidCursor
from store.store import Store

moments = st.datetimes(
    min_value=datetime(1970, 1, 1),  # noqa: DTZ001  the strategy adds the zone
    max_value=datetime(2900, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
keys = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True)


@given(at=moments, key=keys)
def test_a_cursor_comes_back_as_its_row_and_fits_in_a_url(at: datetime, key: str) -> None:
    cursor = cursors.encode("jobs", at, key)
    assert cursors.decode("jobs", cursor) == (at, key)
    assert cursor.replace("-", "").replace("_", "").isalnum()


@given(at=moments, key=keys, place=st.integers(0), character=st.characters())
def test_an_edited_cursor_is_refused(at: datetime, key: str, place: int, character: str) -> None:
    cursor = cursors.encode("jobs", at, key)
    place %= len(cursor)
    edited = cursor[:place] + character + cursor[place + 1 :]
    assume(edited != cursor)
    with pytest.raises(InvalidCursor):
        cursors.decode("jobs", edited)


@given(text=st.text())
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidCursor, match="without a cursor"):
        cursors.decode("jobs", text)


def test_the_cursor_of_another_list_is_refused() -> None:
    cursor = cursors.encode("jobs", datetime.now(UTC), "job_1")
    with pytest.raises(InvalidCursor):
        cursors.decode("datasets", cursor)


@pytest.mark.parametrize("change", [lambda c: c + "=", lambda c: c[:-1], lambda c: c + "AAAA"])
def test_padding_and_cuts_are_refused(change) -> None:  # type: ignore[no-untyped-def]  # a lambda
    cursor = cursors.encode("jobs", datetime.now(UTC), "job_1")
    with pytest.raises(InvalidCursor):
        cursors.decode("jobs", change(cursor))


def test_a_moment_out_of_range_is_refused_even_with_a_right_digest() -> None:
    payload = f"{10**18 - 1}.job_1"
    digest = cursors._digest("jobs", payload)
    forged = base64.urlsafe_b64encode(digest + payload.encode()).decode().rstrip("=")
    with pytest.raises(InvalidCursor):
        cursors.decode("jobs", forged)


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_a_page_has_bounds(store: Store, limit: int) -> None:
    with store.database.read() as tx, pytest.raises(ValueError, match="limit"):
        jobs.page(tx, "default", limit=limit)


def test_a_place_comes_back_as_it_went() -> None:
    cursor = cursors.encode_place("rows of a", 4_999_999)
    assert cursors.decode_place("rows of a", cursor) == 4_999_999
    for kind, text in (("rows of b", cursor), ("rows of a", cursor[:-1]), ("rows of a", "ä")):
        with pytest.raises(InvalidCursor):
            cursors.decode_place(kind, text)


@pytest.mark.parametrize("payload", ["-1", "007", "1.job_1", "x", ""])
def test_a_place_is_a_plain_number(payload: str) -> None:
    with pytest.raises(InvalidCursor):
        cursors.decode_place("rows", cursors._sealed("rows", payload))

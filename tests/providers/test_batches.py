"""Batches by items, tokens and bytes; what is learnt; and the pace."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.batches import Caps, bounded, split
from providers.pace import Pace, Stopped
from providers.provider import Limits, estimated_tokens


@given(
    texts=st.lists(st.text(max_size=60), max_size=60),
    max_items=st.integers(1, 10),
    max_tokens=st.integers(1, 100),
    max_bytes=st.integers(1, 300),
)
def test_every_text_is_in_one_batch_that_fits(
    texts: list[str], max_items: int, max_tokens: int, max_bytes: int
) -> None:
    limits = Limits(
        max_items=max_items, max_tokens=max_tokens, max_text_tokens=20, max_bytes=max_bytes
    )
    batches = list(split(texts, limits, range(len(texts))))
    assert [place for batch in batches for place in batch.places] == list(range(len(texts)))
    for batch in batches:
        sizes = [len(text.encode()) for text in batch.texts]
        assert len(sizes) == len(batch.places) <= max_items
        assert sum(sizes) <= max_bytes
        assert len(sizes) == 1 or sum(map(estimated_tokens, batch.texts)) <= max_tokens
        for place, text in zip(batch.places, batch.texts, strict=True):
            assert texts[place].startswith(text)
            assert (text != texts[place]) == (place in batch.cut)


def test_a_text_beyond_all_measure_is_cut_at_a_character() -> None:
    limits = Limits(max_items=1, max_tokens=1, max_text_tokens=10)
    text, is_cut = bounded("é" * 1000, limits)
    assert (text, is_cut) == ("é" * 60, True)
    assert bounded("short", limits) == ("short", False)


def test_what_a_refused_request_had_most_of_is_allowed_half_of() -> None:
    limits = Limits(max_items=100, max_tokens=10_000, max_text_tokens=8000)
    many_short, one_long = list(split(["a"] * 100, limits, range(100))), ["word " * 3000]
    caps = Caps(limits)
    caps.learn(many_short[0])
    assert (caps.now.max_items, caps.now.max_tokens) == (50, 10_000)
    caps = Caps(limits)
    caps.learn(next(split(one_long, limits, [0])))
    assert (caps.now.max_items, caps.now.max_tokens) == (100, 2501)


def test_the_pace_grows_by_one_a_round_and_halves() -> None:
    pace = Pace(8)
    for _ in range(100):
        pace.went_well()
    assert pace.allowed == 8
    pace.was_refused(None)
    assert pace.allowed == 4
    for _ in range(5):
        pace.was_refused(None)
    assert pace.allowed == 1
    pace.stop()
    with pytest.raises(Stopped), pace.turn():
        raise AssertionError

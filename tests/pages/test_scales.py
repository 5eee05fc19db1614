"""Scales and ticks of the drawings, whatever the values."""

import itertools
import math
import xml.etree.ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from pages import svg

VALUES = st.lists(
    st.floats(min_value=-1e12, max_value=1e12, allow_subnormal=False), min_size=1, max_size=30
)
POSITIVE = st.lists(st.floats(min_value=1e-12, max_value=1e12), min_size=1, max_size=30)
ENDS = st.sampled_from([(50.0, 600.0), (200.0, 20.0)])  # an x axis; a y axis, which grows upwards
ROUNDING = 1e-6


@given(values=VALUES, ends=ENDS)
def test_a_linear_axis_holds_its_values_in_order(
    values: list[float], ends: tuple[float, float]
) -> None:
    scale = svg.Linear.over(values, *ends)
    places = [scale(value) for value in sorted(values)]
    assert all(min(ends) - ROUNDING <= place <= max(ends) + ROUNDING for place in places)
    assert places == sorted(places, reverse=ends[0] > ends[1])
    assert scale(scale.low) == ends[0]
    assert math.isclose(scale(scale.high), ends[1])


@given(values=VALUES, ends=ENDS)
def test_linear_ticks_are_few_even_and_on_the_axis(
    values: list[float], ends: tuple[float, float]
) -> None:
    scale = svg.Linear.over(values, *ends)
    ticks = scale.ticks()
    assert 2 <= len(ticks) <= 12
    steps = [after - before for before, after in itertools.pairwise(ticks)]
    assert all(math.isclose(step, steps[0], rel_tol=1e-6) for step in steps)
    assert min(ends) - ROUNDING <= min(map(scale, ticks))
    assert max(map(scale, ticks)) <= max(ends) + ROUNDING


@given(values=POSITIVE, ends=ENDS)
def test_a_log_axis_keeps_ratios(values: list[float], ends: tuple[float, float]) -> None:
    scale = svg.Log.over(values, *ends)
    length = ends[1] - ends[0]
    for value in values:
        share = math.log(value / scale.low) / math.log(scale.high / scale.low)
        assert math.isclose(scale(value), ends[0] + share * length, abs_tol=ROUNDING)
    assert all(scale.low * 0.999 <= tick <= scale.high * 1.001 for tick in scale.ticks())


@given(values=VALUES)
def test_a_tick_says_its_value(values: list[float]) -> None:
    for tick in svg.Linear.over(values, 0, 100).ticks():
        told = svg.plain(tick).replace("\N{MINUS SIGN}", "-")
        assert math.isclose(float(told), tick, rel_tol=1e-5, abs_tol=1e-9), (tick, told)


@given(words_of=st.text(max_size=80), x=st.floats(-1e6, 1e6), y=st.floats(-1e6, 1e6))
def test_whatever_is_written_is_xml_and_reads_the_same(words_of: str, x: float, y: float) -> None:
    drawn = svg.drawing(100, words_of, svg.text(x, y, words_of), svg.dot(x, y, 3, tip=words_of))
    root = ET.fromstring(str(drawn))  # noqa: S314  our own
    text = root.find("text")
    assert text is not None
    assert math.isclose(float(text.attrib["x"]), x, abs_tol=0.06)
    for letter in words_of:
        if letter.isalnum():
            assert letter in (text.text or "")

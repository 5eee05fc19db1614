"""docs/run/security.md answers each line that it must, and names tests that there are."""

import re
from typing import Final

from service.access import guesses, login_links
from store.access import sessions
from tests.support.places import ROOT

PAGE: Final = (ROOT / "docs/run/security.md").read_text()
ROWS: Final = re.findall(r"^\| (\d+\.\d+\.\d+) [^|]*\| ([^|]+) \| ([^|]*)\|$", PAGE, re.MULTILINE)
BINDING: Final = [
    *("1.3.6", "2.4.1", "3.3.1", "3.3.2", "3.3.3", "3.3.4", "3.4.1", "3.4.2", "3.4.3", "3.4.4"),
    *("3.4.5", "3.4.6", "3.5.1", "3.5.3", "4.1.3", "6.3.2", "6.3.3", "6.4.1", "6.5.2", "7.2.2"),
    *("7.2.3", "7.2.4", "7.3.1", "7.3.2", "7.4.1", "7.4.2", "7.4.4", "7.4.5", "8.2.1", "8.2.2"),
    *("8.3.1", "8.4.1", "11.5.1", "13.2.3", "13.2.4", "15.3.2", "15.3.4", "16.2.5", "16.3.1"),
    *("16.3.2", "16.4.1"),
]
"""The lines of ASVS 5.0, to level 2, that bind this server."""


def test_each_binding_line_is_answered_once() -> None:
    assert [line for line, _, _ in ROWS] == BINDING


def test_each_answer_is_yes_partly_or_no_and_what_is_claimed_is_shown() -> None:
    for line, answer, shown in ROWS:
        assert re.match(r"(Yes|Partly|No)\b", answer), line
        assert answer.startswith("No") or "`test_" in shown, line


def test_each_named_test_is_there() -> None:
    there = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        there |= set(re.findall(r"^def (test_\w+)\(", path.read_text(), re.MULTILINE))
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) >= len(BINDING)
    assert not named - there


def test_each_figure_is_the_codes() -> None:
    for sentence in (
        f"Yes: {sessions.IDLE_SECONDS / 3600:g} hours",
        f"Yes: {sessions.ABSOLUTE_SECONDS / 3600:g} hours",
        f"good once and for {login_links.LIVES_SECONDS / 60:g} minutes",
        f"{guesses.A_MINUTE} wrong ones a minute",
    ):
        assert sentence in PAGE, sentence

"""The form of a key: what it checks by itself, and what a log may hold of it."""

import re
import string

import pytest

from store.access import secrets

KEY = "nmk_" + "0" * 32


def test_a_new_key_has_the_form_and_checks_itself() -> None:
    made = {secrets.new_key() for _ in range(50)}
    assert len(made) == 50
    for key in made:
        assert re.fullmatch(r"nmk_[0-9A-Za-z]{38}", key)
        assert secrets.is_key(key)


def test_every_single_wrong_character_is_noticed() -> None:
    key = secrets.new_key()
    for at in range(4, len(key)):
        for other in set(string.ascii_letters + string.digits) - {key[at]}:
            assert not secrets.is_key(key[:at] + other + key[at + 1 :])


@pytest.mark.parametrize("text", ["", "nmk_", KEY, "sk-abc", "nmk_é" + "0" * 37])
def test_what_is_no_key(text: str) -> None:
    assert not secrets.is_key(text)


def test_a_key_with_something_around_it_is_no_key() -> None:
    key = secrets.new_key()
    for text in (f"{key} ", f"{key}\n", f" {key}", key.upper(), key[:-1]):
        assert not secrets.is_key(text)


def test_a_log_gets_no_key() -> None:
    key = secrets.new_key()
    assert secrets.without_keys(f"/heads/{key}/x?y={key}") == "/heads/nmk_.../x?y=nmk_..."
    assert secrets.without_keys("/heads/pets") == "/heads/pets"

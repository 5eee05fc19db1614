"""What docs/run/access.md says of keys in figures and codes is what the code has."""

import re

from service.access import (
    guesses,
    known_keys,
    login_links,
    openid,
    openid_token,
    sign_in,
)
from store import tenant_deletion
from store.access import keys, secrets, sessions
from store.settings import StoreSettings
from tests.support.places import ROOT

TEXT = " ".join((ROOT / "docs/run/access.md").read_text().split())
HOUR, DAY = 3600.0, 86_400.0
STATED = (
    f"`{secrets.PREFIX}` and {secrets.N_RANDOM + secrets.N_CHECK} letters and digits, the last "
    f"{secrets.N_CHECK} of which check",
    f"{keys.USUAL_SECONDS / DAY:g} days unless you say",
    f"`rotate ID --overlap {keys.USUAL_OVERLAP_SECONDS / HOUR:g}h`",
    f"for the overlap, {keys.MAX_OVERLAP_SECONDS / DAY:g} days at most",
    f"when each was used last, to {keys.USE_NOTED_SECONDS / 60:g} minutes",
    f"within {known_keys.FRESH_SECONDS:g} s in others",
    f"403 tenant_disabled within {known_keys.FRESH_SECONDS:g} s",
    f"verified in the last {known_keys.TRUSTED_SECONDS / 60:g} minutes",
    f"{guesses.A_MINUTE} wrong keys a minute",
    f"ends after {sessions.ABSOLUTE_SECONDS / HOUR:g} hours, after "
    f"{sessions.IDLE_SECONDS / HOUR:g} hours without",
    f"does not answer within {tenant_deletion.PATIENCE_SECONDS:g} seconds",
    f"kept for {StoreSettings.model_fields['audit_days'].default:g} days",
    f"once, within {login_links.LIVES_SECONDS / 60:g} minutes",
    f"so within {sessions.ABSOLUTE_SECONDS / HOUR:g} hours",
    f"used twice, more than {sign_in.LIVES_SECONDS / 60:g} minutes",
    f"{openid.AT_ONCE} sign-ins wait",
    f"signed by {', '.join(openid_token.ALGORITHMS[:-1])} or {openid_token.ALGORITHMS[-1]}",
)
FIGURE = re.compile(r"(?<![\w.,])\d[\d,]*(?:\.\d+)? (?:s|seconds|minutes|hours|days|characters)\b")
OWN = {"4 characters"}


def test_each_figure_is_the_codes() -> None:
    text = TEXT
    for sentence in STATED:
        assert sentence in text, sentence
        text = text.replace(sentence, "")
    assert set(FIGURE.findall(text)) <= OWN


def test_each_code_is_in_the_list_of_codes() -> None:
    codes = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/reference/codes.md").read_text(), re.M))
    named = set(re.findall(r"(?:4\d\d|, )`(\w+)`", TEXT.partition("What is refused")[2]))
    named |= set(re.findall(r"4\d\d `(\w+)`", TEXT))
    assert len(named) >= 8
    assert named - {"Retry"} <= codes

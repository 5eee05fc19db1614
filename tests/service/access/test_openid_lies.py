"""What a provider must not be believed, and what is said while it is away."""

import base64
import hashlib
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc.jwk import ECKey, RSAKey
from pydantic import ValidationError

from outbound.documents import MOST_BYTES
from service.access import openid
from service.app import create_app
from service.settings import ServiceSettings
from store.queue import LocalQueue
from store.store import Store
from tests.pages.reports import Page
from tests.servers.lying_provider import CLIENT_ID, LyingProvider, lying
from tests.service.access.asking import Asking
from tests.service.access.browsing import BEGIN, CALLBACK, Browsing

CHOICE = {
    "oidc_issuer": "https://login.example.org",
    "oidc_client_id": CLIENT_ID,
    "oidc_groups": '{"team": "default:read"}',
}


@pytest.fixture
def provider() -> Iterator[LyingProvider]:
    with lying() as found:
        yield found


@pytest.fixture
def browser(settings: ServiceSettings, store: Store, provider: LyingProvider) -> Browsing:
    chosen = {**settings.model_dump(), **CHOICE, "oidc_issuer": provider.issuer}
    app = create_app(ServiceSettings(**chosen), store=store, queue=LocalQueue())
    return Browsing(Asking(app))


def signed_in(browser: Browsing, provider: LyingProvider) -> httpx.Response:
    """Whatever the provider says of who comes."""
    asked = parse_qs(urlsplit(browser.led_to()).query)
    provider.nonce = asked["nonce"][0]
    return browser.get(f"{CALLBACK}?code=c&state={asked['state'][0]}")


def refused(browser: Browsing, provider: LyingProvider, status: int = 502) -> str:
    before = browser.session
    answer = signed_in(browser, provider)
    assert answer.status_code == status, answer.text
    assert (browser.attempt, browser.session) == (None, before)
    return Page(answer.text).text


def test_the_truth_is_believed(browser: Browsing, provider: LyingProvider) -> None:
    assert signed_in(browser, provider).status_code == 303
    assert browser.get("/identity").json()["subject"] == f"alice at {provider.issuer}"
    (form,) = provider.forms
    assert form["client_id"] == [CLIENT_ID]  # without a secret it says who it is
    assert form["grant_type"] == ["authorization_code"]


def test_the_code_is_redeemed_with_the_verifier_of_the_challenge(
    browser: Browsing, provider: LyingProvider
) -> None:
    for n in range(2):
        asked = parse_qs(urlsplit(browser.led_to()).query)
        assert len({asked[name][0] for name in ("state", "nonce", "code_challenge")}) == 3
        provider.nonce = asked["nonce"][0]
        browser.get(f"{CALLBACK}?code=c&state={asked['state'][0]}")
        (verifier,) = provider.forms[n]["code_verifier"]
        digest = hashlib.sha256(verifier.encode()).digest()
        assert asked["code_challenge"] == [base64.urlsafe_b64encode(digest).decode().rstrip("=")]
    assert provider.forms[0] != provider.forms[1]


@pytest.mark.parametrize("state", ["", "x", "of another"])
def test_an_answer_with_another_state_redeems_nothing(
    browser: Browsing, provider: LyingProvider, state: str
) -> None:
    browser.led_to()
    assert browser.get(f"{CALLBACK}?code=c&state={state}").status_code == 400
    assert (browser.attempt, browser.session, provider.forms) == (None, None, [])


def test_a_session_ends_with_the_choice_of_its_provider(
    browser: Browsing, provider: LyingProvider
) -> None:
    signed_in(browser, provider)
    access = browser.ask.app.state.access
    assert browser.get("/jobs").status_code == 200
    access.openid = None
    assert browser.get("/jobs").status_code == 401


CLAIMS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "another issuer": (lambda c: c.update(iss="https://evil.example"), "iss"),
    "no issuer": (lambda c: c.pop("iss"), "iss"),
    "another audience": (lambda c: c.update(aud="others"), "aud"),
    "no audience": (lambda c: c.pop("aud"), "aud"),
    "more audiences, no party": (lambda c: c.update(aud=[CLIENT_ID, "others"]), "azp"),
    "another party": (lambda c: c.update(azp="others"), "azp"),
    "another nonce": (lambda c: c.update(nonce="of another sign-in"), "nonce"),
    "no nonce": (lambda c: c.pop("nonce"), "nonce"),
    "expired": (lambda c: c.update(exp=time.time() - 61), "expired_token"),
    "no expiry": (lambda c: c.pop("exp"), "exp"),
    "not yet": (lambda c: c.update(nbf=time.time() + 600), "nbf"),
    "from the future": (lambda c: c.update(iat=time.time() + 600), "iat"),
    "no subject": (lambda c: c.pop("sub"), "sub"),
    "an empty subject": (lambda c: c.update(sub=""), "sub"),
    "a number as subject": (lambda c: c.update(sub=5), "sub"),
    "a long subject": (lambda c: c.update(sub="a" * 256), "subject"),
    "a subject of two lines": (lambda c: c.update(sub="alice\nroot"), "subject"),
    "of another access token": (lambda c: c.update(at_hash="AAAA"), "at_hash"),
}


@pytest.mark.parametrize("case", CLAIMS)
def test_a_token_with_a_wrong_claim_is_refused(
    browser: Browsing, provider: LyingProvider, case: str
) -> None:
    provider.edit, says = CLAIMS[case]
    assert says in refused(browser, provider)


def test_an_email_is_nobody(browser: Browsing, provider: LyingProvider) -> None:
    """It may be changed, and belong to another one tomorrow."""
    provider.edit = lambda claims: claims.update(email="root@example.org", email_verified=True)
    signed_in(browser, provider)
    assert "root" not in browser.get("/identity").text


@pytest.mark.parametrize("groups", [None, [], "strangers", {"team": True}, [["team"]], 5])
def test_groups_that_grant_nothing(
    browser: Browsing, provider: LyingProvider, groups: object
) -> None:
    provider.edit = lambda claims: claims.update(groups=groups)
    assert "none of your groups" in refused(browser, provider, 403)


def test_one_group_may_be_a_bare_name(browser: Browsing, provider: LyingProvider) -> None:
    provider.edit = lambda claims: claims.update(groups="team")
    assert signed_in(browser, provider).status_code == 303


@pytest.mark.parametrize("algorithm", ["none", "HS256", "RS512"])
def test_an_algorithm_that_is_not_fixed_here_is_refused(
    browser: Browsing, provider: LyingProvider, algorithm: str
) -> None:
    """Also where the provider says that it supports it; HS256 with the public key as the secret."""
    provider.header["alg"] = algorithm
    assert "unsupported_algorithm" in refused(browser, provider)


def test_a_signature_by_another_key_is_refused(browser: Browsing, provider: LyingProvider) -> None:
    provider.signs_with = RSAKey.generate_key(2048, {"kid": "first"})
    assert "bad_signature" in refused(browser, provider)


@pytest.mark.parametrize(
    ("kind", "size", "algorithm"), [(RSAKey, 2048, "PS256"), (ECKey, "P-256", "ES256")]
)
def test_a_provider_may_change_its_key(
    browser: Browsing,
    provider: LyingProvider,
    kind: Any,
    size: Any,
    algorithm: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert signed_in(browser, provider).status_code == 303
    provider.become(kind, size, algorithm)
    assert "not good" in refused(browser, provider)  # its keys were asked for just now
    monkeypatch.setattr("service.access.openid.KEYS_SECONDS", 0.0)
    assert signed_in(browser, provider).status_code == 303


def test_what_the_provider_says_of_itself_is_kept(
    browser: Browsing, provider: LyingProvider
) -> None:
    for _ in range(3):
        signed_in(browser, provider)
    assert provider.asked.count("/keys") == 1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"issuer": "https://evil.example"}, "another name"),
        ({"token_endpoint": "http://10.0.0.1/token"}, "token_endpoint is no https"),
        ({"jwks_uri": "file:///etc/passwd"}, "jwks_uri is no https"),
        ({"authorization_endpoint": None}, "authorization_endpoint is no https"),
    ],
)
def test_a_provider_that_leads_elsewhere_is_refused(
    browser: Browsing, provider: LyingProvider, change: dict[str, Any], says: str
) -> None:
    provider.metadata |= change
    answer = browser.get(BEGIN)
    assert answer.status_code == 502
    assert says in Page(answer.text).text


def test_an_endpoint_inside_the_network_is_not_asked(
    browser: Browsing, provider: LyingProvider, caplog: pytest.LogCaptureFixture
) -> None:
    provider.metadata["token_endpoint"] = "https://169.254.169.254/token"
    assert "cannot be asked" in refused(browser, provider, 503)
    assert "outbound.forbidden host=169.254.169.254" in caplog.text


AWAY: dict[str, tuple[int, bytes]] = {
    "an error": (500, b"{}"),
    "a redirect": (302, b""),
    "a page": (200, b"<html>"),
    "a list": (200, b"[]"),
    "too much": (200, b" " * (MOST_BYTES + 1)),
}


@pytest.mark.parametrize("case", AWAY)
@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/keys"])
def test_a_provider_without_a_good_document_is_away(
    browser: Browsing, provider: LyingProvider, path: str, case: str
) -> None:
    provider.answer = lambda asked: AWAY[case] if asked == path else None
    answer = browser.get(BEGIN)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    assert "/elsewhere" not in provider.asked
    assert "sign in with a key" in Page(answer.text).text
    provider.answer = lambda asked: None
    assert browser.get(BEGIN).status_code == 303


def test_a_provider_that_fails_with_the_code_in_hand(
    browser: Browsing, provider: LyingProvider
) -> None:
    provider.answer = lambda path: (503, b"") if path == "/token" else None
    assert "cannot be asked" in refused(browser, provider, 503)
    provider.answer = lambda path: (200, b'{"id_token": 5}') if path == "/token" else None
    assert "there is none" in refused(browser, provider)
    provider.answer = lambda path: (200, b'{"id_token": "a.b.c"}') if path == "/token" else None
    assert "not good" in refused(browser, provider)


def test_where_nobody_listens(settings: ServiceSettings, store: Store) -> None:
    with lying() as gone:
        chosen = {**settings.model_dump(), **CHOICE, "oidc_issuer": gone.issuer}
    app = create_app(ServiceSettings(**chosen), store=store, queue=LocalQueue())
    answer = Asking(app).get(BEGIN)
    assert answer.status_code == 503
    assert "cannot be asked" in Page(answer.text).text


def test_few_sign_ins_wait_at_once(browser: Browsing, provider: LyingProvider) -> None:
    """So a provider that hangs does not take the threads of predictions."""
    turns = browser.ask.app.state.access.openid._turns
    for _ in range(openid.AT_ONCE):
        assert turns.acquire(blocking=False)
    assert browser.get(BEGIN).status_code == 503
    turns.release()
    assert browser.get(BEGIN).status_code == 303


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"oidc_issuer": "http://login.example.org"}, "https address"),
        ({"oidc_issuer": "https://me@login.example.org"}, "https address"),
        ({"oidc_issuer": "https://login.example.org?a=b"}, "https address"),
        ({"oidc_issuer": "https://login.example.org:x"}, "https address"),
        ({"oidc_issuer": ""}, "oidc_issuer is missing"),
        ({"oidc_client_id": ""}, "oidc_client_id is missing"),
        ({"oidc_groups": ""}, "oidc_groups is missing"),
        ({"oidc_groups": "team"}, "oidc_groups: it must be a JSON object"),
        ({"oidc_groups": "{}"}, "oidc_groups: it must be a JSON object"),
        ({"oidc_groups": '{"team": "lab"}'}, "'team' must have TENANT:SCOPE"),
        ({"oidc_groups": '{"team": "lab:root"}'}, "'team' must have TENANT:SCOPE"),
        ({"oidc_groups": '{"team": "a b:read"}'}, "group 'team'"),
        ({"oidc_scopes": "profile"}, "must hold the word openid"),
    ],
)
def test_a_setting_that_is_not_whole_ends_the_start(change: dict[str, str], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        ServiceSettings(**{**CHOICE, **change})


def test_the_packages_are_named_where_they_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.openid_choice.find_spec", lambda name: None)
    with pytest.raises(ValidationError, match=r"pip install 'nmtune-server\[sso\]'"):
        ServiceSettings(**CHOICE)
    assert ServiceSettings().openid is None

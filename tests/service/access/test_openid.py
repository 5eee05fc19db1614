"""Signing in by a real provider of OpenID Connect: node-oidc-provider, by others and certified."""

import logging
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from fastapi import FastAPI
from sqlalchemy import update

from service.app import create_app
from service.settings import ServiceSettings
from store.access import sessions, tenants
from store.database import tables
from store.database.clock import seconds_from_now
from store.queue import LocalQueue
from store.store import Store
from tests.pages.reports import Page
from tests.servers import openid_provider
from tests.servers.openid_provider import CLIENT_ID, OpenIdProvider, skip_without_node
from tests.service.access.asking import Asking
from tests.service.access.browsing import BEGIN, CALLBACK, Browsing
from tests.service.in_process import assert_problem

skip_without_node()

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

GROUPS = '{"ml-admins": "lab:admin", "ml-team": "lab:write", "guests": "default:read"}'
ACCOUNTS = {
    "alice": ["everybody", "ml-team"],
    "root": ["guests", "ml-team", "ml-admins"],
    "guest": ["guests"],
    "stranger": ["everybody"],
    "nobody": [],
}


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenIdProvider]:
    folder = tmp_path_factory.mktemp("openid")
    with openid_provider.serving(folder, redirect_uris=[CALLBACK], groups=ACCOUNTS) as found:
        yield found


@pytest.fixture
def settings(settings: ServiceSettings, provider: OpenIdProvider) -> ServiceSettings:
    chosen = {
        "oidc_issuer": provider.issuer,
        "oidc_client_id": CLIENT_ID,
        "oidc_client_secret": provider.client_secret,
        "oidc_groups": GROUPS,
    }
    return ServiceSettings(**{**settings.model_dump(), **chosen})


@pytest.fixture
def lab(store: Store) -> None:
    with store.database.begin() as tx:
        tenants.create(tx, "lab")


@pytest.fixture
def browser(ask: Asking, lab: None) -> Browsing:
    return Browsing(ask)


def test_a_member_signs_in_with_the_rights_of_their_group(
    browser: Browsing, provider: OpenIdProvider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    provider.sign_in_as("alice")
    page = Page(browser.get("/ui/login?next=ui/jobs").text)
    (link,) = [one["href"] for one in page.named("a") if "openid" in one["href"]]
    assert link == "../ui/login/openid?next=ui%2Fjobs"
    answer = browser.sign_in(f"{BEGIN}?next=ui%2Fjobs")
    assert answer.status_code == 303
    assert answer.headers["location"] == "../../../ui/jobs"
    assert answer.headers["cache-control"] == "no-store"
    assert browser.attempt is None
    who = browser.get("/identity").json()
    assert (who["tenant_id"], who["scopes"]) == ("lab", ["predict", "read", "write"])
    assert (who["key_id"], who["subject"]) == (None, f"alice at {provider.issuer}")
    assert browser.get("/jobs").status_code == 200
    assert_problem(browser.get("/keys"), 403, "scope_missing")
    assert "As alice at http" in " ".join(Page(browser.get("/ui/login").text).text.split())
    assert f"session.opened by=alice at {provider.issuer} tenant=lab" in caplog.text
    assert str(browser.session) not in caplog.text


def test_the_way_there_is_code_and_pkce_and_different_each_time(
    browser: Browsing, provider: OpenIdProvider
) -> None:
    asked = [parse_qs(urlsplit(browser.led_to()).query) for _ in range(2)]
    for one in asked:
        assert (one["response_type"], one["code_challenge_method"]) == (["code"], ["S256"])
        assert (one["client_id"], one["redirect_uri"]) == ([CLIENT_ID], [CALLBACK])
        assert provider.client_secret not in str(one)
    for name in ("state", "nonce", "code_challenge"):
        assert asked[0][name] != asked[1][name]
        assert browser.attempt is not None
        assert asked[1][name][0] not in browser.attempt


def test_the_first_group_listed_decides_the_tenant_and_its_widest_the_scope(
    browser: Browsing, provider: OpenIdProvider, ask: Asking
) -> None:
    provider.sign_in_as("root")
    browser.sign_in()
    who = browser.get("/identity").json()
    assert (who["tenant_id"], who["scopes"][-1]) == ("lab", "admin")
    made = ask.with_cookie(str(browser.session), "POST", "/keys", json=KEY).json()
    assert made["created_by"] == f"root at {provider.issuer}"[:64]


KEY = {"name": "batch", "scopes": ["read"]}


@pytest.mark.parametrize("account", ["stranger", "nobody"])
def test_who_is_in_no_group_gets_in_nowhere(
    browser: Browsing, provider: OpenIdProvider, account: str
) -> None:
    provider.sign_in_as(account)
    answer = browser.sign_in()
    assert answer.status_code == 403
    assert "none of your groups may use this server" in Page(answer.text).text
    assert browser.cookies == {}


def test_who_is_not_let_in_by_the_provider(browser: Browsing, provider: OpenIdProvider) -> None:
    provider.sign_in_as("")
    answer = browser.sign_in()
    assert answer.status_code == 403
    assert "did not sign you in (access_denied)" in Page(answer.text).text
    assert browser.cookies == {}


def test_an_answer_is_good_in_the_browser_that_asked_and_once(
    browser: Browsing, provider: OpenIdProvider, ask: Asking
) -> None:
    provider.sign_in_as("alice")
    address = browser.answered_at(browser.led_to())
    kept = dict(browser.cookies)
    elsewhere = Browsing(ask)
    assert "not begun in this browser" in Page(elsewhere.get(address).text).text
    elsewhere.led_to()  # an attempt of its own does not make the answer its own
    assert elsewhere.get(address).status_code == 400
    assert elsewhere.session is None
    wrong = address.replace("state=", "state=x")
    assert Browsing(ask).get(wrong).status_code == 400
    assert browser.get(address).status_code == 303
    assert browser.get(address).status_code == 400  # the attempt has gone
    again = Browsing(ask)
    again.cookies = kept  # a browser that kept it all the same: the provider takes a code once
    answer = again.get(address)
    assert answer.status_code == 502
    assert "did not take the code (invalid_grant)" in Page(answer.text).text
    assert again.cookies == {}


def test_a_code_is_worth_nothing_without_the_verifier(
    browser: Browsing, provider: OpenIdProvider, ask: Asking
) -> None:
    """A thief of the code has an attempt and a state of their own."""
    provider.sign_in_as("alice")
    stolen = parse_qs(urlsplit(browser.answered_at(browser.led_to())).query)["code"][0]
    thief = Browsing(ask)
    state = parse_qs(urlsplit(thief.led_to()).query)["state"][0]
    answer = thief.get(f"{CALLBACK}?code={stolen}&state={state}")
    assert answer.status_code == 502
    assert "invalid_grant" in answer.text
    assert thief.session is None


def test_an_answer_of_another_issuer_is_refused(
    browser: Browsing, provider: OpenIdProvider
) -> None:
    provider.sign_in_as("alice")
    address = browser.answered_at(browser.led_to())
    assert "iss=" in address
    mixed = address.replace("127.0.0.1", "evil.example")
    answer = browser.get(mixed)
    assert answer.status_code == 502
    assert "another provider's" in Page(answer.text).text


@pytest.mark.parametrize("end", ["expires_at", "seen_at"])
def test_the_session_ends_as_others_do(
    browser: Browsing, provider: OpenIdProvider, store: Store, end: str
) -> None:
    provider.sign_in_as("alice")
    browser.sign_in()
    ago = -1.0 if end == "expires_at" else -sessions.IDLE_SECONDS - 1
    with store.database.begin() as tx:
        tx.execute(update(tables.sessions).values({end: seconds_from_now(ago)}))
    assert_problem(browser.get("/jobs"), 401, "session_ended")


def test_a_new_sign_in_ends_the_session_before(
    browser: Browsing, provider: OpenIdProvider, ask: Asking
) -> None:
    provider.sign_in_as("alice")
    browser.sign_in()
    first = str(browser.session)
    browser.sign_in()
    assert_problem(ask.with_cookie(first, "GET", "/jobs"), 401, "session_ended")
    assert ask.with_cookie(str(browser.session), "DELETE", "/session").status_code == 204
    assert_problem(browser.get("/jobs"), 401, "session_ended")


def test_a_disabled_tenant_lets_nobody_in(
    browser: Browsing, provider: OpenIdProvider, store: Store
) -> None:
    provider.sign_in_as("alice")
    browser.sign_in()
    with store.database.begin() as tx:
        tenants.set_disabled(tx, "lab", disabled=True)
    assert_problem(browser.get("/jobs"), 403, "tenant_disabled")
    other = Browsing(browser.ask)
    answer = other.sign_in()
    assert answer.status_code == 403
    assert "disabled this tenant" in Page(answer.text).text
    assert other.session is None


def test_a_group_of_a_tenant_that_does_not_exist(ask: Asking, provider: OpenIdProvider) -> None:
    provider.sign_in_as("alice")
    browser = Browsing(ask)  # nobody made the tenant
    answer = browser.sign_in()
    assert answer.status_code == 403
    assert "a tenant that does not exist" in Page(answer.text).text
    assert browser.session is None


def test_a_session_does_not_outlive_the_choice_of_its_provider(
    browser: Browsing, provider: OpenIdProvider, settings: ServiceSettings, store: Store
) -> None:
    provider.sign_in_as("alice")
    browser.sign_in()
    none = {"oidc_issuer": "", "oidc_client_id": "", "oidc_groups": "", "oidc_client_secret": None}
    without = create_app(
        ServiceSettings(**{**settings.model_dump(), **none}), store=store, queue=LocalQueue()
    )
    answer = Asking(without).with_cookie(str(browser.session), "GET", "/jobs")
    assert_problem(answer, 401, "session_ended")
    assert Asking(without).get(BEGIN).status_code == 404


def test_a_sign_in_leads_to_no_foreign_page(browser: Browsing, provider: OpenIdProvider) -> None:
    provider.sign_in_as("alice")
    answer = browser.sign_in(f"{BEGIN}?next=https://evil.example/")
    assert answer.headers["location"] == "../../../ui/"


def test_with_a_wrong_secret_the_provider_takes_no_code(
    settings: ServiceSettings, store: Store, provider: OpenIdProvider, app: FastAPI, lab: None
) -> None:
    wrong = ServiceSettings(**{**settings.model_dump(), "oidc_client_secret": "geheim-4711"})
    provider.sign_in_as("alice")
    browser = Browsing(Asking(create_app(wrong, store=store, queue=LocalQueue())))
    answer = browser.sign_in()
    assert answer.status_code == 502
    assert "invalid_client" in answer.text
    assert "geheim" not in answer.text

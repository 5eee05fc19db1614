"""Sign in by the company's provider: OpenID Connect, by code and PKCE.

Who somebody is, is the issuer and the subject in a token that the issuer signed, never an e-mail
address. What they may do is what the operator's setting says of their groups.
"""

import base64
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote_plus, urlencode, urlsplit

import orjson

from outbound.documents import Documents, NoDocument
from service.access import openid_token
from service.access.openid_token import Member, NotTrustedError
from service.access.sign_in import SignIn
from service.http.errors import Problem
from service.openid_choice import Choice

METADATA_SECONDS: Final = 3600.0
"""How long what the provider says of itself is believed."""
KEYS_SECONDS: Final = 60.0
"""How often its keys are asked for at most, where a token names one that is not known."""
AT_ONCE: Final = 4
"""Sign-ins that may wait for the provider at once, so that others find threads."""

_ENDPOINTS: Final = ("authorization_endpoint", "token_endpoint", "jwks_uri")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Known:
    metadata: Mapping[str, Any]
    keys: Mapping[str, Any]
    asked_at: float


class OpenId:
    """The provider, as this process knows it. Its methods wait, and belong into threads."""

    def __init__(self, choice: Choice) -> None:
        self.choice = choice
        place = urlsplit(choice.issuer)
        port = place.port or (443 if place.scheme == "https" else 80)
        self._documents = Documents([(place.hostname or "", port)])
        self._turns = threading.BoundedSemaphore(AT_ONCE)
        self._known: _Known | None = None

    def look(self) -> None:
        """Ask what the provider says of itself. Raises Problem."""
        with self._turn():
            self._knowledge()

    def page(self, sign_in: SignIn, redirect_uri: str) -> str:
        """Where the browser goes to sign in. Raises Problem."""
        with self._turn():
            metadata = self._knowledge().metadata
        asked = {
            "response_type": "code",
            "client_id": self.choice.client_id,
            "redirect_uri": redirect_uri,
            "scope": self.choice.scopes,
            "state": sign_in.state,
            "nonce": sign_in.nonce,
            "code_challenge": openid_token.challenge_of(sign_in.verifier),
            "code_challenge_method": "S256",
        }
        address = str(metadata["authorization_endpoint"])
        return f"{address}{'&' if '?' in address else '?'}{urlencode(asked)}"

    def member(self, code: str, sign_in: SignIn, redirect_uri: str) -> Member:
        """Who has signed in, for the code that their browser brought. Raises Problem."""
        with self._turn():
            known = self._knowledge()
            answer = self._redeemed(known.metadata, code, sign_in, redirect_uri)
            if openid_token.needs_other_keys(answer, known.keys):
                known = self._knowledge(older_than=KEYS_SECONDS)
        try:
            return openid_token.member(
                answer,
                known.keys,
                issuer=self.choice.issuer,
                client_id=self.choice.client_id,
                nonce=sign_in.nonce,
                groups_claim=self.choice.groups_claim,
            )
        except NotTrustedError as error:
            raise failed(f"its token is not good ({error})") from error

    def vouches_for(self, subject: str) -> bool:
        """Whether a subject is one of this provider's."""
        return subject.endswith(openid_token.suffix_of(self.choice.issuer))

    def close(self) -> None:
        """Close its connections."""
        self._documents.close()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._turns.acquire(blocking=False):
            raise away("too many sign-ins wait for it")
        try:
            yield
        except NoDocument as error:
            raise away(str(error)) from error
        finally:
            self._turns.release()

    def _knowledge(self, *, older_than: float = METADATA_SECONDS) -> _Known:
        at = time.monotonic()
        if self._known is None or at - self._known.asked_at > older_than:
            issuer = self.choice.issuer
            metadata = self._document(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
            if metadata.get("issuer") != issuer:
                raise failed("it calls itself by another name than NMTUNE_OIDC_ISSUER")
            for name in _ENDPOINTS:
                self._check(name, metadata.get(name))
            self._known = _Known(metadata, self._document(metadata["jwks_uri"]), at)
        return self._known

    def _check(self, name: str, url: object) -> None:
        """Only https, or the very place of an issuer on this machine."""
        place, issuer = urlsplit(str(url)), urlsplit(self.choice.issuer)
        is_issuers = (place.scheme, place.netloc) == (issuer.scheme, issuer.netloc)
        if not (place.hostname and (place.scheme == "https" or is_issuers)):
            raise failed(f"its {name} is no https address")

    def _document(self, url: str) -> Mapping[str, Any]:
        status, body = self._documents.get(url)
        found = _object_of(body)
        if status != HTTPStatus.OK or found is None:
            raise away(f"it answered {status} to {urlsplit(url).path}")
        return found

    def _redeemed(
        self, metadata: Mapping[str, Any], code: str, sign_in: SignIn, redirect_uri: str
    ) -> Mapping[str, Any]:
        """The tokens for a code."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": sign_in.verifier,
        }
        headers: dict[str, str] = {}
        client_id, secret = self.choice.client_id, self.choice.client_secret
        ways = metadata.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        if secret is not None and "client_secret_basic" in ways:
            pair = f"{quote_plus(client_id)}:{quote_plus(secret)}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        else:
            form |= {"client_id": client_id} | ({"client_secret": secret} if secret else {})
        status, body = self._documents.post(
            metadata["token_endpoint"], urlencode(form).encode(), headers
        )
        found = _object_of(body)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise away(f"it answered {status} when the code was redeemed")
        if status != HTTPStatus.OK or found is None:
            reason = openid_token.word((found or {}).get("error")) or f"status {status}"
            raise failed(f"it did not take the code ({reason})")
        return found


def _object_of(body: bytes) -> Mapping[str, Any] | None:
    try:
        found = orjson.loads(body)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def failed(why: str) -> Problem:
    """The provider's answer cannot be believed."""
    logger.warning("sign_in.failed reason=%s", why)
    return Problem(
        HTTPStatus.BAD_GATEWAY,
        "sign_in_failed",
        f"The identity provider answered, but {why}. Sign in again; if it stays so, tell the "
        "operator.",
    )


def away(why: str) -> Problem:
    """The provider does not answer."""
    logger.warning("sign_in.provider_away reason=%s", why)
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "sign_in_unavailable",
        f"The identity provider cannot be asked: {why}. Try again shortly, or sign in with a key.",
        headers={"Retry-After": "5"},
    )

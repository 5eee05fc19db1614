"""Find out who asks, before anything else reads the request."""

import logging
import math
from http import HTTPStatus
from typing import Final

from anyio import to_thread
from starlette.types import Scope

from service.access import credentials
from service.access.guesses import Guesses
from service.access.known_keys import KnownKeys, Refused
from service.access.login_links import LoginLinks
from service.access.openid import OpenId
from service.http.errors import Problem, problem_of
from service.http.identity import EVERYBODY, Identity
from service.http.paths import PROBES, is_prediction, path_of
from store.access import scopes, sessions
from store.access.secrets import is_key
from store.errors import StoreError
from store.store import Store

logger = logging.getLogger(__name__)

SESSION_PATH: Final = "/session"
PAGES: Final = "/ui"

_OPEN: Final = frozenset({"/", SESSION_PATH, PAGES})
"""Here, and on every page, the route decides: a page leads to the login."""
_CHALLENGE: Final = {"WWW-Authenticate": "Bearer"}


class Access:
    """Keys and sessions of one application."""

    def __init__(
        self,
        store: Store,
        *,
        keys_on: bool,
        openid: OpenId | None = None,
        guesses: Guesses | None = None,
        login_links: LoginLinks | None = None,
    ) -> None:
        """openid: the company's provider, if there is one to sign in at. guesses, login_links: what
        other processes of the server share; None: there are none.
        """
        self.store = store
        self.keys_on = keys_on
        self.openid = openid
        self.known_keys = KnownKeys(store)
        self.guesses = guesses or Guesses()
        self.login_links = login_links or LoginLinks()

    def at_once(self, scope: Scope) -> Identity | None:
        """Who asks, if that needs no waiting: there are no keys, or the key is known."""
        if not self.keys_on:
            return EVERYBODY
        key = credentials.bare_key(scope)
        return None if key is None else self.known_keys.at_once(key)

    async def found(self, scope: Scope, path: str) -> Identity | Problem:
        """Who asks, or the refusal of who does not say it: 401, 403 or 429."""
        if path in PROBES:
            return _key_missing()  # who it is is not even looked up, for it must be answered
        try:
            return await self.who(scope, path)
        except Problem as problem:
            return problem
        except StoreError as error:
            problem_told = problem_of(error)
            if problem_told is None:
                raise
            return problem_told

    async def who(self, scope: Scope, path: str) -> Identity:
        """Who asks. Raises Problem, StoreError."""
        address = scope["client"][0] if scope.get("client") else ""
        try:
            key, token = credentials.read(scope)
        except credentials.WrongKeyError:
            raise self.wrong_key(address) from None
        if key is not None:
            return await self.who_has(key, address, predicts=is_prediction(path))
        if token is not None:
            return await self._who_has_session(token)
        raise _key_missing()

    async def lets_in_still(self, scope: Scope) -> bool:
        """Whether who asks is as good as when the request came: for streams, which stay open.

        A database that is away ends no stream.
        """
        try:
            if self.keys_on:
                await self.who(scope, path_of(scope))
        except Problem:
            return False
        except StoreError:
            return True
        return True

    async def who_has(self, key: str, address: str, *, predicts: bool = False) -> Identity:
        """Whose a key is. Raises Problem, StoreError."""
        if not self.known_keys.is_known(key) and (
            not is_key(key) or self.guesses.seconds_to_wait(address)
        ):
            raise self.wrong_key(address)
        try:
            return await self.known_keys.find(key, predicts=predicts)
        except Refused as refused:
            if refused.tenant_disabled:
                raise tenant_disabled() from None
            raise self.wrong_key(address, refused) from None

    def wrong_key(self, address: str, refused: Refused | None = None) -> Problem:
        """Count a wrong key; the answer to it."""
        seconds = self.guesses.seconds_to_wait(address)
        if seconds:
            return Problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                "rate_limited",
                "Too many wrong keys came from this address. Check the key, then try again later.",
                headers={"Retry-After": str(math.ceil(seconds))},
            )
        self.guesses.note_wrong(address)
        expired = refused.key.expires_at if refused is not None and refused.key else None
        logger.warning("key.refused address=%s expired=%s", address, expired is not None)
        if expired is not None:
            return Problem(
                HTTPStatus.UNAUTHORIZED,
                "key_invalid",
                f"This key expired on {expired:%Y-%m-%d}. Ask an administrator for a new one.",
                headers=_CHALLENGE,
            )
        return Problem(
            HTTPStatus.UNAUTHORIZED,
            "key_invalid",
            "This key is not valid: it is mistyped, cut short, unknown or revoked. Send "
            "Authorization: Bearer and the whole key, which begins with nmk_.",
            headers=_CHALLENGE,
        )

    async def _who_has_session(self, token: str) -> Identity:
        session = await to_thread.run_sync(self._session, token)
        if session is None or not self._is_vouched_for(session):
            raise Problem(
                HTTPStatus.UNAUTHORIZED,
                "session_ended",
                "The session has ended. Sign in again at /ui/login.",
                headers=_CHALLENGE,
            )
        if session.tenant_disabled:
            raise tenant_disabled()
        heads = None if session.heads is None else frozenset(session.heads)
        return Identity(
            session.tenant_id,
            session.key_id,
            scopes.held(session.scopes),
            heads,
            session.subject,
            is_session=True,
        )

    def _is_vouched_for(self, session: sessions.Session) -> bool:
        """Whether the provider that vouched for a member is still the operator's choice."""
        if session.subject is None:
            return True
        return self.openid is not None and self.openid.vouches_for(session.subject)

    def _session(self, token: str) -> sessions.Session | None:
        with self.store.database.read() as tx:
            found = sessions.find(tx, token)
        if found is not None and not found.was_seen:
            with self.store.database.begin() as tx:
                sessions.note_seen(tx, found)
        return found


def is_open(path: str) -> bool:
    """Whether the route itself decides who reaches it."""
    return path in PROBES or path in _OPEN or path.startswith(f"{PAGES}/")


def tenant_disabled() -> Problem:
    """The refusal of everybody who acts for a tenant that is shut out."""
    return Problem(
        HTTPStatus.FORBIDDEN,
        "tenant_disabled",
        "The operator has disabled this tenant. Its data are kept; ask the operator to enable it.",
    )


def _key_missing() -> Problem:
    return Problem(
        HTTPStatus.UNAUTHORIZED,
        "key_missing",
        "This server wants a key: send the header Authorization: Bearer with one. "
        "`nmtune-server keys create` makes the first, on the server's machine.",
        headers=_CHALLENGE,
    )

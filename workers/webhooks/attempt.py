"""One attempt: unseal, sign, post, and tell what came of it."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from outbound import webhook_secret
from outbound.errors import CannotUnseal
from outbound.posting import Answer, NoAnswer, Poster
from outbound.receiver_url import UrlNotAllowed, parse_receiver_url
from store.webhooks.sending import Claimed, Outcome
from workers.webhooks.signature import signed

_USER_AGENT: Final = "nmtune-webhooks"


def attempt(
    claimed: Claimed, poster: Poster, *, key: bytes, allowed: frozenset[tuple[str, int]]
) -> Outcome:
    """Send the message once. key: what sealed the secrets. Never raises for a receiver's doing."""
    began = time.monotonic()
    try:
        headers = _headers(claimed, key)
        url = parse_receiver_url(claimed.url, allowed)
        answer = poster.post(url, claimed.body.encode(), headers)
    except CannotUnseal:
        return Outcome(milliseconds=0, error="secret_unreadable")
    except UrlNotAllowed:
        return Outcome(milliseconds=0, error="url_not_allowed")
    except NoAnswer as error:
        return _outcome(error.answer, began, error=error.code)
    return _outcome(answer, began)


def _headers(claimed: Claimed, key: bytes) -> dict[str, str]:
    owner = {"tenant_id": claimed.tenant_id, "endpoint_id": claimed.endpoint_id}
    sealed = [one for one in (claimed.sealed, claimed.sealed_old) if one is not None]
    secrets = [webhook_secret.unseal(one, key=key, **owner) for one in sealed]
    return {
        "Content-Type": "application/json",
        "User-Agent": _USER_AGENT,
        **signed(claimed.message_id, claimed.body.encode(), secrets, at=int(time.time())),
    }


def _outcome(answer: Answer | None, began: float, *, error: str | None = None) -> Outcome:
    milliseconds = round((time.monotonic() - began) * 1000)
    if answer is None:
        return Outcome(milliseconds=milliseconds, error=error)
    return Outcome(
        milliseconds=milliseconds,
        status=answer.status,
        error=error,
        # PostgreSQL keeps no NUL in a text.
        excerpt=answer.excerpt.decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}"),
        retry_after=_retry_after(answer.headers),
    )


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds of Retry-After, given as a number or a date; None if it says neither."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    moment = moment.replace(tzinfo=moment.tzinfo or UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())

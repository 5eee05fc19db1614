"""What a receiver does with a message: check its signature and age, then read it.

It needs no client and no server: the secret, the headers and the raw body are enough.
"""

import base64
import binascii
import hmac
import json
import time
from collections.abc import Mapping
from typing import Any, Final

from nmtune_client._http.errors import NMTuneError

TOLERANCE_SECONDS: Final = 300.0
"""How far a message's time may be from ours: an old one may be somebody's repetition."""
_PREFIX: Final = "whsec_"


class WebhookVerificationError(NMTuneError):
    """The message is not from the server, was changed, or is too old: answer 400 and stop."""


def verify_webhook(
    body: bytes | str,
    headers: Mapping[str, str],
    secret: str,
    *,
    tolerance_seconds: float = TOLERANCE_SECONDS,
) -> dict[str, Any]:
    """The message, once its signature and age are in order.

    body: the raw body, as it came, not JSON that was parsed and written again. headers: those of
    the request. secret: `whsec_...`, which the server showed when the webhook was made or rotated.
    The same message may come more than once: its header `webhook-id` tells. Raises
    WebhookVerificationError; ValueError for a secret that is none.
    """
    if not isinstance(body, bytes | str):
        raise TypeError(
            f"body must be the raw bytes of the request, got {type(body).__name__}: take them "
            "before anything parses them"
        )
    content = body.encode() if isinstance(body, str) else body
    key, lower = _key(secret), {name.lower(): value for name, value in headers.items()}
    message_id, at, signatures = (
        _header(lower, name) for name in ("webhook-id", "webhook-timestamp", "webhook-signature")
    )
    _check_age(at, tolerance_seconds)
    expected = hmac.digest(key, f"{message_id}.{at}.".encode() + content, "sha256")
    # Each in constant time, and all of them: during a rotation there are two.
    matches = [hmac.compare_digest(_mac(one), expected) for one in signatures.split(" ")]
    if not any(matches):
        raise WebhookVerificationError(
            "No signature of the message fits: the secret is another, or the body was changed on "
            "its way. Verify the raw body, before anything parses it."
        )
    message = json.loads(content)
    if not isinstance(message, dict):
        raise WebhookVerificationError("The message is signed but no JSON object.")
    return message


def _header(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name)
    if not value:
        raise WebhookVerificationError(f"The header {name} is missing: this is no webhook message.")
    return value


def _check_age(at: str, tolerance_seconds: float) -> None:
    if not (at.isascii() and at.isdigit() and len(at) < 16):
        raise WebhookVerificationError("The header webhook-timestamp is no time.")
    age = time.time() - int(at)
    if abs(age) > tolerance_seconds:
        where = f"{age:.0f} s old" if age > 0 else f"{-age:.0f} s in the future"
        raise WebhookVerificationError(
            f"The message is {where}, and {tolerance_seconds:.0f} s is the most. Is the clock of "
            "this machine right?"
        )


def _mac(signature: str) -> bytes:
    """The bytes of a `v1,` signature; none, which fit nothing, for another kind."""
    version, _, encoded = signature.partition(",")
    if version != "v1":
        return b""
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(_PREFIX) or not key:
        raise ValueError(f"a webhook's secret begins with {_PREFIX}, followed by base64")
    return key

"""The signature of Standard Webhooks 1.0, symmetric: `v1` of id, time and body."""

import base64
import hmac
from collections.abc import Sequence

from outbound.webhook_secret import key_of


def signed(message_id: str, body: bytes, secrets: Sequence[str], *, at: int) -> dict[str, str]:
    """The three headers of a message sent at `at` (Unix seconds), signed with each secret."""
    content = f"{message_id}.{at}.".encode() + body
    macs = [hmac.digest(key_of(secret), content, "sha256") for secret in secrets]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(at),
        "webhook-signature": " ".join(f"v1,{base64.b64encode(mac).decode()}" for mac in macs),
    }

"""The secret of a webhook endpoint: made once, shown once, kept sealed."""

import base64
import secrets
from typing import Final

from outbound import sealing

PREFIX: Final = "whsec_"
_KEY_BYTES: Final = 32


def new_secret() -> str:
    """A new secret: `whsec_` and 32 random bytes in base64."""
    return PREFIX + base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()


def key_of(secret: str) -> bytes:
    """The bytes that sign."""
    return base64.b64decode(secret.removeprefix(PREFIX))


def seal(secret: str, *, key: bytes, tenant_id: str, endpoint_id: str) -> bytes:
    """The secret, encrypted for this tenant's endpoint."""
    purpose = f"webhook {endpoint_id}"
    return sealing.seal(secret, secret=key, tenant_id=tenant_id, purpose=purpose)


def unseal(sealed: bytes, *, key: bytes, tenant_id: str, endpoint_id: str) -> str:
    """The secret. Raises CannotUnseal."""
    purpose = f"webhook {endpoint_id}"
    return sealing.unseal(sealed, secret=key, tenant_id=tenant_id, purpose=purpose)

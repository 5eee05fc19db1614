"""Secrets at rest: sealed with AES-GCM under the operator's secret, bound to owner and purpose.

A row that is copied to another tenant, origin or endpoint cannot be opened there. The library is
imported with the first secret: every process reads settings, and most hold none.
"""

import base64
import os
from typing import Final

from outbound.errors import CannotUnseal

SECRET_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_VERSION: Final = b"\x01"


def parse_secret(text: str) -> bytes:
    """The secret that seals others: 32 bytes in base64. Raises ValueError."""
    try:
        secret = base64.b64decode(text, validate=True)
    except ValueError:
        secret = b""
    if len(secret) != SECRET_BYTES:
        raise ValueError(
            "write 32 random bytes in base64, as `openssl rand -base64 32` prints them"
        )
    return secret


def seal(text: str, *, secret: bytes, tenant_id: str, purpose: str) -> bytes:
    """The text, encrypted for this tenant and purpose, such as an origin."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = os.urandom(_NONCE_BYTES)
    sealed = AESGCM(secret).encrypt(nonce, text.encode(), _bound_to(tenant_id, purpose))
    return _VERSION + nonce + sealed


def unseal(sealed: bytes, *, secret: bytes, tenant_id: str, purpose: str) -> str:
    """The text. Raises CannotUnseal if the secret, the tenant or the purpose is another."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce, content = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
    try:
        if sealed[:1] != _VERSION:
            raise InvalidTag
        return AESGCM(secret).decrypt(nonce, content, _bound_to(tenant_id, purpose)).decode()
    except (InvalidTag, ValueError) as error:
        raise CannotUnseal(f"{purpose} of {tenant_id}") from error


def _bound_to(tenant_id: str, purpose: str) -> bytes:
    return f"{tenant_id}\n{purpose}".encode()

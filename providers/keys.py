"""The home of the providers' keys: which origin each belongs to, and how one is stored.

A key is bound to an origin (scheme, host, port), so that another base URL cannot draw it out.
Stored ones are sealed with AES-GCM under the operator's secret; tenant and origin are sealed in,
so that a row copied elsewhere does not open.

Every process reads settings that may hold keys, and most have none: what only keys need is imported
with the first one.
"""

import base64
import os
import re
from collections.abc import Iterable, Mapping
from typing import Final

from providers.addresses import parse_base_url
from providers.errors import InvalidProvider, KeyMissing

SECRET_BYTES: Final = 32
MAX_KEY_CHARACTERS: Final = 512
_NONCE_BYTES: Final = 12
_VERSION: Final = b"\x01"


def parse_keys(text: str, allowed: Iterable[tuple[str, int]] = ()) -> dict[str, str]:
    """`openai=sk-… https://gateway.example=abc` as origin -> key. Raises ValueError.

    A provider's name stands for its own origin. What is wrong is told without the key.
    """
    keys = {}
    for number, part in enumerate(re.split(r"[,\s]+", text.strip()), start=1):
        name, equals, key = part.partition("=")
        if not part:
            continue
        if not equals or not key:
            raise ValueError(f"entry {number} is not name=key or origin=key")
        keys[origin_of(name, allowed)] = check_key(key)
    return keys


def origin_of(name: str, allowed: Iterable[tuple[str, int]] = ()) -> str:
    """The origin that a provider's name, or an origin itself, stands for. Raises ValueError."""
    from providers.catalogue import ENTRIES  # numpy and an HTTP client: 20 MB

    entry = ENTRIES.get(name)
    url = name if entry is None else entry.base_url
    if url is None:
        raise ValueError(f"{name} has no address of its own: write its origin, https://host")
    try:
        return parse_base_url(url, allowed).origin
    except InvalidProvider as error:
        raise ValueError(
            f"{name[:100]!r} is no provider with an address of its own and no origin such as "
            f"https://host: {error}"
        ) from error


def check_key(key: str) -> str:
    """A key that may stand in an HTTP header. Raises ValueError, which does not repeat it."""
    if not key or len(key) > MAX_KEY_CHARACTERS or not re.fullmatch(r"[!-~]+", key):
        raise ValueError(
            f"a key is 1 to {MAX_KEY_CHARACTERS} printable ASCII characters without spaces"
        )
    return key


def parse_secret(text: str) -> bytes:
    """The secret that stored keys are sealed with: 32 bytes in base64. Raises ValueError."""
    try:
        secret = base64.b64decode(text, validate=True)
    except ValueError:
        secret = b""
    if len(secret) != SECRET_BYTES:
        raise ValueError("write 32 random bytes in base64, such as `openssl rand -base64 32` gives")
    return secret


def seal(key: str, *, secret: bytes, tenant_id: str, origin: str) -> bytes:
    """The key, encrypted for this tenant and origin."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = os.urandom(_NONCE_BYTES)
    sealed = AESGCM(secret).encrypt(nonce, key.encode(), _bound_to(tenant_id, origin))
    return _VERSION + nonce + sealed


def unseal(sealed: bytes, *, secret: bytes, tenant_id: str, origin: str) -> str:
    """The key again. Raises KeyMissing where the secret is another, or the row."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce, content = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
    try:
        if sealed[:1] != _VERSION:
            raise InvalidTag
        return AESGCM(secret).decrypt(nonce, content, _bound_to(tenant_id, origin)).decode()
    except (InvalidTag, ValueError) as error:
        raise KeyMissing(
            f"The stored key for {origin} cannot be read with this NMTUNE_SECRET_KEY: store the "
            "key again."
        ) from error


def _bound_to(tenant_id: str, origin: str) -> bytes:
    return f"{tenant_id}\n{origin}".encode()


def missing(origin: str, *, stores_keys: bool) -> str:
    """That there is no key, and both ways to give one."""
    from providers.catalogue import ENTRIES

    name = next(
        (one for one, entry in ENTRIES.items() if entry.base_url and origin_of(one) == origin),
        origin,
    )
    return f"There is no key for {origin}. {ways_to_give(name, stores_keys=stores_keys)}"


def ways_to_give(name: str, *, stores_keys: bool) -> str:
    """How a key is given: by the operator, or stored where the server has a secret to seal it."""
    needs = (
        ""
        if stores_keys
        else (
            ", which this server takes only once it has a secret to encrypt it with: start API and "
            "workers with NMTUNE_SECRET_KEY=$(openssl rand -base64 32), the same for all of them"
        )
    )
    return (
        f"Either start the server (API and workers) with NMTUNE_PROVIDER_KEYS='{name}=KEY', or "
        f"store one: `nmtune keys set {name}`, client.provider_keys.set() or PUT "
        f"/provider-keys{needs}."
    )


def choose(origin: str, *, stored: str | None, environment: Mapping[str, str]) -> str | None:
    """The tenant's own key for an origin, else the operator's."""
    return stored if stored is not None else environment.get(origin)

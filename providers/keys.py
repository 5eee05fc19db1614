"""The providers' keys: which origin each belongs to, and how a key is stored.

A key is bound to an origin (scheme, host, port), so that no other base URL can obtain it. Stored
keys are sealed with AES-GCM under the operator's secret, together with tenant and origin, so that a
row copied elsewhere cannot be opened.

Every process reads settings that may hold keys, and most hold none: libraries that only keys need
are imported with the first key.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final, Protocol

from outbound import sealing
from outbound.errors import CannotUnseal
from providers.base_url import parse_base_url
from providers.errors import InvalidProvider, KeyMissing

MAX_KEY_CHARACTERS: Final = 512


def parse_keys(text: str, allowed: Iterable[tuple[str, int]] = ()) -> dict[str, str]:
    """`openai=sk-… https://gateway.example=abc` as origin -> key. Raises ValueError.

    A provider's name stands for its own origin. Errors never repeat a key.
    """
    keys = {}
    for number, part in enumerate(re.split(r"[,\s]+", text.strip()), start=1):
        name, equals, key = part.partition("=")
        if not part:
            continue
        if not equals or not key:
            raise ValueError(f"entry {number} must be name=key or origin=key")
        keys[origin_of(name, allowed)] = check_key(key)
    return keys


def origin_of(name: str, allowed: Iterable[tuple[str, int]] = ()) -> str:
    """The origin that a provider's name, or an origin itself, stands for. Raises ValueError."""
    from providers.catalogue import ENTRIES  # numpy and an HTTP client: 20 MB

    entry = ENTRIES.get(name)
    url = name if entry is None else entry.base_url
    if url is None:
        raise ValueError(f"{name} has no fixed address: write its origin, such as https://host")
    try:
        return parse_base_url(url, allowed).origin
    except InvalidProvider as error:
        raise ValueError(
            f"{name[:100]!r} is neither a provider with a fixed address nor an origin such as "
            f"https://host: {error}"
        ) from error


def check_key(key: str) -> str:
    """The key, if it fits into an HTTP header. Raises ValueError, which does not repeat it."""
    if not key or len(key) > MAX_KEY_CHARACTERS or not re.fullmatch(r"[!-~]+", key):
        raise ValueError(
            f"a key has 1 to {MAX_KEY_CHARACTERS} printable ASCII characters and no spaces"
        )
    return key


def seal(key: str, *, secret: bytes, tenant_id: str, origin: str) -> bytes:
    """The key, encrypted for this tenant and origin."""
    return sealing.seal(key, secret=secret, tenant_id=tenant_id, purpose=origin)


def unseal(sealed: bytes, *, secret: bytes, tenant_id: str, origin: str) -> str:
    """The key. Raises KeyMissing if the secret, the tenant or the origin has changed."""
    try:
        return sealing.unseal(sealed, secret=secret, tenant_id=tenant_id, purpose=origin)
    except CannotUnseal as error:
        raise KeyMissing(
            f"The stored key for {origin} cannot be decrypted with the present NMTUNE_SECRET_KEY: "
            "store the key again."
        ) from error


def missing(origin: str, *, stores_keys: bool) -> str:
    """The message that there is no key, with both ways to give one."""
    from providers.catalogue import ENTRIES

    name = next(
        (one for one, entry in ENTRIES.items() if entry.base_url and origin_of(one) == origin),
        origin,
    )
    return f"There is no key for {origin}. {ways_to_give(name, stores_keys=stores_keys)}"


def ways_to_give(name: str, *, stores_keys: bool) -> str:
    """How to give a key: as the operator, or by storing it if the server has a secret."""
    needs = (
        ""
        if stores_keys
        else (
            ", which needs a secret that encrypts it: first start API and workers with the same "
            "NMTUNE_SECRET_KEY=$(openssl rand -base64 32)"
        )
    )
    return (
        f"Either start the server (API and workers) with NMTUNE_PROVIDER_KEYS='{name}=KEY', or "
        f"store one: `nmtune provider-keys set {name}`, client.provider_keys.set() or PUT "
        f"/provider-keys{needs}."
    )


class OperatorKeys(Protocol):
    """What the operator's settings say of keys."""

    @property
    def secret(self) -> bytes | None:
        """What seals the keys that users store."""

    @property
    def keys_by_origin(self) -> Mapping[str, str]:
        """The operator's own keys."""


def choose(sealed: bytes | None, tenant_id: str, origin: str, operator: OperatorKeys) -> str | None:
    """The tenant's own key for an origin, which was stored sealed, else the operator's.

    Raises KeyMissing if the stored key cannot be opened.
    """
    if sealed is None or operator.secret is None:
        return operator.keys_by_origin.get(origin)
    return unseal(sealed, secret=operator.secret, tenant_id=tenant_id, origin=origin)

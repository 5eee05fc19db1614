"""The company's identity provider, and what its groups may do here, as the settings say."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from service.hosts import is_loopback
from store.access import scopes
from store.errors import InvalidName
from store.names import check_name

EXAMPLE: Final = '{"ml-admins": "lab:admin", "ml-team": "lab:write"}'


class Grant(NamedTuple):
    """In which tenant, and with which scope."""

    tenant_id: str
    scope: str


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The provider that the operator chose, and what its groups may do."""

    issuer: str
    client_id: str
    client_secret: str | None = field(repr=False)
    scopes: str
    groups_claim: str
    grants: Mapping[str, Grant]


def choice_of(
    *,
    issuer: str,
    client_id: str,
    client_secret: str | None,
    scopes: str,
    groups_claim: str,
    groups: str,
) -> Choice | None:
    """The choice that settings make; None without an issuer. Raises ValueError, which names one."""
    needed = {"oidc_issuer": issuer, "oidc_client_id": client_id, "oidc_groups": groups}
    if not any((*needed.values(), client_secret)):
        return None
    for name, value in needed.items():
        if not value:
            raise ValueError(f"{name} is missing: sign-in by OpenID Connect needs {_all(needed)}")
    _check_issuer(issuer)
    if "openid" not in scopes.split():
        raise ValueError("oidc_scopes must hold the word openid")
    if find_spec("authlib") is None:
        raise ValueError(
            "sign-in by OpenID Connect needs two more packages: pip install 'nmtune-server[sso]'"
        )
    try:
        grants = parse(groups)
    except ValueError as error:
        raise ValueError(f"oidc_groups: {error}") from None
    return Choice(
        issuer=issuer,
        client_id=client_id,
        client_secret=client_secret,
        scopes=scopes,
        groups_claim=groups_claim,
        grants=grants,
    )


def _all(names: Iterable[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}"


def _check_issuer(issuer: str) -> None:
    """https, or http on this very machine."""
    try:
        place = urlsplit(issuer)
        host, _ = place.hostname or "", place.port
    except ValueError:
        place, host = urlsplit(""), ""
    is_safe = place.scheme == "https" or (place.scheme == "http" and is_loopback(host))
    if not host or not is_safe or "@" in place.netloc or place.query or place.fragment:
        raise ValueError(
            "oidc_issuer must be the provider's https address, as it names itself, such as "
            "https://login.example.org"
        )


def parse(text: str) -> dict[str, Grant]:
    """`{"group": "tenant:scope"}` in its order. Raises ValueError."""
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not found:
        raise ValueError(f"it must be a JSON object such as {EXAMPLE}")
    return {group: _grant(group, value) for group, value in found.items()}


def _grant(group: str, value: object) -> Grant:
    tenant_id, colon, scope = str(value).partition(":")
    try:
        check_name("tenant", tenant_id)
    except InvalidName as error:
        raise ValueError(f"group {group[:80]!r}: {error}") from None
    if not colon or scope not in scopes.SCOPES:
        raise ValueError(
            f"group {group[:80]!r} must have TENANT:SCOPE with one of the scopes "
            f"{', '.join(scopes.SCOPES)}, such as lab:read"
        )
    return Grant(tenant_id, scope)


def granted(grants: Mapping[str, Grant], groups: Iterable[str]) -> Grant | None:
    """What a member of these groups may do: the tenant of the first group that the setting lists,
    and the widest scope that groups of that tenant give. None: nothing."""
    given = set(groups)
    mine = [grant for group, grant in grants.items() if group in given]
    if not mine:
        return None
    tenant_id = mine[0].tenant_id
    of_tenant = [grant.scope for grant in mine if grant.tenant_id == tenant_id]
    return Grant(tenant_id, max(of_tenant, key=scopes.SCOPES.index))

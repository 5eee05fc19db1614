"""Check the token in which a provider says who signed in (Authlib, of the extra `sso`)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

ALGORITHMS: Final = ("RS256", "PS256", "ES256")
"""Signatures that are believed: public keys alone, whatever the provider says it supports."""
LEEWAY_SECONDS: Final = 60
"""How far the provider's clock may be from this one."""
MOST_CHARACTERS: Final = 255
"""The longest subject, by the standard."""

_WORD: Final = re.compile(r"[A-Za-z0-9_]{1,40}")
_KINDS: Final = frozenset({"RSA", "EC"})


class NotTrustedError(Exception):
    """The token is not good; the message says why, in words of ours."""


@dataclass(frozen=True)
class Member:
    """Who signed in, and their groups."""

    issuer: str
    sub: str
    groups: tuple[str, ...]

    @property
    def subject(self) -> str:
        """Who it is, among all issuers."""
        return self.sub + suffix_of(self.issuer)


def suffix_of(issuer: str) -> str:
    """How the subjects of an issuer end."""
    return f" at {issuer}"


def challenge_of(verifier: str) -> str:
    """The hash of a verifier, by PKCE's method S256."""
    from authlib.oauth2.rfc7636 import create_s256_code_challenge

    return str(create_s256_code_challenge(verifier))


def needs_other_keys(answer: Mapping[str, Any], keys: Mapping[str, Any]) -> bool:
    """Whether the token names a key that is not among these: the provider may have changed it."""
    from joserfc import jws
    from joserfc.errors import JoseError

    try:
        header = jws.extract_compact(str(answer.get("id_token")).encode()).headers()
    except (JoseError, ValueError):
        return False
    return header.get("kid") not in {one.get("kid") for one in _usable(keys)}


def member(
    answer: Mapping[str, Any],
    keys: Mapping[str, Any],
    *,
    issuer: str,
    client_id: str,
    nonce: str,
    groups_claim: str,
) -> Member:
    """Who the token is of. answer: of the token endpoint. Raises NotTrustedError."""
    from authlib.oidc.core import CodeIDToken
    from joserfc import jwt
    from joserfc.errors import JoseError
    from joserfc.jwk import KeySet
    from joserfc.jws import JWSRegistry

    token = answer.get("id_token")
    if not isinstance(token, str):
        raise NotTrustedError("there is none")
    must = {"iss": issuer, "aud": client_id, "nonce": nonce}
    options: dict[str, dict[str, Any]] = {
        name: {"essential": True, "value": value} for name, value in must.items()
    }
    try:
        decoded = jwt.decode(
            token,
            KeySet.import_key_set({"keys": _usable(keys)}),
            registry=JWSRegistry(algorithms=list(ALGORITHMS), strict_check_header=False),
        )
        claims = CodeIDToken(
            decoded.claims,
            decoded.header,
            options,
            {"nonce": nonce, "client_id": client_id, "access_token": answer.get("access_token")},
        )
        claims.validate(leeway=LEEWAY_SECONDS)
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise NotTrustedError(_reason(error)) from error
    sub = claims.get("sub")
    if not isinstance(sub, str) or not 0 < len(sub) <= MOST_CHARACTERS or not sub.isprintable():
        raise NotTrustedError("its subject is no text of 1 to 255 characters")
    return Member(issuer, sub, _groups(claims.get(groups_claim)))


def word(value: object) -> str:
    """A provider's error code, if it is a plain word."""
    return value if isinstance(value, str) and _WORD.fullmatch(value) else ""


def _usable(keys: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Public keys for signatures; a provider may publish others beside them."""
    found = keys.get("keys")
    return [
        key
        for key in (found if isinstance(found, list) else [])
        if isinstance(key, dict) and key.get("kty") in _KINDS and key.get("use", "sig") == "sig"
    ]


def _groups(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list) else ()


def _reason(error: Exception) -> str:
    claim = getattr(error, "claim", None)
    code = getattr(error, "error", None) or type(error).__name__
    return f"{word(code) or 'unreadable'} {word(claim)}".strip()

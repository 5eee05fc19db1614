"""The secrets that we hand out: what a key looks like, and what of it is kept.

A key is `nmk_`, 32 random characters and 6 that check them, so that a mistyped or cut one is
refused without a query, and scanners find one that was published. Only its hash is stored: with
190 random bits there is nothing to guess, so a slow hash would add nothing.
"""

import hashlib
import re
import secrets
import zlib
from typing import Final

PREFIX: Final = "nmk_"
N_RANDOM: Final = 32
N_CHECK: Final = 6
LENGTH: Final = len(PREFIX) + N_RANDOM + N_CHECK

_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SHAPE: Final = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{N_RANDOM + N_CHECK}}}")
_ANYWHERE: Final = re.compile(rf"{PREFIX}[0-9A-Za-z]+")


def new_key() -> str:
    """A new key, to be shown once."""
    body = PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(N_RANDOM))
    return body + _check(body)


def is_key(text: str) -> bool:
    """Whether the text has the form of a key and its last characters check the others."""
    if _SHAPE.fullmatch(text) is None:
        return False
    body, check = text[:-N_CHECK], text[-N_CHECK:]
    return _check(body) == check


def new_token() -> str:
    """256 random bits, for a session's cookie or a link that is used once."""
    return secrets.token_urlsafe(32)


def sha256_of(secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def without_keys(text: str) -> str:
    """The text with everything that may be a key cut down to its prefix, for logs."""
    return _ANYWHERE.sub(f"{PREFIX}...", text) if PREFIX in text else text


def _check(body: str) -> str:
    number = zlib.crc32(body.encode())
    return "".join(_ALPHABET[number // 62**place % 62] for place in range(N_CHECK - 1, -1, -1))

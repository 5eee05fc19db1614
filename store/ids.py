"""Identifiers: a prefix and 26 characters that sort by time and cannot be guessed."""

import secrets
import time
from typing import Final

# Crockford's alphabet in lower case: ASCII order is numeric order; no i, l, o, u to misread.
_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_N_CHARACTERS: Final = 26


def new_id(prefix: str) -> str:
    """A new identifier such as `job_01k...`: 64 bits of time (ns), then 64 random bits.

    Opaque to users. Two ids made one after the other in one process sort in that order.
    """
    number = time.time_ns() << 64 | secrets.randbits(64)
    shifts = range(5 * (_N_CHARACTERS - 1), -1, -5)
    return f"{prefix}_" + "".join(_ALPHABET[number >> shift & 31] for shift in shifts)

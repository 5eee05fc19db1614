"""The home of reading answers: vectors checked one by one, and errors told apart.

A service may be compatible in name only, so nothing is taken on trust.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from providers.errors import (
    InputRefused,
    InvalidProvider,
    KeyRefused,
    ProviderBusy,
    ProviderError,
    ProviderUnavailable,
    QuotaExhausted,
    TooLong,
    TooMuch,
    WrongAnswer,
)
from providers.exchange import Answer

MOST_WIDTH: Final = 65_536
_MOST_WORDS: Final = 300
_QUOTA: Final = re.compile(
    r"insufficient.?(quota|balance|credit)|exceeded your current quota", re.IGNORECASE
)
_TOO_MUCH: Final = re.compile(
    r"too many (inputs|items|texts|requests in|elements)|batch size|too large|payload"
    r"|batch.{0,40}(at most|exceed|max)|at most \d+ (requests|inputs|items|texts)"
    r"|(array|list).{0,30}(too long|at most|length)|tokens? (limit )?per (request|batch)"
    r"|total (number of )?tokens",
    re.IGNORECASE,
)
_TOO_LONG: Final = re.compile(
    r"context.?length|too long|too many tokens|maximum.{0,30}(length|tokens)"
    r"|token.{0,20}(limit|max)|exceed.{0,40}(tokens|length)|must have less than \d+ tokens",
    re.IGNORECASE,
)


def by_index(items: Sequence[Any], n_texts: int) -> list[object]:
    """`embedding` of each item, in the order that `index` says. Raises WrongAnswer."""
    vectors: list[object] = [None] * n_texts
    if len(items) != n_texts:
        raise _wrong_count(len(items), n_texts)
    for place, item in enumerate(items):
        index = item.get("index", place)
        if type(index) is not int or not 0 <= index < n_texts or vectors[index] is not None:
            raise WrongAnswer("The provider numbers its vectors in a way that fits no order.")
        vectors[index] = item["embedding"]
    return vectors


def checked(
    vectors: Sequence[object], n_texts: int, *, dimensions: int | None
) -> NDArray[np.float32]:
    """The vectors as float32 (n, d): as many as texts, of one width, finite, none all zero.

    Raises WrongAnswer.
    """
    if len(vectors) != n_texts:
        raise _wrong_count(len(vectors), n_texts)
    width = len(vectors[0]) if isinstance(vectors[0], list) else 0
    if not 0 < width <= MOST_WIDTH:
        raise WrongAnswer("The provider's vectors are not lists of numbers.")
    if dimensions is not None and width != dimensions:
        raise WrongAnswer(
            f"The provider's vectors have {width} numbers, and {dimensions} were asked for: the "
            "model may not know the parameter dimensions."
        )
    for vector in vectors:
        if not isinstance(vector, list) or len(vector) != width:
            raise WrongAnswer("The provider's vectors have different widths.")
        if not {int, float}.issuperset(map(type, vector)):
            raise WrongAnswer("The provider's vectors hold something else than numbers.")
    with np.errstate(over="ignore"):
        x = np.array(vectors, np.float64).astype(np.float32)
    if not np.isfinite(x).all():
        raise WrongAnswer("The provider's vectors hold numbers that are not finite.")
    if not x.any(axis=1).all():
        raise WrongAnswer("One of the provider's vectors is zero throughout.")
    return x


def _wrong_count(n_vectors: int, n_texts: int) -> WrongAnswer:
    return WrongAnswer(f"The provider sent {n_vectors} vectors for {n_texts} texts.")


def error_of(answer: Answer, *, key: str | None) -> ProviderError:
    """What an answer that is no success means. The provider's words are in it, the key never."""
    words = _words(answer.body, key)
    said = f' It says: "{words}"' if words else ""
    status = answer.status
    if status in {401, 403}:
        return KeyRefused(f"The provider refused the key (HTTP {status}).{said}")
    if status == 402 or (status == 429 and _QUOTA.search(words)):
        return QuotaExhausted(f"The provider's account has nothing left (HTTP {status}).{said}")
    if status == 429:
        message = f"The provider asks for fewer requests (HTTP 429).{said}"
        return ProviderBusy(message, retry_after=answer.retry_after)
    if status == 413:
        return TooMuch(f"The provider finds the request too large (HTTP 413).{said}")
    if status == 404:
        return InvalidProvider(f"The provider does not know this (HTTP 404).{said}", field="model")
    if status in {400, 422}:
        refused = f"The provider refused the request (HTTP {status}).{said}"
        if _TOO_MUCH.search(words):
            return TooMuch(refused)
        return TooLong(refused) if _TOO_LONG.search(words) else InputRefused(refused)
    if status in {408, 424, 425} or status >= 500:
        message = f"The provider failed (HTTP {status}).{said}"
        return ProviderUnavailable(message, retry_after=answer.retry_after)
    if 300 <= status < 400:
        return InvalidProvider(
            f"The provider answered with a redirect (HTTP {status}), which is not followed: put "
            "the address it leads to into base_url.",
            field="base_url",
        )
    return InputRefused(f"The provider refused the request (HTTP {status}).{said}")


def _words(body: bytes, key: str | None) -> str:
    """The message of a JSON error, short and printable; anything else is not shown."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    for name in ("error", "message", "detail", "error_message"):
        while isinstance(found, list) and found:
            found = found[0]
        if isinstance(found, dict) and isinstance(found.get(name), str | dict | list):
            found = found[name]
    if isinstance(found, dict):
        found = found.get("msg") or found.get("code")
    if not isinstance(found, str):
        return ""
    text = "".join(char if char.isprintable() else " " for char in found)
    if key:
        text = text.replace(key, "(the key)")
    # Providers repeat a key with its middle left out; what is left of it is nobody's business.
    text = re.sub(r"\S*\*{3,}\S*", "(the key)", text)
    return text[:_MOST_WORDS].strip()

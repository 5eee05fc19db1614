"""The home of what a provider is: its limits, and texts to vectors in one request."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from providers.encoder import Encoder


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one request may hold; the provider's documents say so, answers may teach less."""

    max_items: int
    max_tokens: int
    """In one request, by our estimate."""
    max_text_tokens: int
    """In one text, by our estimate."""
    max_bytes: int = 2_000_000
    """The texts of one request as UTF-8."""
    max_concurrency: int = 8
    """Requests at a time, at most."""


@dataclass(frozen=True)
class Embedded:
    """What one request gave: vectors float32 (n, d) in the order of the texts, and its cost."""

    vectors: NDArray[np.float32]
    n_tokens: int
    """As the provider counted, or by our estimate where it does not say."""
    n_truncated: int = 0
    """Texts of which the provider says that it read the beginning only."""


class Provider(Protocol):
    """One encoder, ready to be asked; safe among threads."""

    @property
    def encoder(self) -> Encoder: ...

    @property
    def limits(self) -> Limits: ...

    def embed(self, texts: Sequence[str], *, seconds: float) -> Embedded:
        """The vectors of the texts, in one request that ends within `seconds`.

        Raises ProviderError; TooMuch and TooLong if other texts, or fewer, would be taken.
        """

    def elsewhere(self) -> "Sequence[Provider]":
        """The same at the base URLs that may be meant, where its own leads nowhere."""


class Dialect(Protocol):
    """How one kind of HTTP service is asked, and how it answers."""

    @property
    def roots(self) -> Sequence[str]:
        """What the path of a base URL usually ends with."""

    @property
    def endings(self) -> Sequence[str]:
        """What is no part of a base URL, though it is often copied into one."""

    def path(self, encoder: Encoder) -> str:
        """What comes behind the base URL."""

    def headers(self, key: str) -> dict[str, str]:
        """How the key is shown."""

    def body(self, encoder: Encoder, texts: Sequence[str]) -> dict[str, Any]:
        """The request."""

    def read(self, answer: Any, n_texts: int) -> tuple[Sequence[object], int | None]:
        """The vectors in the order of the texts, and the tokens that were counted, if any.

        Raises WrongAnswer, or KeyError, TypeError or IndexError where the form is another.
        """


def estimated_tokens(text: str) -> int:
    """About how many tokens a text is, rather too many: a token is 3 bytes or more."""
    return len(text.encode()) // 3 + 2

"""What a provider is: its limits, and one request that turns texts into vectors."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from providers.encoder import Encoder


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one request may hold, by the provider's documents; answers may teach less."""

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
    """The result of one request: vectors float32 (n, d) in the order of the texts, and its cost."""

    vectors: NDArray[np.float32]
    n_tokens: int
    """As the provider counted them, or our estimate if it does not say."""
    n_truncated: int = 0
    """Texts of which the provider says that it read only the beginning."""


class Provider(Protocol):
    """One encoder, ready to be asked; safe among threads."""

    @property
    def encoder(self) -> Encoder: ...

    @property
    def limits(self) -> Limits: ...

    def embed(self, texts: Sequence[str], *, seconds: float) -> Embedded:
        """The vectors of the texts, in one request that ends within `seconds`.

        Raises ProviderError; TooMuch or TooLong if fewer or shorter texts would be accepted.
        """

    def elsewhere(self) -> "Sequence[Provider]":
        """The same provider at other base URLs that may be meant, if its own leads nowhere."""


class Dialect(Protocol):
    """How one kind of HTTP service is asked, and how it answers."""

    @property
    def roots(self) -> Sequence[str]:
        """Usual endings of a base URL's path."""

    @property
    def endings(self) -> Sequence[str]:
        """Endings that are often copied into a base URL but do not belong there."""

    def path(self, encoder: Encoder) -> str:
        """The path after the base URL."""

    def headers(self, key: str) -> dict[str, str]:
        """The headers that carry the key."""

    def body(self, encoder: Encoder, texts: Sequence[str]) -> dict[str, Any]:
        """The request's body."""

    def read(self, answer: Any, n_texts: int) -> tuple[Sequence[object], int | None]:
        """The vectors in the order of the texts, and the number of tokens if the answer has it.

        Raises WrongAnswer, or KeyError, TypeError or IndexError for another format.
        """


def estimated_tokens(text: str) -> int:
    """About how many tokens a text has, rather too many: a token has 3 bytes or more."""
    return len(text.encode()) // 3 + 2

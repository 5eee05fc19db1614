"""Batches: which texts go into one request, limited by items, tokens and bytes."""

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from providers.provider import Limits, estimated_tokens

FEWEST_CHARACTERS: Final = 16
"""A text is never cut to fewer characters than these."""

_TOKEN_BYTES: Final = 3
_SIZES: Final = ("max_items", "max_tokens", "max_bytes")


@dataclass(frozen=True)
class Batch:
    """Texts for one request: `places` are their positions, `cut` those of shortened texts."""

    places: tuple[int, ...]
    texts: tuple[str, ...]
    cut: frozenset[int] = frozenset()
    is_part: bool = False
    """Whether it comes from a larger batch that was refused."""
    n_guesses: int = 0
    """How often its text was shortened although nobody said that it is too long."""

    def halves(self) -> list["Batch"]:
        """Two batches of half the texts."""
        middle = len(self.places) // 2
        return [self._of(range(middle)), self._of(range(middle, len(self.places)))]

    def without(self, index: int) -> list["Batch"]:
        """A batch of all other texts, then one of only the text at `index`."""
        others = [one for one in range(len(self.places)) if one != index]
        return [self._of(others), self._of([index])]

    def _of(self, indices: Sequence[int]) -> "Batch":
        return replace(
            self,
            places=tuple(self.places[index] for index in indices),
            texts=tuple(self.texts[index] for index in indices),
            is_part=True,
        )

    def shortened(self, kept: int) -> "Batch | None":
        """The only text of this batch cut to `kept` characters; None if those are too few."""
        (text,) = self.texts
        if not FEWEST_CHARACTERS <= kept < len(text):
            return None
        return replace(self, texts=(text[:kept],), cut=frozenset(self.places))


@dataclass(frozen=True)
class _Lesson:
    """A limit learnt from the refusal of the texts at `places`, until a moment of `monotonic`."""

    places: frozenset[int]
    name: str
    most: int
    until: float


class Caps:
    """The limits of one provider, lowered by what its answers teach; safe among threads."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._lessons: list[_Lesson] = []
        self._lock = threading.Lock()

    @property
    def now(self) -> Limits:
        moment = time.monotonic()
        least: dict[str, int] = {}
        with self._lock:
            for one in self._lessons:
                if one.until > moment:
                    least[one.name] = min(one.most, least.get(one.name, one.most))
        return replace(self._limits, **least)

    def fit(self, batch: Batch) -> bool:
        """Whether a batch is within the present limits; a single text always is."""
        limits = self.now
        sizes = zip(_SIZES, _size(batch.texts), strict=True)
        return len(batch.texts) == 1 or all(n <= getattr(limits, name) for name, n in sizes)

    def learn(
        self, refused: Batch, *, is_of_tokens: bool = False, seconds: float = float("inf")
    ) -> None:
        """A request of this size was refused: halve the limit that it came nearest to, for a time.

        The refusal may have been about items, tokens or bytes. Blaming the one nearest to its limit
        avoids sending many short texts one by one because of a few long ones.
        """
        limits = self.now
        sizes = dict(zip(_SIZES, _size(refused.texts), strict=True))
        blamed = max(_SIZES, key=lambda name: sizes[name] / getattr(limits, name))
        if is_of_tokens:
            blamed = "max_tokens"
        less = max(1, min(sizes[blamed] // 2, getattr(limits, blamed)))
        lesson = _Lesson(frozenset(refused.places), blamed, less, time.monotonic() + seconds)
        with self._lock:
            self._lessons.append(lesson)

    def forget(self, place: int) -> None:
        """Drop lessons from batches with the text at `place`: it was refused, not their size."""
        with self._lock:
            self._lessons = [one for one in self._lessons if place not in one.places]


def split(texts: Sequence[str], limits: Limits, places: Sequence[int]) -> Iterator[Batch]:
    """Split the texts at `places` into batches within the limits.

    A text far longer than the model reads is cut first: the model would ignore the rest.
    """
    chosen: list[int] = []
    kept: list[str] = []
    cut: set[int] = set()
    n_tokens = n_bytes = 0
    for place in places:
        text, is_cut = bounded(texts[place], limits)
        _, text_tokens, text_bytes = _size([text])
        if chosen and (
            len(chosen) >= limits.max_items
            or n_tokens + text_tokens > limits.max_tokens
            or n_bytes + text_bytes > limits.max_bytes
        ):
            yield Batch(tuple(chosen), tuple(kept), frozenset(cut))
            chosen, kept, cut, n_tokens, n_bytes = [], [], set(), 0, 0
        chosen.append(place)
        kept.append(text)
        cut |= {place} if is_cut else set()
        n_tokens += text_tokens
        n_bytes += text_bytes
    if chosen:
        yield Batch(tuple(chosen), tuple(kept), frozenset(cut))


def bounded(text: str, limits: Limits) -> tuple[str, bool]:
    """The text, cut at four times our estimate of what the model reads, and whether it was cut.

    Four times because the estimate is cautious; the provider refuses what is still too long.
    """
    most = min(limits.max_bytes, 4 * _TOKEN_BYTES * limits.max_text_tokens)
    data = text.encode()
    if len(data) <= most:
        return text, False
    return data[:most].decode(errors="ignore"), True


def _size(texts: Sequence[str]) -> tuple[int, int, int]:
    n_bytes = sum(len(text.encode()) for text in texts)
    return len(texts), sum(map(estimated_tokens, texts)), n_bytes

"""The home of batches: which texts go into one request, by items, tokens and bytes."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from providers.provider import Limits, estimated_tokens

_TOKEN_BYTES: Final = 3


@dataclass(frozen=True)
class Batch:
    """Texts for one request; `places` says where each belongs, `cut` which were shortened."""

    places: tuple[int, ...]
    texts: tuple[str, ...]
    cut: frozenset[int] = frozenset()

    def halves(self) -> tuple["Batch", "Batch"]:
        """Two batches of half the texts."""
        middle = len(self.places) // 2
        return (
            replace(self, places=self.places[:middle], texts=self.texts[:middle]),
            replace(self, places=self.places[middle:], texts=self.texts[middle:]),
        )

    def shortened(self) -> "Batch | None":
        """The one text of this batch with three quarters of its characters; None if too few."""
        (text,) = self.texts
        kept = len(text) * 3 // 4
        if kept < 16:
            return None
        return replace(self, texts=(text[:kept],), cut=frozenset(self.places))


class Caps:
    """The limits of one provider, lowered by what its answers teach; safe among threads."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._lock = threading.Lock()

    @property
    def now(self) -> Limits:
        return self._limits

    def learn(self, refused: Batch) -> None:
        """A request of this size was too much: allow half of what it had most of.

        What was refused may have been items, tokens or bytes; the one nearest to its limit is
        blamed, so that many short texts are not sent one by one for the sake of a few long ones.
        """
        with self._lock:
            limits = self._limits
            n_items, n_tokens, n_bytes = _size(refused.texts)
            shares = {
                "max_items": n_items / limits.max_items,
                "max_tokens": n_tokens / limits.max_tokens,
                "max_bytes": n_bytes / limits.max_bytes,
            }
            blamed = max(shares, key=lambda name: shares[name])
            size = {"max_items": n_items, "max_tokens": n_tokens, "max_bytes": n_bytes}[blamed]
            less = max(1, min(size // 2, getattr(limits, blamed)))
            self._limits = replace(limits, **{blamed: less})


def plan(texts: Sequence[str], limits: Limits, places: Sequence[int]) -> Iterator[Batch]:
    """The texts at `places` in batches that the limits take.

    A text far beyond what the model reads is cut first: nobody would embed the rest of it.
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
    """The text, at most four times as long as our estimate of what the model reads; whether cut.

    Four times, since the estimate is on the safe side; what is still too long the provider says.
    """
    most = min(limits.max_bytes, 4 * _TOKEN_BYTES * limits.max_text_tokens)
    data = text.encode()
    if len(data) <= most:
        return text, False
    return data[:most].decode(errors="ignore"), True


def _size(texts: Sequence[str]) -> tuple[int, int, int]:
    n_bytes = sum(len(text.encode()) for text in texts)
    return len(texts), sum(map(estimated_tokens, texts)), n_bytes

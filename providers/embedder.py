"""Embed many texts: batches run side by side, are repeated, halved and checked.

The caller takes finished batches one by one and keeps each; leaving the loop stops the work.
"""

import logging
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from statistics import median
from typing import Final

import numpy as np
from numpy.typing import NDArray

from providers.asking import Asking, OnWait, Outgrown, Patience, Refused
from providers.batches import FEWEST_CHARACTERS, Batch, Caps, split
from providers.errors import (
    InputRefused,
    ProviderBusy,
    ProviderError,
    TooLong,
    TooMuch,
    WrongAnswer,
)
from providers.http.refusals import speaks_of_length
from providers.pace import Stopped
from providers.provider import Embedded, Provider

__all__ = ["EmbeddedBatch", "Patience", "embed"]

TICK_SECONDS: Final = 0.1  # the longest time between two looks at `should_stop`
GRACE_SECONDS: Final = 3.0  # for requests under way at the end, which are paid for
BUSY_LESSON_SECONDS: Final = 300.0
"""How long to avoid a size after a refusal that did not mention size."""
GUESSES: Final = 2
"""How often to cut a text that may be too long."""
FAR_LONGER: Final = 2.0
"""As a multiple of the usual length of a text."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class EmbeddedBatch:
    """Some of the texts: their places, vectors float32 (n, d), and what they cost."""

    places: tuple[int, ...]
    vectors: NDArray[np.float32]
    n_tokens: int
    n_truncated: int


def embed(
    provider: Provider,
    texts: Sequence[str],
    *,
    should_stop: Callable[[], bool] = lambda: False,
    patience: Patience | None = None,
    caps: Caps | None = None,
    on_wait: OnWait | None = None,
) -> Generator[EmbeddedBatch, None, None]:
    """Embed the texts in as many requests as needed, and yield each batch as it finishes.

    All vectors have one width. Answers that teach limits lower `caps`. `on_wait` is called, in a
    thread of the pool, for each pause that the provider forces.

    Raises:
        Stopped: `should_stop` returned True.
        ProviderUnavailable: the provider stayed away or busy for longer than `patience`.
        ProviderError: the provider refused. An error about one text has its `place`; the other
            texts of that request are embedded and yielded before.
    """
    caps = caps or Caps(provider.limits)
    work = _Work(provider, texts, caps, Asking(provider, patience or Patience(), caps, on_wait))
    todo = list(split(texts, caps.now, range(len(texts))))[::-1]
    with work.running() as pool:
        flying: dict[Future[Embedded], Batch] = {}
        failure: Exception | None = None
        is_found = False
        while todo or flying:
            if should_stop():
                failure = failure or Stopped()
                break
            while todo and len(flying) < provider.limits.max_concurrency:
                # The others wait here; in the pool they would miss what is learnt meanwhile.
                batch, *others = _fitting(todo.pop(), caps)
                todo += others[::-1]
                flying[pool.submit(work.asking.ask, batch)] = batch
            for future in wait(flying, TICK_SECONDS, FIRST_COMPLETED).done:
                batch = flying.pop(future)
                try:
                    finished = work.finished(batch, future.result())
                except Outgrown:
                    todo.append(batch)  # `_fitting` splits it
                except Refused as refused:
                    smaller = work.smaller(batch, refused.error)
                    todo += smaller
                    if not smaller:  # keep the good texts of the same request
                        failure, is_found = failure or refused.error, True
                        todo = [one for one in todo if one.is_part]
                except (ProviderError, Stopped) as error:
                    failure = failure or error
                    todo = []
                    break
                else:
                    yield finished
            else:
                continue
            break
        if failure is not None:
            yield from work.last(flying)
            # `fatal` came first, even if its thread is seen after the others.
            raise failure if is_found else work.asking.fatal or failure


def _fitting(batch: Batch, caps: Caps) -> Iterator[Batch]:
    """The batch, or smaller ones if limits were learnt after it was split."""
    for part in split(batch.texts, caps.now, range(len(batch.texts))):
        places = tuple(batch.places[index] for index in part.places)
        cut = frozenset(batch.places[index] for index in part.cut) | (batch.cut & set(places))
        yield replace(batch, places=places, texts=part.texts, cut=cut)


class _Work:
    """What one call of `embed` has learnt."""

    def __init__(
        self, provider: Provider, texts: Sequence[str], caps: Caps, asking: Asking
    ) -> None:
        self.asking = asking
        self._caps = caps
        self._n_at_once = provider.limits.max_concurrency
        self._usual_length = median(map(len, texts)) if texts else 0
        self._longest_taken = 0
        self._width: int | None = None

    @contextmanager
    def running(self) -> Iterator[ThreadPoolExecutor]:
        pool = ThreadPoolExecutor(self._n_at_once, thread_name_prefix="embedding")
        try:
            yield pool
        finally:
            self.asking.stop()
            pool.shutdown(wait=False, cancel_futures=True)

    def finished(self, batch: Batch, found: Embedded) -> EmbeddedBatch:
        """The vectors of a request. Raises WrongAnswer if their width differs from before."""
        width = found.vectors.shape[1]
        if self._width not in {None, width}:
            error = WrongAnswer(
                f"The provider sent vectors of {self._width} numbers, then of {width}."
            )
            error.place, error.n_texts = batch.places[0], len(batch.places)
            raise error
        self._width = width
        self._longest_taken = max(self._longest_taken, *map(len, batch.texts))
        n_truncated = len(batch.cut) + found.n_truncated
        return EmbeddedBatch(batch.places, found.vectors, found.n_tokens, n_truncated)

    def last(self, flying: dict[Future[Embedded], Batch]) -> Iterator[EmbeddedBatch]:
        """The batches that still arrive from requests under way."""
        self.asking.stop()
        for future in wait(flying, GRACE_SECONDS).done:
            try:
                yield self.finished(flying[future], future.result())
            except (ProviderError, Outgrown, Refused, Stopped) as error:
                logger.debug("embedding.dropped reason=%s", type(error).__name__)

    def smaller(self, batch: Batch, error: ProviderError) -> list[Batch]:
        """The batches to send in place of a refused one; empty if there is nothing left to try.

        A refusal without a known reason may be about one text: halving finds that text.
        """
        if len(batch.texts) == 1:
            self._caps.forget(batch.places[0])
            shorter = self._shorter(batch, error)
            error.place = batch.places[0]
            return [shorter] if shorter else []
        if isinstance(error, WrongAnswer) and error.place is not None:
            return batch.without(error.place)
        if isinstance(error, TooMuch):
            self._caps.learn(batch, is_of_tokens=error.is_of_tokens)
        elif not isinstance(error, InputRefused | WrongAnswer):
            self._caps.learn(batch, seconds=BUSY_LESSON_SECONDS)
        return batch.halves()

    def _shorter(self, batch: Batch, error: ProviderError) -> Batch | None:
        """The only text cut if it may be too long, repeatedly if it is known to be."""
        (text,) = batch.texts
        share = error.share_taken if isinstance(error, InputRefused) else None
        if isinstance(error, TooMuch | TooLong):
            return batch.shortened(int(len(text) * (share * 0.95 if share else 0.75)))
        if batch.n_guesses >= GUESSES or isinstance(error, WrongAnswer | ProviderBusy):
            return None
        is_far_longer = len(text) > FAR_LONGER * self._usual_length
        if not speaks_of_length(error) and not (is_far_longer and _says_nothing(error)):
            return None
        kept = len(text) // 2
        if batch.n_guesses:  # no longer than a text that was accepted
            kept = min(kept, max(self._longest_taken, FEWEST_CHARACTERS))
        shorter = batch.shortened(kept)
        return shorter and replace(shorter, n_guesses=batch.n_guesses + 1)


def _says_nothing(error: ProviderError) -> bool:
    return "It says:" not in str(error)

"""The home of embedding many texts: batches side by side, tried again, halved, and checked.

The caller takes finished batches one by one and keeps each; whoever leaves the loop stops it.
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
from providers.batches import FEWEST_CHARACTERS, Batch, Caps, plan
from providers.errors import (
    InputRefused,
    ProviderBusy,
    ProviderError,
    TooLong,
    TooMuch,
    WrongAnswer,
)
from providers.pace import Stopped
from providers.provider import Embedded, Provider
from providers.refusals import speaks_of_length

__all__ = ["Finished", "Patience", "embed"]

TICK_SECONDS: Final = 0.1  # the longest time between two looks at `should_stop`
GRACE_SECONDS: Final = 3.0  # for requests under way, which are paid for, once there is an end
BUSY_LESSON_SECONDS: Final = 300.0
"""How long a size is taken for too large that was refused without saying so."""
GUESSES: Final = 2
"""How often a text is cut that may be too long."""
FAR_LONGER: Final = 2.0
"""Times the usual length of a text."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Finished:
    """Some of the texts: vectors float32 (n, d), the places they belong to, what they cost."""

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
) -> Generator[Finished, None, None]:
    """Embed the texts, in as many requests as it takes, and yield each as it finishes.

    All vectors have one width. `caps` are lowered by what is learnt; `on_wait` is told, in one of
    the engine's threads, of each pause that the provider makes it take.

    Raises:
        Stopped: `should_stop` says so.
        ProviderUnavailable: the provider stays away or busy for longer than `patience` has.
        ProviderError: it refuses. One that is about a text tells its `place`; what came in one
            request with it is embedded and yielded before.
    """
    caps = caps or Caps(provider.limits)
    work = _Work(provider, texts, caps, Asking(provider, patience or Patience(), caps, on_wait))
    todo = list(plan(texts, caps.now, range(len(texts))))[::-1]
    with work.running() as pool:
        flying: dict[Future[Embedded], Batch] = {}
        failure: Exception | None = None
        is_found = False
        while todo or flying:
            if should_stop():
                failure = failure or Stopped()
                break
            while todo and len(flying) < provider.limits.max_concurrency:
                # The others wait here, not in the pool, where no lesson would reach them.
                batch, *others = _fitting(todo.pop(), caps)
                todo += others[::-1]
                flying[pool.submit(work.asking.ask, batch)] = batch
            for future in wait(flying, TICK_SECONDS, FIRST_COMPLETED).done:
                batch = flying.pop(future)
                try:
                    finished = work.finished(batch, future.result())
                except Outgrown:
                    todo.append(batch)  # `_fitting` makes smaller ones of it
                except Refused as refused:
                    smaller = work.smaller(batch, refused.error)
                    todo += smaller
                    if not smaller:  # the others that came with it are good, and are kept
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
            # What stopped the others came first, though its thread may be seen after theirs.
            raise failure if is_found else work.asking.fatal or failure


def _fitting(batch: Batch, caps: Caps) -> Iterator[Batch]:
    """The batch, or smaller ones if limits were learnt since it was planned."""
    for part in plan(batch.texts, caps.now, range(len(batch.texts))):
        places = tuple(batch.places[index] for index in part.places)
        cut = frozenset(batch.places[index] for index in part.cut) | (batch.cut & set(places))
        yield replace(batch, places=places, texts=part.texts, cut=cut)


class _Work:
    """What one call has found out."""

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

    def finished(self, batch: Batch, found: Embedded) -> Finished:
        """What a request gave. Raises WrongAnswer where the width is another than before."""
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
        return Finished(batch.places, found.vectors, found.n_tokens, n_truncated)

    def last(self, flying: dict[Future[Embedded], Batch]) -> Iterator[Finished]:
        """What still arrives of the requests under way."""
        self.asking.stop()
        for future in wait(flying, GRACE_SECONDS).done:
            try:
                yield self.finished(flying[future], future.result())
            except (ProviderError, Outgrown, Refused, Stopped) as error:
                logger.debug("embedding.dropped reason=%s", type(error).__name__)

    def smaller(self, batch: Batch, error: ProviderError) -> list[Batch]:
        """What to send in place of a refused batch; nothing where no more is left to try.

        A refusal without a known reason may be about one text: halving finds it.
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
        """The one text cut, where it may be too long: time and again if it is known to be."""
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
        if batch.n_guesses:  # as long as one that was taken
            kept = min(kept, max(self._longest_taken, FEWEST_CHARACTERS))
        shorter = batch.shortened(kept)
        return shorter and replace(shorter, n_guesses=batch.n_guesses + 1)


def _says_nothing(error: ProviderError) -> bool:
    return "It says:" not in str(error)

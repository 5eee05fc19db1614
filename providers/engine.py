"""The home of embedding many texts: batches side by side, tried again, halved, and checked.

The caller takes finished batches one by one and keeps each; whoever leaves the loop stops it.
"""

import logging
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np
import tenacity
from numpy.typing import NDArray

from providers.batches import Batch, Caps, plan
from providers.errors import (
    InputRefused,
    ProviderBusy,
    ProviderError,
    ProviderUnavailable,
    TooLong,
    TooMuch,
    WrongAnswer,
)
from providers.pace import Pace, Stopped
from providers.provider import Embedded, Provider

TICK_SECONDS: Final = 0.1  # the longest time between two looks at `should_stop`
GRACE_SECONDS: Final = 3.0  # for requests under way, which are paid for, once there is an end
LONGEST_PAUSE_SECONDS: Final = 60.0
LONGEST_RETRY_AFTER_SECONDS: Final = 300.0
WRONG_ANSWERS: Final = 2  # tries of a request whose answer was wrong

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long to wait, in seconds: for one answer, and for a provider that is away or busy."""

    request_seconds: float = 60.0
    give_up_seconds: float = 600.0
    first_pause_seconds: float = 1.0


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
) -> Generator[Finished, None, None]:
    """Embed the texts, in as many requests as it takes, and yield each as it finishes.

    All vectors have one width. Raises Stopped when `should_stop` says so, ProviderError where the
    provider refuses, ProviderUnavailable where it stays away; what is under way then is waited for
    a little, and yielded before.
    """
    work = _Work(provider, patience or Patience())
    todo = list(plan(texts, provider.limits, range(len(texts))))[::-1]
    width: int | None = None
    with work.running() as pool:
        flying: dict[Future[Embedded], Batch] = {}
        failure: Exception | None = None
        while (todo or flying) and failure is None:
            if should_stop():
                failure = Stopped()
                break
            while todo and len(flying) < provider.limits.max_concurrency:
                # The others wait here, not in the pool, where no lesson would reach them.
                batch, *others = _fitting(todo.pop(), work.caps)
                todo += others[::-1]
                flying[pool.submit(work.ask, batch)] = batch
            for future in wait(flying, TICK_SECONDS, FIRST_COMPLETED).done:
                batch = flying.pop(future)
                try:
                    finished = _finished(batch, future.result(), width)
                    width = finished.vectors.shape[1]
                except InputRefused as error:
                    smaller = _smaller(batch, error, work.caps)
                    todo += smaller
                    failure = failure or (None if smaller else error)
                except (ProviderError, Stopped) as error:
                    failure = failure or error
                else:
                    yield finished
        if failure is not None:
            yield from work.last(flying, width)
            # What stopped the others came first, though its thread may be seen after theirs.
            raise work.fatal or failure


def _fitting(batch: Batch, caps: Caps) -> Iterator[Batch]:
    """The batch, or smaller ones if limits were learnt since it was planned."""
    for part in plan(batch.texts, caps.now, range(len(batch.texts))):
        places = tuple(batch.places[index] for index in part.places)
        cut = frozenset(batch.places[index] for index in part.cut) | (batch.cut & set(places))
        yield Batch(places, part.texts, cut)


def _smaller(batch: Batch, error: InputRefused, caps: Caps) -> list[Batch]:
    """What to send in place of a refused batch; nothing where no more is left to try.

    A refusal without a known reason may be about one text: halving finds it.
    """
    if isinstance(error, TooMuch):
        caps.learn(batch)
    if len(batch.texts) > 1:
        return list(batch.halves())
    shorter = batch.shortened() if isinstance(error, TooMuch | TooLong) else None
    error.place = batch.places[0]
    return [shorter] if shorter else []


def _finished(batch: Batch, found: Embedded, width: int | None) -> Finished:
    if width is not None and found.vectors.shape[1] != width:
        raise WrongAnswer(
            f"The provider sent vectors of {width} numbers, then of {found.vectors.shape[1]}."
        )
    n_truncated = len(batch.cut) + found.n_truncated
    return Finished(batch.places, found.vectors, found.n_tokens, n_truncated)


class _Work:
    """What the threads of one call share."""

    def __init__(self, provider: Provider, patience: Patience) -> None:
        self.caps = Caps(provider.limits)
        self._provider = provider
        self._patience = patience
        self._pace = Pace(provider.limits.max_concurrency)
        self._over = threading.Event()
        self.fatal: ProviderError | None = None

    @contextmanager
    def running(self) -> Iterator[ThreadPoolExecutor]:
        pool = ThreadPoolExecutor(
            self._provider.limits.max_concurrency, thread_name_prefix="embedding"
        )
        try:
            yield pool
        finally:
            self.stop()
            pool.shutdown(wait=False, cancel_futures=True)

    def stop(self) -> None:
        self._over.set()
        self._pace.stop()

    def last(self, flying: dict[Future[Embedded], Batch], width: int | None) -> Iterator[Finished]:
        """What still arrives of the requests under way."""
        self.stop()
        for future in wait(flying, GRACE_SECONDS).done:
            try:
                yield _finished(flying[future], future.result(), width)
            except (ProviderError, Stopped) as error:
                logger.debug("embedding.dropped reason=%s", type(error).__name__)

    def ask(self, batch: Batch) -> Embedded:
        """One request, again while trying again makes sense; nobody asks after a last refusal."""
        try:
            return self._ask(batch)
        except InputRefused:
            raise  # smaller requests may do
        except ProviderError as error:
            self.fatal = self.fatal or error
            self.stop()
            raise

    def _ask(self, batch: Batch) -> Embedded:
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(self._is_passing),
            wait=self._pause,
            stop=tenacity.stop_any(
                tenacity.stop_after_delay(self._patience.give_up_seconds),
                tenacity.stop_when_event_set(self._over),
            ),
            sleep=tenacity.sleep_using_event(self._over),
            reraise=True,
        )
        n_wrong = 0
        for attempt in retrying:
            with attempt, self._pace.turn():
                try:
                    found = self._provider.embed(
                        batch.texts, seconds=self._patience.request_seconds
                    )
                except ProviderBusy as error:
                    self._pace.was_refused(error.retry_after)
                    raise
                except ProviderUnavailable:
                    self._pace.was_refused(None)
                    raise
                except WrongAnswer as error:
                    n_wrong += 1
                    if n_wrong < WRONG_ANSWERS:
                        raise ProviderUnavailable(str(error)) from error
                    raise
                self._pace.went_well()
                return found
        raise AssertionError  # Retrying returns or raises

    def _is_passing(self, error: BaseException) -> bool:
        """Whether to try again: not where we were told to come back after too long a time."""
        if not isinstance(error, ProviderUnavailable):
            return False
        longest = min(LONGEST_RETRY_AFTER_SECONDS, self._patience.give_up_seconds)
        return error.retry_after is None or error.retry_after <= longest

    def _pause(self, state: tenacity.RetryCallState) -> float:
        """Exponential with full jitter, and not less than the provider asked for."""
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, ProviderUnavailable) else None
        jittered = tenacity.wait_random_exponential(
            multiplier=self._patience.first_pause_seconds, max=LONGEST_PAUSE_SECONDS
        )(state)
        return jittered + (asked or 0.0)

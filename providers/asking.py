"""One request, repeated while that makes sense: passing trouble is told from a bad request.

A provider that fails on everything is away, and the caller waits. A provider that fails on one
request only, again and again, objects to that request, whatever its words are.
"""

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from providers import probe_texts
from providers.batches import Batch, Caps
from providers.errors import (
    InputRefused,
    ProviderBusy,
    ProviderError,
    ProviderUnavailable,
    WrongAnswer,
)
from providers.pace import Pace, Stopped
from providers.provider import Embedded, Provider

LONGEST_PAUSE_SECONDS: Final = 60.0
PROBE_SECONDS: Final = 10.0  # for one short text
SHOWN_SECONDS: Final = 1.0  # shorter pauses are not worth showing

WRONG_ANSWERS: Final = 2
FAILURES: Final = 2
BUSY: Final = 4
BUSY_AS_TOLD: Final = 2
"""How many refusals in a row make a request suspect: of wrong answers, of server failures (and one
more once other requests are answered), of "slow down" without a waiting time, and of "slow down"
with one that we kept to."""

OnWait: TypeAlias = Callable[[ProviderUnavailable, float], None]
"""Called with the reason for a pause and its seconds."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How many seconds to wait for one answer, and for a provider that is away or busy."""

    request_seconds: float = 60.0
    give_up_seconds: float = 15.0
    first_pause_seconds: float = 1.0


class Refused(Exception):  # noqa: N818  it says what happened to a batch
    """A batch is refused because of its content; `error` says why."""

    def __init__(self, error: ProviderError) -> None:
        super().__init__(str(error))
        self.error = error


class Outgrown(Exception):  # noqa: N818  it says what happened to a batch
    """A batch exceeds a limit learnt after it was split, and was not sent."""


class Asking:
    """Asks one provider from several threads, at a pace that it can take."""

    def __init__(
        self, provider: Provider, patience: Patience, caps: Caps, on_wait: OnWait | None
    ) -> None:
        self._provider = provider
        self._patience = patience
        self._caps = caps
        self._on_wait = on_wait
        self._pace = Pace(provider.limits.max_concurrency)
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._probing = threading.Lock()
        self._n_good = 0
        self._stalled_since: float | None = None
        self.fatal: ProviderError | None = None
        """The first error that ended everything."""

    def stop(self) -> None:
        """Send no more requests, and end all pauses."""
        self._over.set()
        self._pace.stop()

    def ask(self, batch: Batch) -> Embedded:
        """Send one request, repeatedly while that makes sense; a final refusal stops all threads.

        Raises Refused if the batch is at fault, Outgrown if it has become too large to send,
        ProviderError if the provider is at fault, Stopped.
        """
        try:
            return self._ask(batch)
        except InputRefused as error:
            raise Refused(error) from error
        except ProviderError as error:
            with self._lock:
                self.fatal = self.fatal or error
            self.stop()
            raise

    def _ask(self, batch: Batch) -> Embedded:
        n_refused = 0
        n_good = self._n_good
        is_suspected = False
        while True:
            with self._pace.turn():
                if not self._caps.fit(batch):
                    raise Outgrown
                try:
                    return self._request(batch.texts, self._patience.request_seconds)
                except (ProviderUnavailable, WrongAnswer) as error:
                    trouble = error
                    self._pace.was_refused(_asked(error))
            if isinstance(trouble, ProviderBusy) and self._n_good > n_good:
                n_refused, n_good = 0, self._n_good  # others got through: wait in turn
            n_refused += 1
            if n_refused >= _patience_with(batch, trouble):
                if is_suspected or self._n_good > n_good or self._answers_others():
                    if _is_failure(trouble) and not is_suspected:
                        is_suspected = True  # if it was an outage, it is over: try once more
                        continue
                    logger.info("embedding.suspect n_texts=%d reason=%s", len(batch.texts), trouble)
                    raise Refused(_own_fault(batch, trouble))
                if isinstance(trouble, WrongAnswer):
                    if trouble.place is None:
                        trouble.n_texts = len(batch.texts)
                    trouble.place = batch.places[trouble.place or 0]
                    raise trouble
            self._wait(trouble, n_refused)

    def _request(self, texts: tuple[str, ...], seconds: float) -> Embedded:
        found = self._provider.embed(texts, seconds=seconds)
        self._pace.went_well()
        with self._lock:
            self._n_good += 1
            self._stalled_since = None
        return found

    def _answers_others(self) -> bool:
        """Whether the provider now answers a text that it is known to accept."""
        n_good = self._n_good
        with self._probing:  # one thread asks on behalf of all
            if self._n_good > n_good:
                return True
            try:
                with self._pace.turn():
                    self._request(
                        probe_texts.TEXTS[:1], min(PROBE_SECONDS, self._patience.request_seconds)
                    )
            except (ProviderUnavailable, WrongAnswer, InputRefused):
                return False
            return True

    def _wait(self, trouble: ProviderUnavailable | WrongAnswer, n_refused: int) -> None:
        """Pause exponentially with full jitter, and no less than the provider asked for.

        Raises `trouble` if the pause would exceed our patience, and Stopped.
        """
        if isinstance(trouble, WrongAnswer):
            return
        longest = min(
            LONGEST_PAUSE_SECONDS, self._patience.first_pause_seconds * 2 ** (n_refused - 1)
        )
        seconds = random.uniform(0, longest) + (_asked(trouble) or 0.0)  # noqa: S311  no secret
        now = time.monotonic()
        with self._lock:
            self._stalled_since = self._stalled_since or now
            stalled = now - self._stalled_since
        if stalled + seconds > self._patience.give_up_seconds:
            is_told = (_asked(trouble) or 0.0) > self._patience.give_up_seconds
            if is_told or not self._answers_others():
                raise trouble
        if self._on_wait is not None and seconds >= SHOWN_SECONDS:
            self._on_wait(trouble, seconds)
        if self._over.wait(seconds):
            raise Stopped


def _asked(error: ProviderError) -> float | None:
    return error.retry_after if isinstance(error, ProviderUnavailable) else None


def _patience_with(batch: Batch, trouble: ProviderError) -> int:
    """How many refusals in a row make a batch suspect."""
    if isinstance(trouble, WrongAnswer):
        return 1 if batch.is_part and len(batch.texts) > 1 else WRONG_ANSWERS
    if _is_failure(trouble):
        return 1 if batch.is_part else FAILURES
    return BUSY_AS_TOLD if batch.is_part or _asked(trouble) else BUSY


def _is_failure(trouble: ProviderError) -> bool:
    return isinstance(trouble, ProviderUnavailable) and not isinstance(trouble, ProviderBusy)


def _own_fault(batch: Batch, trouble: ProviderError) -> ProviderError:
    """The error of a batch that is refused while others are answered."""
    if len(batch.texts) == 1 and _is_failure(trouble):
        return InputRefused(
            f"{trouble} It fails on this one text each time, and answers the others."
        )
    return trouble

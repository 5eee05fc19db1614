"""Predict: find the head that answers, also when the newest cannot be loaded, and ask it."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
from anyio import from_thread, to_thread
from numpy.typing import NDArray

from nmtune.errors import HeadFormatError
from nmtune.heads import class_shares as known_shares
from nmtune.serving.answers import Answers
from service.http.layers import metrics
from service.ingest.numbers import check_n_rows
from service.predict.batching import Batcher
from service.predict.drift_recorder import DriftRecorder
from service.predict.known_heads import MOST, Known, KnownHeads
from service.predict.loaded_heads import HeadCache, LoadedHead, too_large
from store.errors import StoreError
from store.registry.heads import HeadVersion
from store.store import Store

logger = logging.getLogger(__name__)

RETRY_SECONDS: Final = 5.0
"""How long to wait before trying a broken version again, while another one answers."""

TROUBLE_SECONDS: Final = 60.0
"""How long readiness reports a version that could not be loaded, if nobody asks for it again."""

LARGE_VALUES: Final = 1 << 20
"""Rows with more values are checked in a thread; this many take half a millisecond."""

Key = tuple[str, str]
"""A tenant and a reference."""


@dataclass(frozen=True, kw_only=True)
class Serving:
    """The head that answers a reference, and why."""

    version: HeadVersion
    loaded: LoadedHead
    is_remembered: bool = False
    """Whether the database was away, so that the version is the one named before."""
    instead_of: HeadVersion | None = None
    """The version that the reference names, if it cannot be loaded."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The answers of one head version for n embeddings."""

    serving: Serving
    answers: Answers
    class_shares: Mapping[str, float] | None = None
    """What the answers are corrected to: the request's shares, or else the alias's."""

    @property
    def version(self) -> HeadVersion:
        """The head version that answered."""
        return self.serving.version

    @property
    def is_remembered(self) -> bool:
        """Whether the database was away, so that the version is the one named before."""
        return self.serving.is_remembered

    @property
    def classes(self) -> tuple[str, ...]:
        """The columns of probabilities and logits."""
        return self.serving.loaded.classes

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """(n, c)."""
        return self.answers.probabilities

    @property
    def logits(self) -> NDArray[np.float32]:
        """(n, c), not divided by the head's temperature."""
        return self.answers.scores * self.serving.loaded.temperature

    @cached_property
    def indices(self) -> NDArray[np.intp]:
        """(n,): the most probable class of each row."""
        indices: NDArray[np.intp] = self.answers.probabilities.argmax(axis=1)
        return indices

    @property
    def labels(self) -> list[str]:
        """Their names."""
        classes = self.classes
        return [classes[index] for index in self.indices.tolist()]


@dataclass(frozen=True, kw_only=True)
class _Failure:
    """A version that could not be loaded for a reference, and what answers meanwhile."""

    wanted: HeadVersion
    previous: HeadVersion | None
    code: str
    at: float


class Predictor:
    """Answers with the head that a reference such as `pets@prod` names at that moment.

    While the database is away, references keep their last meaning. A version that cannot be loaded
    does not go live: the one that the reference served before goes on.
    """

    def __init__(
        self,
        store: Store,
        *,
        max_cache_bytes: int,
        max_rows: int,
        n_threads: int = 1,
        max_waiting: int = 100,
        max_waiting_rows: int = 16_384,
        fresh_seconds: float = 0.0,
        recorder: DriftRecorder | None = None,
        heads_folder: Path | None = None,
    ) -> None:
        """recorder: counts the predicted rows for drift; None: they are not counted.

        heads_folder: where heads are files that all processes of the server map; None: it has one.
        """
        self.max_rows = max_rows
        self.known = KnownHeads(store, fresh_seconds=fresh_seconds)
        self.cache = HeadCache(max_bytes=max_cache_bytes, n_threads=n_threads, folder=heads_folder)
        self.batcher = Batcher(max_requests=max_waiting, max_rows=max_waiting_rows)
        self._recorder = recorder
        self._store = store
        self._served: OrderedDict[Key, HeadVersion] = OrderedDict()
        self._failures: dict[Key, _Failure] = {}
        self._asking: set[Key] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def check_n_rows(self, n_rows: int) -> None:
        """BadInput (413) if that many rows are too many for one request."""
        check_n_rows(n_rows, self.max_rows, field="embeddings")

    def predict(
        self,
        tenant_id: str,
        reference: str,
        x: NDArray[np.float32],
        class_shares: Mapping[str, float] | None = None,
    ) -> Prediction:
        """Like `answer`, for a route that runs in its own thread."""
        return from_thread.run(self.answer, tenant_id, reference, x, class_shares)

    async def answer(
        self,
        tenant_id: str,
        reference: str,
        x: NDArray[np.float32],
        class_shares: Mapping[str, float] | None = None,
    ) -> Prediction:
        """The prediction of the head `reference` for embeddings x (n, d).

        class_shares: of the classes among such rows; None: those of the alias, if it has any.

        Raises:
            BadInput: too many rows.
            Problem: 429, too many predictions are waiting.
            NotFound, InvalidReference: there is no such head, or the reference is malformed.
            DataError: x has another width than the head, or values it cannot take; or the class
                shares are not good for the head.
            ArtifactMissing, ArtifactCorrupt, HeadFormatError: the head's file is lost or damaged,
                and the reference has served no other version before.
        """
        began = time.perf_counter()
        self.check_n_rows(len(x))
        serving = await self.serving(tenant_id, reference)
        x = await _checked(serving.loaded, x)
        answers = await self.batcher.run(serving.loaded.session, x)
        metrics.PREDICTION_SECONDS.observe(time.perf_counter() - began)
        metrics.PREDICTED_ROWS.inc(len(x))
        self._record(tenant_id, serving, x, answers)
        shares = serving.version.class_shares if class_shares is None else class_shares
        if shares is not None:
            answers = _corrected(answers, serving, shares)
        return Prediction(serving=serving, answers=answers, class_shares=shares)

    def _record(
        self, tenant_id: str, serving: Serving, x: NDArray[np.float32], answers: Answers
    ) -> None:
        knowledge = serving.loaded.knowledge
        if self._recorder is not None and knowledge is not None:
            self._recorder.record(
                tenant_id, serving.version.sha256, knowledge.row_summary, x, answers.probabilities
            )

    async def transform(
        self, tenant_id: str, reference: str, x: NDArray[np.float32]
    ) -> tuple[Serving, NDArray[np.float32]]:
        """Who answered, and the tuned embeddings (n, m) of x (n, d); raises like `answer`."""
        self.check_n_rows(len(x))
        self.batcher.check_room(len(x))
        serving = await self.serving(tenant_id, reference)
        x = await _checked(serving.loaded, x)
        z = await to_thread.run_sync(serving.loaded.transform, x)
        if not np.isfinite(z).all():
            raise too_large(int(np.isfinite(z).all(axis=1).argmin()))
        metrics.PREDICTED_ROWS.inc(len(x))
        return serving, z

    async def serving(self, tenant_id: str, reference: str) -> Serving:
        """Who answers this reference now: at once if known and loaded, else after asking."""
        key = (tenant_id, reference)
        recent = self.known.recent(tenant_id, reference)
        if recent is not None:
            known, is_due = recent
            serving = self._loaded(key, known)
            if serving is not None:
                if is_due and key not in self._asking:
                    self._ask_again(key)
                return serving
        return await to_thread.run_sync(self.find, tenant_id, reference)

    def find(self, tenant_id: str, reference: str) -> Serving:
        """Who answers this reference now; asks the database, and loads the head if necessary."""
        key = (tenant_id, reference)
        known = self.known.resolve(tenant_id, reference)
        return self._loaded(key, known) or self._load(key, known)

    def trouble(self) -> Sequence[str]:
        """One sentence for each reference whose version could not be loaded lately."""
        oldest = time.monotonic() - TROUBLE_SECONDS
        return [
            f"{reference} names {_name(one.wanted)}, which cannot be loaded ({one.code}); "
            + (f"{_name(one.previous)} answers." if one.previous else "nothing answers.")
            for (_, reference), one in self._failures.copy().items()
            if one.at > oldest
        ]

    def note_broken(self, reference: str, version: HeadVersion, error: Exception) -> None:
        """Note that a version was found broken before anybody asked for it."""
        code = getattr(error, "code", "internal")
        failure = _Failure(wanted=version, previous=None, code=code, at=time.monotonic())
        self._note_failure((version.tenant_id, reference), failure, error)

    def close(self) -> None:
        """End the thread of predictions, and store their counted rows."""
        self.batcher.close()
        if self._recorder is not None:
            self._recorder.close()

    def _loaded(self, key: Key, known: Known) -> Serving | None:
        """Who answers, if no file has to be read."""
        wanted = known.version
        failure = self._failures.get(key)
        if failure is None or failure.wanted.sha256 != wanted.sha256:
            loaded = self.cache.peek(wanted.sha256)
            if loaded is None:
                return None
            self._note_served(key, wanted)
            return Serving(version=wanted, loaded=loaded, is_remembered=known.is_remembered)
        if failure.previous is None or time.monotonic() - failure.at > RETRY_SECONDS:
            return None
        loaded = self.cache.peek(failure.previous.sha256)
        if loaded is None:
            return None
        return Serving(
            version=failure.previous,
            loaded=loaded,
            is_remembered=known.is_remembered,
            instead_of=wanted,
        )

    def _load(self, key: Key, known: Known) -> Serving:
        wanted, previous = known.version, self._served.get(key)
        try:
            loaded = self._read(key, wanted)
        except (StoreError, HeadFormatError) as error:
            if previous is not None and previous.sha256 == wanted.sha256:
                previous = None
            self._note_failure(
                key,
                _Failure(wanted=wanted, previous=previous, code=error.code, at=time.monotonic()),
                error,
            )
            if previous is None:
                raise
            try:
                loaded = self._read(key, previous)
            except (StoreError, HeadFormatError):
                raise error from None
            return Serving(
                version=previous,
                loaded=loaded,
                is_remembered=known.is_remembered,
                instead_of=wanted,
            )
        self._failures.pop(key, None)
        self._note_served(key, wanted)
        return Serving(version=wanted, loaded=loaded, is_remembered=known.is_remembered)

    def _read(self, key: Key, version: HeadVersion) -> LoadedHead:
        def load() -> bytes:
            return self._store.artifacts.get_bytes(key[0], version.sha256)

        return self.cache.get(version.sha256, load)

    def _note_served(self, key: Key, version: HeadVersion) -> None:
        if self._served.get(key) is version:
            return
        self._failures.pop(key, None)
        self._served[key] = version
        if len(self._served) > MOST:
            self._served.popitem(last=False)

    def _note_failure(self, key: Key, failure: _Failure, error: Exception) -> None:
        if len(self._failures) >= MOST:
            self._failures.clear()
        self._failures[key] = failure
        logger.error(
            "head.not_loaded reference=%s version=%s code=%s serving=%s reason=%s",
            key[1],
            failure.wanted.version,
            failure.code,
            failure.previous.version if failure.previous else None,
            error,
        )

    def _ask_again(self, key: Key) -> None:
        """Ask the database in the background, before its last answer is too old to use."""

        async def ask() -> None:
            try:
                await to_thread.run_sync(self.find, *key)
            except (StoreError, HeadFormatError) as error:
                logger.debug("heads.not_refreshed reference=%s reason=%s", key[1], error)
            finally:
                self._asking.discard(key)

        self._asking.add(key)
        task = asyncio.get_running_loop().create_task(ask())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _corrected(answers: Answers, serving: Serving, shares: Mapping[str, float]) -> Answers:
    """The answers for rows with these class shares; raises DataError."""
    trained = serving.version.lineage.get("class_shares")
    return answers.shifted(known_shares.offsets(shares, trained, serving.loaded.classes))


async def _checked(loaded: LoadedHead, x: NDArray[np.float32]) -> NDArray[np.float32]:
    if x.size < LARGE_VALUES:
        return loaded.check(x)
    return await to_thread.run_sync(loaded.check, x)


def _name(version: HeadVersion) -> str:
    return f"{version.name}@{version.version}"

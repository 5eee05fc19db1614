"""A text job's first stage: its texts become embeddings, each paid for once.

Every finished batch is committed with its cost, so that another attempt, or another job with the
same texts, begins where this one ended. The finished file is an artifact that the job's row names
like a checkpoint.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

import numpy as np

from providers import embedder, keys
from providers.embedder import EmbeddedBatch
from providers.encoder import Encoder
from providers.errors import EncoderChanged, ProviderError, ProviderUnavailable, WrongAnswer
from providers.pool import Providers
from providers.provider import Provider, estimated_tokens
from store import transitions
from store.access import usage
from store.access.usage import Kind
from store.database.clock import read_clock
from store.datasets import Dataset
from store.embedding import provider_keys, text_vectors
from store.embedding.encoders import EncoderRecord
from store.files.texts import TextsFile
from store.jobs import PRICE, Job
from store.store import Store
from workers.attempt import embedded_file, provider_wait, recognition
from workers.attempt.embedded_file import Vectors
from workers.attempt.failure import MustWait
from workers.attempt.lease import Lease
from workers.attempt.provider_wait import Memory
from workers.attempt.text_job import EMBEDDINGS, OLD_EMBEDDINGS, SHARE
from workers.folder import Workdir
from workers.settings import WorkerSettings

logger = logging.getLogger(__name__)

STAGE: Final = "embedding"

ShouldStop: TypeAlias = Callable[[], bool]


def embed(
    job: Job,
    dataset: Dataset,
    workdir: Workdir,
    lease: Lease,
    *,
    store: Store,
    settings: WorkerSettings,
    should_stop: ShouldStop,
    is_old: bool = False,
) -> Job:
    """Embed the job's texts; return the job with its embeddings and its encoder's fingerprint.

    is_old: by the encoder that a migration leaves, of which no request is made if its vectors of
    all texts are kept. Raises Stopped if `should_stop` returns True, MustWait, ProviderError,
    LeaseLost.
    """
    encoder = (job.migration or {})["old_encoder"] if is_old else job.encoder
    assert encoder is not None  # noqa: S101 - for the type checker: `needs_embedding` said so
    name = OLD_EMBEDDINGS if is_old else EMBEDDINGS
    lease.enter_stage(STAGE)
    texts = TextsFile.from_bytes(store.artifacts.get_bytes(job.tenant_id, dataset.sha256))
    vectors = _kept_vectors(job, encoder, texts, store) if is_old else None
    if vectors is None:
        vectors, encoder = _asked_for(
            replace(job, encoder=encoder),
            texts,
            lease,
            store=store,
            settings=settings,
            should_stop=should_stop,
            is_old=is_old,
        )
    embedded_file.write(workdir / name, texts, vectors)
    reference = workdir.move(store.artifacts, job.tenant_id, name)
    checkpoint = {**job.checkpoint, name: reference.sha256}
    lease.keep(checkpoint)
    if is_old:
        migration = {**(job.migration or {}), "old_encoder": encoder}
        return replace(job, checkpoint=checkpoint, migration=migration)
    return replace(job, checkpoint=checkpoint, encoder=encoder)


def _kept_vectors(
    job: Job, encoder: Mapping[str, Any], texts: TextsFile, store: Store
) -> Vectors | None:
    """The encoder's vectors of all texts, if all are kept: then it need not even exist any more."""
    hashes = {
        text: hashlib.sha256(text.encode()).hexdigest()
        for split in texts.splits
        for text in split.texts
    }
    with store.database.read() as tx:
        known = text_vectors.find(
            tx, job.tenant_id, encoder["fingerprint"], list(dict.fromkeys(hashes.values()))
        )
    if any(one not in known for one in hashes.values()):
        return None
    rows = [np.frombuffer(known[one], "<f4") for one in hashes.values()]
    return Vectors({text: place for place, text in enumerate(hashes)}, np.stack(rows))


def _asked_for(
    job: Job,
    texts: TextsFile,
    lease: Lease,
    *,
    store: Store,
    settings: WorkerSettings,
    should_stop: ShouldStop,
    is_old: bool,
) -> tuple[Vectors, dict[str, Any]]:
    """The vectors, and the encoder as the job's row has it: those that are known, the rest asked.

    Raises EncoderChanged if the encoder has changed meanwhile, and forgets what it gave.
    """
    assert job.encoder is not None  # noqa: S101
    stores_keys = settings.secret_key is not None
    with Providers(allowed=settings.provider_hosts, stores_keys=stores_keys) as providers:
        provider = providers.open(
            Encoder.from_dict(job.encoder),
            lambda origin: _find_key(job, origin, store, settings),
            has_answered="usage" in job.encoder,
        )
        provider, record, memory = _recognised(job, provider, store, should_stop, is_old=is_old)
        work = _Work(job, record, provider, texts, lease=lease, store=store, is_old=is_old)
        work.run(should_stop, memory)
        work.check_unchanged(should_stop, memory)
    return work.vectors, work.encoder


def _recognised(
    job: Job, provider: Provider, store: Store, should_stop: ShouldStop, *, is_old: bool
) -> tuple[Provider, EncoderRecord, Memory]:
    """The provider, its encoder, and the memory of earlier attempts.

    The probe texts are embedded unless a wait has just ended.
    """
    memory = Memory.of(job)
    known = recognition.recorded(job, provider, store) if memory.is_recognised else None
    if known is not None:
        return provider, known, memory
    try:
        patience = memory.patience(is_for_probes=True)
        provider, record = recognition.recognised(
            job, provider, store, should_stop=should_stop, patience=patience, is_old=is_old
        )
    except ProviderUnavailable as error:
        raise MustWait(provider_wait.wait_for(error, memory)) from error
    return provider, record, replace(memory, recognised_at=datetime.now(UTC))


def _find_key(job: Job, origin: str, store: Store, settings: WorkerSettings) -> str | None:
    """The tenant's stored key for an origin, else the operator's."""
    with store.database.read() as tx:
        sealed = provider_keys.find(tx, job.tenant_id, origin)
    return keys.choose(sealed, job.tenant_id, origin, settings)


@dataclass(frozen=True)
class _Row:
    """The first row with a text, for messages."""

    split: str
    row: int


class _Work:
    """The distinct texts of a dataset, and their vectors as they come."""

    def __init__(
        self,
        job: Job,
        record: EncoderRecord,
        provider: Provider,
        texts: TextsFile,
        *,
        lease: Lease,
        store: Store,
        is_old: bool,
    ) -> None:
        self._is_old = is_old
        self._job = job
        self._record = record
        self._provider = provider
        self._lease = lease
        self._store = store
        self._index: dict[str, int] = {}
        self._first: list[_Row] = []
        for split in texts.splits:
            for text, row in zip(split.texts, split.rows, strict=True):
                if self._index.setdefault(text, len(self._first)) == len(self._first):
                    self._first.append(_Row(split.name, row))
        self._texts = list(self._index)
        self._hashes = [hashlib.sha256(text.encode()).hexdigest() for text in self._texts]
        self._vectors = np.zeros((len(self._texts), record.n_columns), np.float32)
        self._price: float | None = (job.encoder or {}).get(PRICE)
        self._began = time.monotonic()
        self._progress: dict[str, Any] = {}
        self._waits: provider_wait.Pause | None = None
        # The tokens of earlier attempts were paid for too.
        before = (job.encoder or {}).get("usage", {})
        longest = provider.limits.max_text_tokens
        silent = provider.encoder.truncation == "provider"
        self._usage: dict[str, int] = {
            "n_texts": sum(len(split.texts) for split in texts.splits),
            "n_different": len(self._texts),
            "n_embedded": before.get("n_embedded", 0),
            "n_bytes": before.get("n_bytes", 0),
            "n_tokens": before.get("n_tokens", 0),
            "n_requests": before.get("n_requests", 0),
            "n_truncated": before.get("n_truncated", 0),
            "n_maybe_truncated": sum(estimated_tokens(text) > longest for text in self._texts)
            if silent
            else 0,
        }

    @property
    def encoder(self) -> dict[str, Any]:
        """The encoder as the job's row has it."""
        return {
            **self._provider.encoder.to_dict(),
            "fingerprint": self._record.fingerprint,
            "n_columns": self._record.n_columns,
            "usage": self._counted(),
            **({} if self._price is None else {PRICE: self._price}),
        }

    @property
    def vectors(self) -> Vectors:
        """Each text's vector, once `run` has ended."""
        return Vectors(self._index, self._vectors)

    def _counted(self) -> dict[str, float]:
        """The usage so far, with its cost if the price is known."""
        if self._price is None:
            return dict(self._usage)
        return {**self._usage, "cost": round(self._usage["n_tokens"] * self._price / 1e6, 6)}

    def run(self, should_stop: ShouldStop, memory: Memory) -> None:
        """Fetch known vectors, embed the other texts, and keep each batch as it comes."""
        todo = self._fetch()
        n_known = len(self._texts) - len(todo)
        logger.info("embedding.begin n_texts=%d n_known=%d", len(self._texts), n_known)
        with self._store.database.begin() as tx:
            transitions.note_encoder(tx, self._job, self.encoder, is_old=self._is_old)
        n_done = 0
        self._tell(0, len(todo))
        for part in self._parts(todo, should_stop, memory):
            places = [todo[place] for place in part.places]
            if part.vectors.shape[1] != self._record.n_columns:
                error = WrongAnswer(
                    f"The provider's vectors have {part.vectors.shape[1]} numbers; before they had "
                    f"{self._record.n_columns}."
                )
                error.n_texts = len(places)
                self._name_row(error, places[0])
                raise error
            self._vectors[places] = part.vectors
            self._usage["n_embedded"] += len(places)
            self._usage["n_bytes"] += sum(len(self._texts[at].encode()) for at in places)
            self._usage["n_tokens"] += part.n_tokens
            self._usage["n_requests"] += 1
            self._usage["n_truncated"] += part.n_truncated
            by_hash = {
                self._hashes[place]: vector.astype("<f4").tobytes()
                for place, vector in zip(places, part.vectors, strict=True)
            }
            with self._store.database.begin() as tx:
                text_vectors.keep(tx, self._job.tenant_id, self._record.fingerprint, by_hash)
                transitions.note_encoder(
                    tx, self._job, self.encoder, has_come=True, is_old=self._is_old
                )
                at = read_clock(tx)
                usage.add(tx, self._job.tenant_id, Kind.EMBEDDED_TOKENS, part.n_tokens, at=at)
            n_done += len(places)
            self._tell(n_done, len(todo))

    def check_unchanged(self, should_stop: ShouldStop, memory: Memory) -> None:
        """Ask the probe texts once more if this job has paid for vectors, which may be of two.

        Raises EncoderChanged, after the vectors of this job are forgotten, and MustWait.
        """
        if not self._usage["n_embedded"]:
            return
        try:
            is_same = recognition.is_same(
                self._record,
                self._provider,
                should_stop=should_stop,
                patience=memory.patience(is_for_probes=True),
            )
        except ProviderUnavailable as error:
            raise MustWait(provider_wait.wait_for(error, memory)) from error
        if is_same:
            return
        with self._store.database.begin() as tx:
            text_vectors.forget(
                tx,
                self._job.tenant_id,
                self._record.fingerprint,
                self._hashes,
                since=self._job.started_at,
            )
        raise EncoderChanged(
            f"{self._provider.encoder.model} of {self._provider.encoder.provider} changed its "
            "vectors while the texts were embedded, and what it gave cannot be told apart. These "
            "vectors were thrown away: submit the job again."
        )

    def _parts(
        self, todo: list[int], should_stop: ShouldStop, memory: Memory
    ) -> Iterator[EmbeddedBatch]:
        """The embedded batches. An error names the row of its text. Raises MustWait."""
        caps = memory.caps(self._provider.limits)
        n_done = 0
        try:
            for part in embedder.embed(
                self._provider,
                [self._texts[place] for place in todo],
                should_stop=should_stop,
                patience=memory.patience(),
                caps=caps,
                on_wait=self._tell_wait,
            ):
                n_done += len(part.places)
                yield part
        except ProviderError as error:
            if not isinstance(error, ProviderUnavailable):
                if error.place is not None:
                    self._name_row(error, todo[error.place])
                raise
            wait = provider_wait.wait_for(
                error, memory, caps=caps, n_left=len(todo) - n_done, has_got=n_done > 0
            )
            raise MustWait(wait) from error

    def _name_row(self, error: ProviderError, place: int) -> None:
        first = self._first[place]
        about = "the text" if error.n_texts == 1 else f"{error.n_texts} texts, the first"
        error.found_at(
            f"This is about {about} at row {first.row} of the data you sent, counted from 0 (split "
            f"{first.split}).",
            row=first.row,
            split=first.split,
        )

    def _fetch(self) -> list[int]:
        """Take the known vectors; return the places of the other texts."""
        with self._store.database.read() as tx:
            known: Mapping[str, bytes] = text_vectors.find(
                tx, self._job.tenant_id, self._record.fingerprint, self._hashes
            )
        todo = []
        for place, text_hash in enumerate(self._hashes):
            vector = known.get(text_hash)
            if vector is None or len(vector) != 4 * self._record.n_columns:
                todo.append(place)
            else:
                self._vectors[place] = np.frombuffer(vector, "<f4")
        return todo

    def _tell(self, n_done: int, n_todo: int) -> None:
        seconds = time.monotonic() - self._began
        left = seconds * (n_todo - n_done) / n_done if n_done else None
        self._progress = {
            "candidate": None,
            "fraction": round(SHARE * (n_done / n_todo if n_todo else 1), 4),
            "eta_seconds": None if left is None else round(left, 1),
            "texts": self._counted(),
        }
        if self._waits is not None and self._waits.until > datetime.now(UTC):
            self._progress["waiting"] = (
                self._waits.shown
            )  # vectors of requests under way came meanwhile
        self._lease.tell(self._progress, is_milestone=n_done == n_todo)

    def _tell_wait(self, reason: ProviderUnavailable, seconds: float) -> None:
        """Show a pause too short to give the slot back for. Called from any thread."""
        self._waits = provider_wait.Pause.of(reason, seconds)
        progress = {**self._progress, "waiting": self._waits.shown}
        self._lease.tell(progress, is_milestone=False)

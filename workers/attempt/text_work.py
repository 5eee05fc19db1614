"""The distinct texts of a dataset and their vectors: what is known is fetched, the rest embedded.

Every finished batch is committed with its cost, so that another attempt, or another job with the
same texts, begins where this one ended.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

import numpy as np

from providers import embedder, truncation
from providers.batches import Caps
from providers.embedder import EmbeddedBatch
from providers.encoder import Encoder
from providers.errors import EncoderChanged, ProviderError, ProviderUnavailable, WrongAnswer
from providers.provider import Provider, estimated_tokens
from providers.single_texts import N_TIMED, SingleTexts
from store.access import usage
from store.access.usage import Kind
from store.database.clock import read_clock
from store.database.connection import Transaction
from store.embedding import text_vectors
from store.embedding.encoders import EncoderRecord
from store.files.texts import TextsFile
from store.jobs import PRICE, Job
from store.store import Store
from workers.attempt import provider_wait, recognition
from workers.attempt.embedded_file import Vectors
from workers.attempt.failure import MustWait
from workers.attempt.lease import Lease
from workers.attempt.provider_wait import Memory
from workers.attempt.text_job import Span

logger = logging.getLogger(__name__)

LATENCY: Final = "latency"
"""The key of the measured latency in an encoder's description."""

ShouldStop: TypeAlias = Callable[[], bool]
Note: TypeAlias = Callable[[Transaction, Mapping[str, Any], bool], None]
"""Writes the encoder's description into the job's row; True once vectors have come. LeaseLost."""


@dataclass(frozen=True)
class _Row:
    """The first row with a text, for messages."""

    split: str
    row: int


class TextWork:
    """The distinct texts of a dataset, and their vectors as they come.

    `job.encoder` is the encoder; `record` that with whole vectors, which are what is kept.
    """

    def __init__(
        self,
        job: Job,
        record: EncoderRecord,
        provider: Provider,
        texts: TextsFile,
        *,
        lease: Lease,
        store: Store,
        note: Note,
        span: Span,
        is_timed: bool = False,
    ) -> None:
        """is_timed: whether the latency of single texts is measured."""
        self._job = job
        self._note = note
        self._span = span
        self._is_timed = is_timed
        self._latency: dict[str, float] | None = (job.encoder or {}).get(LATENCY)
        self._asked = Encoder.from_dict({**(job.encoder or {}), **provider.encoder.to_dict()})
        truncation.check_width(self._asked.truncate_dim, record.n_columns)
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
            **self._asked.to_dict(),
            "fingerprint": truncation.fingerprint_of(self._asked, self._record.fingerprint),
            "n_columns": self._asked.truncate_dim or self._record.n_columns,
            "usage": self._counted(),
            **({} if self._price is None else {PRICE: self._price}),
            **({} if self._latency is None else {LATENCY: self._latency}),
        }

    @property
    def record(self) -> EncoderRecord:
        """The encoder with whole vectors."""
        return self._record

    @property
    def whole_vectors(self) -> Vectors:
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
            self._note(tx, self.encoder, False)
        self._tell(0, len(todo))
        n_done, n_todo = 0, len(todo)
        if self._is_timed and self._latency is None:
            todo = self._time(todo, should_stop, memory)
            n_done = n_todo - len(todo)
        caps = memory.caps(self._provider.limits)
        for part in self._parts(self._provider, todo, should_stop, memory, caps):
            self._take(part, todo, is_new=True)
            n_done += len(part.places)
            self._tell(n_done, n_todo)

    def _time(self, todo: list[int], should_stop: ShouldStop, memory: Memory) -> list[int]:
        """Measure the latency of single texts; the places that are still to be embedded.

        The texts are some that are to be embedded anyway. Known ones are asked for only where there
        are too few of these; their vectors stay as they are.
        """
        new = _spread(todo, N_TIMED)
        known = sorted(set(range(len(self._texts))) - set(todo))
        provider = SingleTexts(self._provider)
        for places, is_new in ((new, True), (_spread(known, N_TIMED - len(new)), False)):
            for part in self._parts(provider, places, should_stop, memory, None):
                self._take(part, places, is_new=is_new)
        self._latency = provider.latency
        with self._store.database.begin() as tx:
            self._note(tx, self.encoder, True)
        return sorted(set(todo) - set(new))

    def _take(self, part: EmbeddedBatch, asked: Sequence[int], *, is_new: bool) -> None:
        """Keep a batch of the texts at the places `asked`, with its cost."""
        places = [asked[place] for place in part.places]
        if part.vectors.shape[1] != self._record.n_columns:
            error = WrongAnswer(
                f"The provider's vectors have {part.vectors.shape[1]} numbers; before they had "
                f"{self._record.n_columns}."
            )
            error.n_texts = len(places)
            self._name_row(error, places[0])
            raise error
        self._usage["n_embedded"] += len(places)
        self._usage["n_bytes"] += sum(len(self._texts[at].encode()) for at in places)
        self._usage["n_tokens"] += part.n_tokens
        self._usage["n_requests"] += 1
        self._usage["n_truncated"] += part.n_truncated
        by_hash = {}
        if is_new:
            self._vectors[places] = part.vectors
            by_hash = {
                self._hashes[place]: vector.astype("<f4").tobytes()
                for place, vector in zip(places, part.vectors, strict=True)
            }
        with self._store.database.begin() as tx:
            text_vectors.keep(tx, self._job.tenant_id, self._record.fingerprint, by_hash)
            self._note(tx, self.encoder, True)
            at = read_clock(tx)
            usage.add(tx, self._job.tenant_id, Kind.EMBEDDED_TOKENS, part.n_tokens, at=at)

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
        self,
        provider: Provider,
        todo: Sequence[int],
        should_stop: ShouldStop,
        memory: Memory,
        caps: Caps | None,
    ) -> Iterator[EmbeddedBatch]:
        """The embedded batches. An error names the row of its text. Raises MustWait."""
        n_done = 0
        try:
            for part in embedder.embed(
                provider,
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
            "fraction": self._span.of(n_done / n_todo if n_todo else 1),
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


def _spread(places: Sequence[int], n: int) -> list[int]:
    """At most n of the places, evenly spaced."""
    if n <= 0 or not places:
        return []
    return [places[at] for at in np.unique(np.linspace(0, len(places) - 1, n).astype(int))]

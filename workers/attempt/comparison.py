"""Compare a job's encoders before it trains: embed with each, rank them, take the chosen one.

From then on the job is like any other job of that encoder. Each embedding is an artifact that the
job's row names, and so is each finished training; those of the chosen encoder are what the job's
own training begins with.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from providers.encoder import Encoder
from providers.errors import ProviderError
from providers.pool import Providers
from store import datasets, encoder_comparison
from store.database.connection import Transaction
from store.datasets import TEXTS, Dataset
from store.encoder_comparison import FEWEST
from store.errors import ArtifactCorrupt, ArtifactMissing, NotFound
from store.files.text_sample import sampled
from store.files.texts import TextsFile
from store.jobs import Job
from store.store import Store
from workers.attempt import embedded_file, failure, instructions, recognition
from workers.attempt.compared import Compared
from workers.attempt.embedding import STAGE, embed_texts, open_providers
from workers.attempt.failure import MustWait, Refused
from workers.attempt.lease import Lease
from workers.attempt.text_job import COMPARED, EMBEDDINGS, SHARE, Span
from workers.attempt.text_work import ShouldStop, TextWork
from workers.folder import ENCODERS, ComparisonInstructions, EncoderToCompare, Workdir
from workers.settings import WorkerSettings

logger = logging.getLogger(__name__)

RunChild = Callable[[Job, Span], Mapping[str, str]]
"""Runs the child on the folder's plan; the files (name -> sha256) that the next attempt needs."""

_ALL: Final = Span(0.0, COMPARED)


def is_open(job: Job) -> bool:
    """Whether the job has encoders to compare, and has not chosen one yet."""
    return job.encoders is not None and ENCODERS not in job.checkpoint


def compare(
    job: Job,
    dataset: Dataset,
    workdir: Workdir,
    lease: Lease,
    run_child: RunChild,
    *,
    store: Store,
    settings: WorkerSettings,
    should_stop: ShouldStop,
) -> Job:
    """Compare the encoders; return the job with the chosen one, as a next attempt would find it.

    An encoder that refuses drops out, and the others go on without it. Raises as
    `embedding.embed` does, Refused if fewer than two are left, and what `run_child` raises.
    """
    compared = Compared.of(job)
    span = _ALL
    if dataset.content == TEXTS:
        embedding = _Embedding(job, compared, workdir, lease, store, settings, should_stop)
        job = embedding.run(dataset)
        span = _ALL.part(SHARE, 1.0)
    _plan(job, compared, dataset, store, settings).save(workdir)
    files = {name: sha for name, sha in job.checkpoint.items() if not name.endswith(EMBEDDINGS)}
    workdir.restore(store.artifacts, job.tenant_id, files)
    checkpoint = run_child(job, span)
    found = _with_costs(workdir.read_json(ENCODERS), compared)
    workdir.write_json(ENCODERS, found)
    reference = workdir.put(store.artifacts, job.tenant_id, ENCODERS)
    place = compared.place(found["chosen"])
    kept = {} if compared.state["sample"] else _files_of(place, checkpoint)
    kept[ENCODERS] = reference.sha256
    with store.database.begin() as tx:
        encoder_comparison.choose(tx, job, compared.state, found["chosen"])
    # Embeddings are left to the garbage collection: another job may be reading the same bytes.
    done = {sha for name, sha in checkpoint.items() if not name.endswith(EMBEDDINGS)}
    lease.keep(kept, superseded=done)
    chosen = compared.all[place]
    logger.info("encoders.chosen job_id=%s name=%s", job.id, chosen["name"])
    return replace(
        job,
        checkpoint=kept,
        encoder=chosen.get("encoder"),
        dataset_id=chosen.get("dataset_id") or job.dataset_id,
        waiting=None,
    )


@dataclass
class _Embedding:
    """The stage in which each encoder embeds the texts; `job` is as a next attempt finds it."""

    job: Job
    compared: Compared
    workdir: Workdir
    lease: Lease
    store: Store
    settings: WorkerSettings
    should_stop: ShouldStop

    def run(self, dataset: Dataset) -> Job:
        """Embed with each encoder that has not; the job with the files.

        While one must wait for its provider, the others go on; then the job waits. Raises MustWait.
        """
        self.lease.enter_stage(STAGE)
        data = self.store.artifacts.get_bytes(self.job.tenant_id, dataset.sha256)
        texts = TextsFile.from_bytes(data)
        if self.compared.state["sample"]:
            texts = sampled(texts, self.compared.state["sample"])
        must_wait: MustWait | None = None
        groups = self.compared.groups()
        with open_providers(self.settings) as providers:
            for number, group in enumerate(groups):
                if all(self._is_embedded(place) for place in group):
                    continue
                span = _ALL.part(0.0, SHARE).part(number / len(groups), (number + 1) / len(groups))
                try:
                    work = self._embed(group, texts, providers, span)
                except MustWait as error:
                    if self._is_patient(error):
                        must_wait = must_wait or _remembering(error, group)
                    else:
                        self._drop(group, error.wait.reason)
                except ProviderError as error:
                    self._drop(group, failure.told_of(error))
                else:
                    self._keep(group, texts, work)
        if must_wait is not None:
            raise must_wait
        return self.job

    def _embed(
        self, group: Sequence[int], texts: TextsFile, providers: Providers, span: Span
    ) -> TextWork:
        def note(tx: Transaction, whole: Mapping[str, Any], has_come: bool) -> None:
            self.compared.describe(group, whole)
            encoder_comparison.note(tx, self.job, self.compared.state, has_come=has_come)

        mine = ((self.job.waiting or {}).get("memory") or {}).get("place") == group[0]
        encoder = self.compared.whole(group)
        return embed_texts(
            replace(self.job, encoder=encoder, waiting=self.job.waiting if mine else None),
            texts,
            providers,
            self.lease,
            note=note,
            span=span,
            store=self.store,
            settings=self.settings,
            should_stop=self.should_stop,
            is_timed=True,
        )

    def _keep(self, group: Sequence[int], texts: TextsFile, work: TextWork) -> None:
        """Keep each encoder of a group and its embeddings."""
        checkpoint = dict(self.job.checkpoint)
        for place in set(group) & set(self.compared.left):
            encoder = Encoder.from_dict(self.compared.all[place]["encoder"])
            recognition.keep(self.job, work.record, encoder, self.store)
            name = f"{_folder(place)}/{EMBEDDINGS}"
            (self.workdir / _folder(place)).mkdir(exist_ok=True)
            vectors = work.whole_vectors.truncated(encoder.truncate_dim)
            embedded_file.write(self.workdir / name, texts, vectors)
            reference = self.workdir.move(self.store.artifacts, self.job.tenant_id, name)
            checkpoint[name] = reference.sha256
        self.lease.keep(checkpoint)
        self.job = replace(self.job, checkpoint=checkpoint)

    def _is_embedded(self, place: int) -> bool:
        sha256 = self.job.checkpoint.get(f"{_folder(place)}/{EMBEDDINGS}")
        if sha256 is None:
            return False
        try:
            self.store.artifacts.open_path(self.job.tenant_id, sha256)
        except (ArtifactMissing, ArtifactCorrupt) as error:
            logger.warning("embedding.unusable job_id=%s reason=%s", self.job.id, error)
            return False
        return True

    def _is_patient(self, error: MustWait) -> bool:
        """Whether the job may wait on for a provider; else its encoders drop out."""
        since = (self.job.waiting or {}).get("since")
        waited = 0.0
        if since is not None:
            waited = (datetime.now(UTC) - datetime.fromisoformat(since)).total_seconds()
        return waited + error.wait.delay_seconds <= self.settings.provider_patience_seconds

    def _drop(self, group: Sequence[int], error: Mapping[str, Any]) -> None:
        shown = {name: one for name, one in error.items() if name != "memory"}
        logger.warning(
            "encoders.dropped job_id=%s name=%s code=%s",
            *(self.job.id, self.compared.all[group[0]]["name"], shown["code"]),
        )
        self.compared.drop(group, shown)
        with self.store.database.begin() as tx:
            encoder_comparison.note(tx, self.job, self.compared.state)


def _remembering(error: MustWait, group: Sequence[int]) -> MustWait:
    """The wait, with the encoder that its memory is about."""
    memory = {**error.wait.reason["memory"], "place": group[0]}
    return MustWait(replace(error.wait, reason={**error.wait.reason, "memory": memory}))


def _plan(
    job: Job, compared: Compared, dataset: Dataset, store: Store, settings: WorkerSettings
) -> ComparisonInstructions:
    """What the child must compare. Raises Refused if fewer than two encoders are left."""
    encoders = []
    for place in compared.left:
        sha256 = job.checkpoint.get(f"{_folder(place)}/{EMBEDDINGS}")
        one = replace(job, checkpoint={} if sha256 is None else {EMBEDDINGS: sha256})
        dataset_id = compared.all[place].get("dataset_id")
        try:
            rows = dataset if dataset_id is None else _dataset(job, dataset_id, store)
        except NotFound:
            gone = Refused(
                "dataset_deleted",
                f"The dataset {dataset_id} was deleted before it could be compared.",
            )
            compared.drop([place], {"code": gone.code, "message": str(gone)})
            continue
        encoders.append(
            EncoderToCompare(
                name=compared.all[place]["name"],
                folder=_folder(place),
                cost=compared.cost(place),
                training=instructions.of_training(one, rows, store, settings),
            )
        )
    if len(encoders) < FEWEST:
        _refuse(compared)
    return ComparisonInstructions(encoders=encoders)


def _dataset(job: Job, dataset_id: str, store: Store) -> Dataset:
    with store.database.read() as tx:
        return datasets.get(tx, job.tenant_id, dataset_id, even_expired=True)


def _refuse(compared: Compared) -> None:
    """Raise Refused: too few encoders are left."""
    dropped = [one for one in compared.all if one.get("error") is not None]
    why = " ".join(f"{one['name']}: {one['error']['message']}" for one in dropped)
    raise Refused(
        "too_few_encoders",
        f"Fewer than {FEWEST} encoders are left to compare. {why} What was embedded is kept: a new "
        "job with the same texts does not pay for it again.",
    )


def _folder(place: int) -> str:
    """The folder of an encoder's files, and the beginning of their names in the checkpoint."""
    return f"encoder-{place}"


def _files_of(place: int, checkpoint: Mapping[str, str]) -> dict[str, str]:
    """The files of one encoder as those of the job."""
    folder = f"{_folder(place)}/"
    return {
        name.removeprefix(folder): sha256
        for name, sha256 in checkpoint.items()
        if name.startswith(folder)
    }


def _with_costs(found: Mapping[str, Any], compared: Compared) -> dict[str, Any]:
    """What the child has found, with what each encoder costs, and those that dropped out."""
    ranked = [one | compared.shown(compared.place(one["name"])) for one in found["compared"]]
    dropped = [
        {"name": one["name"]} | compared.shown(place)
        for place, one in enumerate(compared.all)
        if one.get("error") is not None
    ]
    return {**found, "compared": [*ranked, *dropped], "sample": compared.state["sample"]}

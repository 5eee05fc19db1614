# Written by generate_sync.py out of _async/jobs.py: edit that file, then run the script.
"""`client.jobs`: submit trainings and predictions, list and cancel them."""

from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from nmtune_client._datasets.values import Dataset
from nmtune_client._heads.arguments import notes
from nmtune_client._heads.values import HeadVersion
from nmtune_client._http.errors import APIStatusError
from nmtune_client._jobs.calls import (
    cancel_job,
    create_job,
    delete_output,
    get_job,
    list_jobs,
    plan_job,
    publish_candidate,
)
from nmtune_client._jobs.plan import Plan
from nmtune_client._jobs.rows import JOB_HEADER, job_row
from nmtune_client._jobs.submission import (
    Encoder,
    dataset_key,
    needed_dataset,
    note_stored,
    planned,
    submission,
)
from nmtune_client._jobs.values import JobData
from nmtune_client._predict.calls import create_prediction
from nmtune_client._predict.options import HeadLike, Options, Output
from nmtune_client._predict.whole_file import fields
from nmtune_client._report.report import Report
from nmtune_client._show.reprs import OfClient
from nmtune_client._sync.concurrency import listing
from nmtune_client._sync.datasets import Datasets
from nmtune_client._sync.job import Job
from nmtune_client._sync.paging import paged
from nmtune_client._sync.reports import fetched
from nmtune_client._sync.sender import Sender


class Jobs(OfClient):
    """The jobs: trainings, and predictions of whole datasets."""

    def __init__(self, sender: Sender, datasets: Datasets) -> None:
        self._sender = sender
        self._datasets = datasets

    def create(
        self,
        *,
        name: str,
        embeddings: object = None,
        labels: object = None,
        splits: object = None,
        merge_similar: bool = False,
        texts: object = None,
        provider: str | Mapping[str, Any] | None = None,
        encoders: Sequence[Encoder] | None = None,
        sample: int | None = None,
        dataset: str | Dataset | None = None,
        dataset_id: str | None = None,
        method: str | None = None,
        paradigm: str | None = None,
        config: Mapping[str, Any] | None = None,
        analyses: Sequence[str] | None = None,
        compare: bool = True,
        alias: str | None = None,
        alias_always: bool = False,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        queue: str | None = None,
        priority: int | None = None,
        wait: int | None = None,
        idempotency_key: str | None = None,
    ) -> Job:
        """Submit a job that tunes the head `name`, on a stored dataset or on rows sent along.

        dataset_id: the stored dataset's id, or as `dataset` what `datasets.upload` returned.
        embeddings: (n, d) numbers: numpy, pandas, polars, pyarrow, torch, or a column or list of
        vectors.
        labels: n strings, whole numbers, Booleans or dates. splits: n names (train, validation,
        test, ood/<domain>); without them the server holds out a stratified fifth as `test`.
        merge_similar: make one of classes, and of domains, that differ in case, spaces or Unicode
        form.
        texts: n strings in place of embeddings; provider: what embeds them, a name such as
        "local-minilm" or {"name": "openai", "model": "text-embedding-3-small"}, with `base_url`
        and `dimensions` where needed; with `truncate_dim`, only the first so many numbers of each
        vector are kept.
        encoders: in place of provider, 2 to 8 of these to compare on the same rows; the job goes on
        with the best by held-out log loss, or the cheapest of those that tie (`Report.encoders`).
        Without texts and dataset, stored datasets of embeddings with the same rows. sample: rank
        them on so many rows; only the chosen one then embeds all.
        method: auto (the server's default), nmtune, mlp or linear_probe. config: settings,
        e.g. {"seed": 1}; `preset` is for methods nmtune and mlp, or with the analysis
        published_loop. paradigm: "lora" also adapts the encoder of texts, one that runs in the
        server, and publishes that only if it wins on held-out texts; config then has rank, alpha,
        targets, epochs and the like. analyses: what else to look into, `ablation`,
        `learning_curve`, `published_loop`, and `full_finetuning` with paradigm "lora". compare:
        False trains nothing that is only compared with the published head. alias: moves to the
        new head version, unless the report's verdict advises against it; alias_always: whatever
        the verdict says. `Job.alias_outcome` tells which.
        description and tags: noted of the new version, e.g. tags={"ticket": "ML-12"}.
        queue: cpu or gpu, the workers that train it. priority: -100 to 100, higher ones are taken
        first.
        wait: seconds the server may hold its answer for the job to end; `Job.wait` is what waits.
        idempotency_key: a key of your own makes repeating the call, even from another process,
        return the first job.

        Rows of more than 32 MiB go up as a dataset first. Raises ValueError for rows that cannot
        be right, and ValidationError for what the server finds wrong.
        """
        sent = submission(
            name=name,
            embeddings=embeddings,
            labels=labels,
            splits=splits,
            merge_similar=merge_similar,
            texts=texts,
            provider=provider,
            encoders=encoders,
            sample=sample,
            dataset=dataset,
            dataset_id=dataset_id,
            method=method,
            paradigm=paradigm,
            config=config,
            analyses=analyses,
            compare=compare,
            alias=alias,
            alias_always=alias_always,
            description=description,
            tags=tags,
            queue=queue,
            priority=priority,
        )
        if sent.arrays is None:
            call = create_job(sent.data, wait=wait, idempotency_key=idempotency_key)
            return self._bind(self._sender.send(call))
        stored = self._datasets.upload_arrays(
            sent.arrays,
            name=name,
            idempotency_key=dataset_key(idempotency_key),
            merge_similar=sent.merge_similar,
        )
        data = sent.with_dataset(stored)
        try:
            call = create_job(data, wait=wait, idempotency_key=idempotency_key)
            return self._bind(self._sender.send(call))
        except APIStatusError as error:
            note_stored(error, stored)
            raise

    def plan(
        self,
        dataset: str | Dataset | None = None,
        *,
        dataset_id: str | None = None,
        provider: str | Mapping[str, Any] | None = None,
        encoders: Sequence[Encoder] | None = None,
        sample: int | None = None,
        method: str | None = None,
        paradigm: str | None = None,
        config: Mapping[str, Any] | None = None,
        analyses: Sequence[str] | None = None,
        compare: bool = True,
    ) -> Plan:
        """What a job on a stored dataset would do, as the server says it; nothing is stored.

        A dict whose members are attributes too: among them `splits`, `candidates`,
        `memory_bytes`, `warnings`, and `seconds` by the pace of earlier jobs (None while there is
        none). The arguments are those of `create`.
        """
        data = planned(
            dataset,
            dataset_id=dataset_id,
            provider=provider,
            encoders=encoders,
            sample=sample,
            method=method,
            paradigm=paradigm,
            config=config,
            analyses=analyses,
            compare=compare,
        )
        return self._sender.send(plan_job(data))

    def predict(
        self,
        dataset: str | Dataset | None = None,
        *,
        head: HeadLike,
        dataset_id: str | None = None,
        format: str | None = None,  # noqa: A002  the API's word
        output: Output | None = None,
        top_k: int | None = None,
        abstain_below: float | None = None,
        conformal_level: float | None = None,
        ood: bool | None = None,
        class_shares: Mapping[str, float] | None = None,
        queue: str | None = None,
        priority: int | None = None,
        wait: int | None = None,
        idempotency_key: str | None = None,
    ) -> Job:
        """Submit a prediction of all rows of a stored dataset; `Job.output` takes the file it made.

        head: `pets`, `pets@3` or `pets@prod`; the version that it names now answers all rows.
        format: parquet (the server's default), csv or jsonl. The options are those of
        `Client.predict`, and queue, priority and idempotency_key those of `create`.
        """
        options = Options(
            output=output,
            top_k=top_k,
            abstain_below=abstain_below,
            conformal_level=conformal_level,
            ood=ood,
            class_shares=class_shares,
        )
        data = fields(
            needed_dataset(dataset, dataset_id),
            head=head,
            form=format,
            options=options,
            queue=queue,
            priority=priority,
        )
        call = create_prediction(data, wait=wait, idempotency_key=idempotency_key)
        return self._bind(self._sender.send(call))

    def output(self, job_id: str, path: str | PathLike[str] | None = None) -> Path:
        """Write the file that a prediction made to `path`; as `Job.output`."""
        return (self.get(job_id)).output(path)

    def delete_output(self, job_id: str) -> None:
        """Delete the file that a prediction made; the job stays."""
        self._sender.send(delete_output(job_id))

    def list(self, *, status: str | None = None, limit: int | None = None) -> Iterator[Job]:
        """All jobs (of one status), newest first; pages are fetched as the iterator needs them."""

        def jobs() -> Iterator[Job]:
            found = paged(
                self._sender,
                lambda cursor, size: list_jobs(cursor=cursor, limit=size, status=status),
                limit=limit,
            )
            for data in found:
                yield self._bind(data)

        return listing(jobs(), header=JOB_HEADER, row=job_row)

    def get(self, job_id: str) -> Job:
        """One job, by id."""
        return self._bind(self._sender.send(get_job(job_id)))

    def cancel(self, job_id: str) -> Job:
        """Ask that a job be cancelled; one that has ended stays as it is."""
        return self._bind(self._sender.send(cancel_job(job_id)))

    def report(self, job_id: str, *, html: bool = False) -> Report:
        """What a job found; as `Job.report`."""
        return fetched(self._sender, job_id, html=html)

    def publish(
        self,
        job_id: str,
        candidate: str,
        *,
        alias: str | None = None,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> HeadVersion:
        """Make another candidate of a job the next version of its head; as `Job.publish`."""
        call = publish_candidate(job_id, candidate, alias=alias, notes=notes(description, tags))
        return self._sender.send(call)

    def _bind(self, data: JobData) -> Job:
        return Job(self._sender, data)

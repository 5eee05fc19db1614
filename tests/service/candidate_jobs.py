"""Jobs that succeeded and keep the heads of their candidates and what each said of every row."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from store import datasets, job_files, jobs, transitions
from store.datasets import Lineage
from store.files.job_rows import JobRows, Predictions, SplitRows
from store.job_files import NewJobFile
from store.jobs import Job
from store.names import DEFAULT_TENANT
from store.registry.candidates import as_version
from store.store import Store
from tests.service.in_process import CLASSES, N_COLUMNS

N_ROWS = 200
Said = Mapping[str, Mapping[str, NDArray[np.bool_]]]
"""Split -> candidate -> which rows (n,) it got right."""


def right(*rows: int, n_rows: int = N_ROWS) -> NDArray[np.bool_]:
    """All rows right but these."""
    correct = np.ones(n_rows, bool)
    correct[list(rows)] = False
    return correct


@dataclass(frozen=True, kw_only=True)
class CandidateJob:
    """What a job trained: the bytes of each candidate's head, and which rows each got right.

    method: the candidate that it publishes. keeps_rows: whether it keeps a file of its rows.
    """

    heads: Mapping[str, bytes]
    method: str = "nmtune"
    said: Said = field(default_factory=dict)
    name: str = "pets"
    data: bytes = b"dataset"
    keeps_rows: bool = True
    keeps_heads: bool = True
    lineage: Lineage | None = None
    """What its dataset was made from."""

    def run(self, store: Store, *, alias: str | None = None) -> Job:
        """Submit the job and end it, as a client and a worker would."""
        dataset = store.artifacts.put_bytes(DEFAULT_TENANT, self.data)
        with store.database.begin() as tx:
            data = datasets.add(
                tx,
                DEFAULT_TENANT,
                name="pets",
                sha256=dataset.sha256,
                size_bytes=dataset.size_bytes,
                n_rows=40,
                n_columns=N_COLUMNS,
                classes=list(CLASSES),
                splits=[{"name": "train", "n_rows": 40, "class_counts": [20, 20]}],
                profile={},
                lineage=self.lineage,
            )
            job = jobs.submit(
                tx,
                DEFAULT_TENANT,
                name=self.name,
                dataset_id=data.id,
                method=self.method,
                config={},
                alias=alias,
                description="with the labels of May",
                tags={"ticket": "ML-12"},
            )
            claimed = transitions.claim(tx, job.id, worker="test", lease_seconds=60)
        assert claimed is not None
        return self._succeed(store, claimed, dataset_sha256=dataset.sha256)

    def _succeed(self, store: Store, job: Job, *, dataset_sha256: str) -> Job:
        report = self.report(job)
        stored = {
            name: store.artifacts.put_bytes(DEFAULT_TENANT, data)
            for name, data in self.heads.items()
        }
        own = as_version(
            job, report, self.method, head=stored.pop(self.method), encoder=None, alias=job.alias
        )
        files = {}
        if self.keeps_heads:
            files = {job_files.head_name(name): one for name, one in stored.items()}
        if self.keeps_rows:
            rows = self._rows(dataset_sha256).to_bytes()
            files[job_files.ROWS] = store.artifacts.put_bytes(DEFAULT_TENANT, rows)
        kept = [
            NewJobFile(name=name, sha256=one.sha256, size_bytes=one.size_bytes)
            for name, one in files.items()
        ]
        sha256 = store.artifacts.put_bytes(DEFAULT_TENANT, orjson.dumps(report)).sha256
        with store.database.begin() as tx:
            ended = transitions.succeed(tx, job, report_sha256=sha256, head=own)
            job_files.add(tx, ended, kept)
        return ended

    def report(self, job: Job) -> dict[str, Any]:
        """The report, as far as versions, cards and pages need it."""
        return {
            "version": 2,
            "job_id": job.id,
            "name": self.name,
            "method": self.method,
            "dataset": {"name": "pets", "n_columns": N_COLUMNS, "classes": list(CLASSES)},
            "candidates": {name: self._candidate(name) for name in self.heads},
            "comparison": [],
            "verdict": {"summary": "Keep it.", "sentences": ["It is good."]},
            "findings": {},
            "environment": {
                "seed": 3,
                "nmtune_version": "0.1.0",
                "platform": "Linux",
                "python_version": "3.11.2",
                "torch_version": "2.11.0",
                "device": "cpu",
                "device_name": "",
                "n_threads": 2,
            },
        }

    def _candidate(self, name: str) -> dict[str, Any]:
        rest = {"macro_f1": 0.5, "log_loss": 1.0, "ece": 0.1}
        metrics = {
            split: {
                "split": split,
                "n_rows": len(of[name]),
                "accuracy": float(of[name].mean()),
                **rest,
            }
            for split, of in self.said.items()
        }
        return {
            "config": {"preset": name},
            "n_parameters": 100 + len(name),
            "temperature": 1.0,
            "metrics": metrics or {"test": {"split": "test", "n_rows": 8, "accuracy": 1, **rest}},
            "spectra": {},
        }

    def _rows(self, dataset_sha256: str) -> JobRows:
        return JobRows(
            classes=CLASSES,
            published=self.method,
            candidates=list(self.heads),
            dataset_sha256=dataset_sha256,
            splits={split: _split(of) for split, of in self.said.items()},
        )


def _split(of: Mapping[str, NDArray[np.bool_]]) -> SplitRows:
    n_rows = len(next(iter(of.values())))
    label = np.arange(n_rows) % len(CLASSES)
    return SplitRows(
        label=label,
        predictions={
            name: Predictions(
                predicted=np.where(correct, label, 1 - label),
                label_probability=np.full(n_rows, 40_000, np.uint16),
            )
            for name, correct in of.items()
        },
    )

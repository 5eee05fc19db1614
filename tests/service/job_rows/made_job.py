"""A succeeded job with rows made by chance, and what each of them must be."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from store import datasets, job_files, jobs
from store.files.dataset import DatasetWriter
from store.files.job_rows import JobRows, Predictions, SplitRows, Suspects, probability
from store.files.row_names import RowNames
from store.files.rows import Ids
from store.files.texts import TextsFile, TextSplit
from store.job_files import NewJobFile
from store.jobs import Job
from store.names import DEFAULT_TENANT
from store.store import Store
from tests.service.in_process import claim, succeed

SPLITS = {"train": 60, "test": 40, "ood/web": 30}
CANDIDATES = ("linear_probe", "mlp", "auto")
HOLDING_OUT = ("linear_probe", "auto")
"""The candidates that have predictions of training rows."""


def made_rows(
    classes: Sequence[str] = ("cat", "dog", "owl"), *, seed: int = 0, sha256: str = "d" * 64
) -> JobRows:
    """Rows with many equal values, so that their order among equals shows."""
    random = np.random.default_rng(seed)

    def said(n_rows: int) -> Predictions:
        return Predictions(
            predicted=random.integers(0, len(classes), n_rows),
            label_probability=(random.integers(0, 8, n_rows) * 9000).astype(np.uint16),
        )

    def split(name: str, n_rows: int) -> SplitRows:
        names = HOLDING_OUT if name == "train" else CANDIDATES
        return SplitRows(
            label=random.integers(0, len(classes), n_rows),
            predictions={one: said(n_rows) for one in names},
            predicted_probability=random.integers(0, 65_536, n_rows).astype(np.uint16),
            ood_score=random.integers(0, 5, n_rows).astype(np.float32) / 4,
            set_size=random.integers(1, 4, n_rows).astype(np.uint16),
        )

    return JobRows(
        classes=list(classes),
        published="auto",
        candidates=list(CANDIDATES),
        dataset_sha256=sha256,
        splits={name: split(name, n_rows) for name, n_rows in SPLITS.items()},
        suspects=Suspects(
            rows=np.array([41, 3, 17, 8], np.uint32),
            suggested=np.array([0, 1, 2, 1]),
            neighbours=random.integers(0, SPLITS["train"], (3, 5)).astype(np.uint32),
            similarities=np.sort(random.random((3, 5)).astype(np.float32))[:, ::-1].copy(),
        ),
        level=0.9,
        ood_threshold=1.0,
    )


@dataclass(frozen=True)
class MadeJob:
    """The job, its rows, and each row as the route must show it."""

    job: Job
    rows: JobRows

    def shown(self, candidate: str = "auto") -> list[dict[str, Any]]:
        """All rows in the order of the splits, without their names."""
        rows, found = self.rows, []
        for split, values in rows.splits.items():
            for row in range(len(values.label)):
                said = values.predictions.get(candidate)
                is_published = candidate == rows.published
                assert values.predicted_probability is not None
                assert values.ood_score is not None
                assert values.set_size is not None
                at = rows.suspects.rows.tolist().index(row) if self._is_suspect(split, row) else -1
                found.append(
                    {
                        "split": split,
                        "row": row,
                        "label": rows.classes[values.label[row]],
                        "predicted": said and rows.classes[said.predicted[row]],
                        "label_probability": said and probability(said.label_probability[row]),
                        "predicted_probability": (
                            probability(values.predicted_probability[row]) if is_published else None
                        ),
                        "ood_score": float(values.ood_score[row]),
                        "set_size": int(values.set_size[row]) if is_published else None,
                        "suggested": rows.classes[rows.suspects.suggested[at]] if at >= 0 else None,
                    }
                )
        return found

    def _is_suspect(self, split: str, row: int) -> bool:
        return split == "train" and row in self.rows.suspects.rows.tolist()


def add_job_with_rows(
    store: Store,
    folder: Path,
    head: bytes,
    *,
    rows: JobRows | None = None,
    texts: bool = False,
    long_text: str = "",
    has_names: bool = True,
) -> MadeJob:
    """A job that has succeeded on a dataset with ids, whose file `rows` is stored."""
    rows = rows or made_rows()
    data = _texts(rows, long_text) if texts else None
    if data is not None:
        reference = store.artifacts.put_bytes(DEFAULT_TENANT, data)
    else:
        path = folder / "made.safetensors"
        _write_dataset(path, rows, has_names=has_names)
        reference = store.artifacts.put_file(DEFAULT_TENANT, path)
    with store.database.begin() as tx:
        dataset = datasets.add(
            tx,
            DEFAULT_TENANT,
            name="made",
            sha256=reference.sha256,
            size_bytes=reference.size_bytes,
            n_rows=sum(SPLITS.values()),
            n_columns=0 if texts else 3,
            content=datasets.TEXTS if texts else datasets.EMBEDDINGS,
            classes=rows.classes,
            splits=[{"name": name, "n_rows": n, "class_counts": []} for name, n in SPLITS.items()],
            profile={},
        )
        queued = jobs.submit(
            tx, DEFAULT_TENANT, name="made", dataset_id=dataset.id, method="auto", config={}
        )
    job = succeed(store, claim(store, queued.id), head)
    file = store.artifacts.put_bytes(DEFAULT_TENANT, rows.to_bytes())
    with store.database.begin() as tx:
        new = NewJobFile(name=job_files.ROWS, sha256=file.sha256, size_bytes=file.size_bytes)
        job_files.add(tx, job, [new])
    return MadeJob(job, rows)


def file_row(split: str, row: int) -> int:
    """The place in the file that the dataset says: rows of a split in reverse."""
    before = dict(zip(SPLITS, np.cumsum([0, *SPLITS.values()]).tolist(), strict=False))
    return int(before[split] + SPLITS[split] - 1 - row)


def row_id(split: str, row: int) -> str | None:
    """The id that the dataset says; every seventh row has none."""
    return None if row % 7 == 0 else f"{split}:{row}"


def row_text(split: str, row: int) -> str:
    """The text of a row of a dataset of texts."""
    return f"What of {split} {row}, “so”?\n"


def _write_dataset(path: Path, rows: JobRows, *, has_names: bool) -> None:
    names = {
        split: RowNames(
            rows=np.array([file_row(split, row) for row in range(n_rows)]),
            ids=Ids.of([row_id(split, row) or "" for row in range(n_rows)]),
        )
        for split, n_rows in SPLITS.items()
    }
    with DatasetWriter(
        path,
        classes=rows.classes,
        n_columns=3,
        dtype=np.float32,
        splits=list(SPLITS.items()),
        row_names=names if has_names else None,
    ) as writer:
        for split, values in rows.splits.items():
            writer.x(split)[:] = 1
            writer.y(split)[:] = values.label


def _texts(rows: JobRows, long_text: str) -> bytes:
    splits = [
        TextSplit(
            name=split,
            texts=[
                long_text if long_text and row == 0 else row_text(split, row)
                for row in range(n_rows)
            ],
            y=rows.splits[split].label,
            rows=[file_row(split, row) for row in range(n_rows)],
            ids=[row_id(split, row) or "" for row in range(n_rows)],
        )
        for split, n_rows in SPLITS.items()
    ]
    return TextsFile(classes=rows.classes, splits=splits).to_bytes()

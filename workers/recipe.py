"""The home of a job's science recipe: load, train every candidate, evaluate, spectra, report."""

import logging
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nmtune import (
    Candidates,
    CheckpointError,
    DataError,
    Head,
    HeadFormatError,
    Trainer,
    TuneConfig,
    evaluate,
    runtime,
    spectrum,
)
from store.dataset_file import DatasetFile, Embeddings
from workers.comparison import Score
from workers.progress import Workload
from workers.report import Spectra, Trained, compose
from workers.workdir import REPORT, Plan, Workdir, checkpoint_file, head_file, result_file

logger = logging.getLogger(__name__)

Message = dict[str, Any]
"""What the supervisor is told; `workers.train` lists the kinds."""

BLOCK_VALUES = 1 << 24  # embeddings given to a head at a time: 64 MiB of float32
CHECKPOINT_SHARE = 20  # training goes on for this many times what writing a checkpoint took


def run(workdir: Workdir) -> Iterator[Message]:
    """Do the job that the folder's plan describes, and tell of it on the way.

    Leaves the report and each candidate's head in the folder. Raises ConfigError, DataError or
    DivergenceError where the user's settings or rows are at fault.
    """
    started_at = time.monotonic()
    yield _stage("loading")
    plan = Plan.load(workdir)
    machine = runtime.prepare(device=plan.device, n_threads=plan.n_threads)
    candidates = Candidates.from_dict(plan.candidates)
    dataset = _load(plan)

    yield _stage("training")
    training = _Training(workdir, plan, dataset, machine, _workload(candidates, dataset))
    trained = {}
    for name, config in candidates.configs.items():
        trained[name] = yield from training.candidate(name, config)

    yield _stage("evaluating")
    scores = {name: _score(one, dataset) for name, one in trained.items()}

    yield _stage("spectra")
    raw: Spectra = {split: spectrum(arrays.x) for split, arrays in dataset.splits.items()}
    for one in trained.values():
        for split, arrays in dataset.splits.items():
            one.spectra[split] = spectrum(_tuned(one.head, arrays.x))

    report = compose(
        plan,
        method=candidates.method,
        machine=machine,
        classes=dataset.classes,
        trained=trained,
        scores=scores,
        raw=raw,
        seconds=time.monotonic() - started_at,
    )
    workdir.write_json(REPORT, report)


def _stage(name: str) -> Message:
    return {"type": "stage", "stage": name}


def _load(plan: Plan) -> DatasetFile:
    dataset = DatasetFile.open(Path(plan.dataset_path))
    if "train" not in dataset.splits:
        raise DataError("the data set has no split named 'train' to learn from", field="splits")
    return dataset


def _workload(candidates: Candidates, dataset: DatasetFile) -> Workload:
    n_rows = sum(len(arrays.y) for arrays in dataset.splits.values())
    return Workload(
        candidates.configs,
        n_columns=dataset.n_columns,
        n_classes=len(dataset.classes),
        rows_ratio=n_rows / len(dataset.splits["train"].y),
    )


@dataclass(frozen=True)
class _Training:
    """The training of candidates one after another, each resumed from the folder's files."""

    workdir: Workdir
    plan: Plan
    dataset: DatasetFile
    machine: runtime.Runtime
    workload: Workload

    def candidate(self, name: str, config: TuneConfig) -> Generator[Message, None, Trained]:
        """Train one candidate, or take it as an earlier attempt finished it."""
        finished = self._finished(name)
        if finished is not None:
            self.workload.skip(name)
            return finished
        trainer = self._trainer(name, config)
        saved_at, pause = time.monotonic(), self.plan.checkpoint_seconds
        for report in trainer:
            is_last = report.epoch == report.n_epochs
            yield {
                "type": "progress",
                "progress": self.workload.progress(name, report),
                "is_last": is_last,
            }
            began = time.monotonic()
            if began - saved_at >= pause and not is_last:
                self.workdir.write_bytes(checkpoint_file(name), trainer.checkpoint())
                yield {"type": "checkpoint", "file": checkpoint_file(name)}
                saved_at = time.monotonic()
                pause = max(self.plan.checkpoint_seconds, CHECKPOINT_SHARE * (saved_at - began))
        fit = trainer.result()
        self.workdir.write_bytes(head_file(name), fit.head.to_bytes())
        self.workdir.write_json(
            result_file(name),
            {
                "train_seconds": fit.seconds,
                "history": [report.to_dict() for report in fit.history],
                "notes": list(fit.notes),
            },
        )
        files = [head_file(name), result_file(name)]
        yield {"type": "finished", "files": files, "replaces": checkpoint_file(name)}
        return self._read(name)

    def _finished(self, name: str) -> Trained | None:
        if not (self.workdir.has(head_file(name)) and self.workdir.has(result_file(name))):
            return None
        try:
            return self._read(name)
        except HeadFormatError as error:
            logger.warning("candidate.retrain name=%s reason=%s", name, error)
            return None

    def _read(self, name: str) -> Trained:
        """A finished candidate: the head as it will be served, from its bytes."""
        head = Head.from_bytes(self.workdir.read_bytes(head_file(name)))
        return Trained(head=head, **self.workdir.read_json(result_file(name)))

    def _trainer(self, name: str, config: TuneConfig) -> Trainer:
        train, validation = self.dataset.splits["train"], self.dataset.splits.get("validation")

        def start(checkpoint: bytes | None) -> Trainer:
            return Trainer(
                train.x,
                train.y,
                classes=self.dataset.classes,
                config=config,
                validation=(validation.x, validation.y) if validation else None,
                device=self.machine.device,
                checkpoint=checkpoint,
            )

        if self.workdir.has(checkpoint_file(name)):
            try:
                return start(self.workdir.read_bytes(checkpoint_file(name)))
            except CheckpointError as error:
                logger.warning("checkpoint.unusable name=%s reason=%s", name, error)
        return start(None)


def _score(one: Trained, dataset: DatasetFile) -> dict[str, Score]:
    """Evaluate a head on every split: its evaluations are kept in `one`, its scores returned."""
    scores = {}
    for split, arrays in dataset.splits.items():
        parts = [one.head.predict_proba(block) for block in _blocks(arrays.x)]
        probabilities = np.concatenate(parts)
        evaluation = evaluate(probabilities, arrays.y, dataset.classes)
        one.evaluations[split] = evaluation
        scores[split] = Score(
            correct=probabilities.argmax(axis=1) == arrays.y, macro_f1=evaluation.macro_f1
        )
    return scores


def _tuned(head: Head, x: Embeddings) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Z (n, d) of x (n, d), with memory for one more copy of it and no further."""
    z = np.empty(x.shape, np.float32)
    start = 0
    for block in _blocks(x):
        z[start : start + len(block)] = head.transform(block)
        start += len(block)
    return z


def _blocks(x: Embeddings) -> Iterator[Embeddings]:
    n_rows = max(1, BLOCK_VALUES // x.shape[1])
    for start in range(0, len(x), n_rows):
        yield x[start : start + n_rows]

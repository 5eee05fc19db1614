"""Train one candidate, resuming from the folder's files and saving to them."""

import logging
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

from nmtune import CheckpointError, Head, HeadFormatError, HeldOut, Trainer, TuneConfig
from nmtune.numeric.runtime import Runtime
from nmtune.vocabulary import TRAIN, VALIDATION
from store.files.dataset import DatasetFile
from workers.child.progress import Workload
from workers.child.report import CandidateResult
from workers.folder import (
    TrainingInstructions,
    Workdir,
    checkpoint_file,
    head_file,
    held_out_file,
    result_file,
)

logger = logging.getLogger(__name__)

Message = dict[str, Any]
"""A message to the supervisor; `workers.child.main` lists the kinds."""

CHECKPOINT_SHARE = 20  # between checkpoints, train at least this many times as long as one takes


@dataclass(frozen=True, kw_only=True)
class FinishedCandidate:
    """A candidate's result for the report, and its held-out predictions."""

    trained: CandidateResult
    held_out: HeldOut | None


@dataclass(frozen=True)
class Training:
    """Train candidates one after another, each resumed from the folder's files."""

    workdir: Workdir
    plan: TrainingInstructions
    dataset: DatasetFile
    machine: Runtime
    workload: Workload
    adapted: dict[str, DatasetFile] = field(default_factory=dict)
    """The vectors of adapted encoders, by the candidate whose head judges them."""

    def rows_of(self, name: str) -> DatasetFile:
        """The rows that a candidate's head judges: the job's own, or those adapted."""
        return self.adapted.get(name, self.dataset)

    def check_data(self) -> None:
        """Raise ArtifactCorrupt unless the mapped data set is still what was stored.

        Called before a checkpoint, a head or the report is published, so that none comes from
        damaged bytes.
        """
        self.dataset.check(self.plan.dataset_sha256)

    def leave_out(self, name: str) -> None:
        """Drop a candidate that is not needed after all."""
        self.workload.leave_out(name)

    def candidate(
        self, name: str, config: TuneConfig
    ) -> Generator[Message, None, FinishedCandidate]:
        """Train one candidate, or read it if an earlier attempt finished it."""
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
                self.check_data()
                self.workdir.write_bytes(checkpoint_file(name), trainer.checkpoint())
                yield {"type": "checkpoint", "file": checkpoint_file(name)}
                saved_at = time.monotonic()
                pause = max(self.plan.checkpoint_seconds, CHECKPOINT_SHARE * (saved_at - began))
        yield {
            "type": "finished",
            "files": self._write(name, trainer),
            "replaces": checkpoint_file(name),
        }
        return self._read(name)

    def _write(self, name: str, trainer: Trainer) -> list[str]:
        fit = trainer.result()
        self.check_data()
        files = [head_file(name), result_file(name)]
        self.workdir.write_bytes(head_file(name), fit.head.to_bytes())
        if fit.held_out is not None:
            self.workdir.write_bytes(held_out_file(name), fit.held_out.to_bytes())
            files.append(held_out_file(name))
        self.workdir.write_json(
            result_file(name),
            {
                "train_seconds": fit.seconds,
                "history": [report.to_dict() for report in fit.history],
                "notes": list(fit.notes),
                "has_held_out": fit.held_out is not None,
            },
        )
        return files

    def _finished(self, name: str) -> FinishedCandidate | None:
        if not (self.workdir.has(head_file(name)) and self.workdir.has(result_file(name))):
            return None
        try:
            return self._read(name)
        except (HeadFormatError, ValueError, KeyError, FileNotFoundError) as error:
            logger.warning("candidate.retrain name=%s reason=%s", name, error)
            return None

    def _read(self, name: str) -> FinishedCandidate:
        """A finished candidate, with the head read from its bytes, as it will be served."""
        result = self.workdir.read_json(result_file(name))
        held_out = None
        if result.pop("has_held_out"):
            held_out = HeldOut.from_bytes(self.workdir.read_bytes(held_out_file(name)))
        head = Head.from_bytes(self.workdir.read_bytes(head_file(name)))
        return FinishedCandidate(trained=CandidateResult(head=head, **result), held_out=held_out)

    def _trainer(self, name: str, config: TuneConfig) -> Trainer:
        train, validation = self.dataset.splits[TRAIN], self.dataset.splits.get(VALIDATION)

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

"""Adapt the job's encoder (LoRA), and choose between that and the head on frozen embeddings."""

import logging
import time
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmtune import (
    CheckpointError,
    Choice,
    Head,
    HeadFormatError,
    HeldOut,
    Trainer,
    TuneConfig,
    stratified_split,
)
from nmtune.encoder import memory as encoder_memory
from nmtune.encoder.adapter import Adapter
from nmtune.encoder.candidates import HELD_OUT, LoraCandidates
from nmtune.encoder.choice import choose_adapted
from nmtune.encoder.config import LoraConfig
from nmtune.encoder.network import EncoderNetwork
from nmtune.encoder.strength import choose_strength
from nmtune.encoder.trainer import LoraFit, LoraReport, LoraTrainer
from nmtune.heads.temperature import calibrate
from nmtune.training.procedure import EpochReport
from nmtune.vocabulary import FULL_FINETUNING, TRAIN, VALIDATION
from store.files.dataset import DatasetFile, DatasetWriter
from workers import memory
from workers.child.candidate import FinishedCandidate, Message, Training
from workers.child.encoder import OpenEncoder, open_encoder
from workers.child.report import CandidateResult
from workers.folder import checkpoint_file, head_file, held_out_file, result_file, vectors_file

logger = logging.getLogger(__name__)

FROZEN_SHARE = 0.15
"""The share of the training's progress that the frozen candidates get."""


@dataclass(frozen=True, kw_only=True)
class Adapted:
    """The adapted candidates, with the vectors that each one's head judges, and the choice."""

    finished: dict[str, FinishedCandidate]
    datasets: dict[str, DatasetFile]
    choice: Choice


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """The rows that adapted candidates learn from, and the held-out ones that judge them."""

    learnt: NDArray[np.int64]
    """Of the split `train`."""
    judged_split: str
    judged: NDArray[np.int64]


def adapt(
    training: Training,
    lora: LoraCandidates,
    frozen: FinishedCandidate,
    *,
    noisy: bool,
) -> Generator[Message, None, Adapted]:
    """Train the adapted candidates, or read those that an earlier attempt finished.

    frozen: auto's head on frozen embeddings, with its held-out predictions. Raises DataError,
    DivergenceError, InsufficientMemoryError.
    """
    yield {"type": "stage", "stage": "adapting"}
    (seed,) = {config.seed for config in lora.configs.values()}
    dataset = training.dataset
    rows = _rows(dataset, seed=seed)
    opened = open_encoder(training.plan, device=training.machine.device)
    yield {"type": "memory", **_check_memory(opened, lora)}
    finished: dict[str, FinishedCandidate] = {}
    n_all = sum(config.n_steps(len(rows.learnt)) for config in lora.configs.values())
    n_before = 0
    for name, config in lora.configs.items():
        done = _read(training, name)
        if done is None:
            work = _Candidate(training, opened, rows, name, config)
            for message in work.train():
                if message["type"] == "progress":
                    _place(message["progress"], n_before, n_all)
                yield message
            done = _read(training, name)
        if done is None:
            raise RuntimeError(f"the candidate {name} left no files")
        finished[name] = done
        n_before += config.n_steps(len(rows.learnt))
    datasets = {name: DatasetFile.open(training.workdir / vectors_file(name)) for name in finished}
    judged = {
        name: one.held_out
        for name, one in finished.items()
        if one.held_out is not None and name != FULL_FINETUNING
    }
    choice = choose_adapted(_judged(frozen.held_out, rows), judged, noisy=noisy)
    return Adapted(finished=finished, datasets=datasets, choice=choice)


def _rows(dataset: DatasetFile, *, seed: int) -> _Rows:
    y = np.asarray(dataset.splits[TRAIN].y)
    if VALIDATION in dataset.splits and len(dataset.splits[VALIDATION].y):
        judged = np.arange(len(dataset.splits[VALIDATION].y))
        return _Rows(learnt=np.arange(len(y)), judged_split=VALIDATION, judged=judged)
    kept, held_out = stratified_split(y, fraction=HELD_OUT, seed=seed)
    return _Rows(learnt=kept, judged_split=TRAIN, judged=held_out)


def _judged(held_out: HeldOut | None, rows: _Rows) -> HeldOut | None:
    """The frozen head's out-of-fold predictions of the rows that judge."""
    if held_out is None or not len(rows.judged):
        return None
    at = rows.judged
    if rows.judged_split == VALIDATION:
        at = at + held_out.n_train_rows
    elif not held_out.n_train_rows:
        return None
    return HeldOut(logits=held_out.logits[at], y=held_out.y[at], n_train_rows=0)


def _place(progress: dict[str, Any], n_before: int, n_all: int) -> None:
    """Say how much of the whole job the adapted candidates' steps are."""
    done = n_before + progress.pop("step")
    progress["fraction"] = round(FROZEN_SHARE + (0.95 - FROZEN_SHARE) * done / n_all, 4)
    left = progress.pop("seconds_a_step") * (n_all - done)
    progress["eta_seconds"] = round(left, 1)


def _check_memory(opened: OpenEncoder, lora: LoraCandidates) -> dict[str, int | None]:
    n_weights = sum(one.numel() for one in opened.network.weights.values())
    longest = max(len(one) for tokens in opened.tokens.values() for one in tokens)
    return memory.check(
        max(
            encoder_memory.peak_bytes(
                opened.network.architecture,
                n_weights=n_weights,
                batch_size=config.batch_size,
                n_tokens=min(longest, config.max_tokens),
                full=name == FULL_FINETUNING,
            )
            for name, config in lora.configs.items()
        )
    )


@dataclass(frozen=True)
class _Candidate:
    """One candidate's training, from its checkpoint to its files."""

    training: Training
    opened: OpenEncoder
    rows: _Rows
    name: str
    config: LoraConfig

    def train(self) -> Generator[Message, None, None]:
        """Train it, and write its files."""
        began, plan = time.monotonic(), self.training.plan
        trainer = self._trainer()
        is_full = self.name == FULL_FINETUNING
        saved_at, n_done = time.monotonic(), 0
        for report in trainer:
            is_last = report.step == report.n_steps
            n_done += 1
            yield {
                "type": "progress",
                "progress": {
                    "candidate": self.name,
                    "epoch": report.epoch,
                    "n_epochs": report.n_epochs,
                    "losses": {"total": report.losses["cross_entropy"], **report.losses},
                    "validation": None,
                    "step": report.step,
                    "seconds_a_step": (time.monotonic() - began) / max(1, report.step),
                },
                "is_last": is_last,
            }
            # The state of a whole encoder is too large to be stored every few seconds.
            if is_last or is_full or time.monotonic() - saved_at < plan.checkpoint_seconds:
                continue
            self.training.check_data()
            self.training.workdir.write_bytes(checkpoint_file(self.name), trainer.checkpoint())
            yield {"type": "checkpoint", "file": checkpoint_file(self.name)}
            saved_at = time.monotonic()
        yield {
            "type": "finished",
            "files": self._write(trainer.network, trainer.result()),
            "replaces": checkpoint_file(self.name),
        }

    def _trainer(self) -> LoraTrainer:
        longest = self.config.max_tokens
        tokens = [self.opened.tokens[TRAIN][row][:longest] for row in self.rows.learnt]
        y = np.asarray(self.training.dataset.splits[TRAIN].y)[self.rows.learnt]
        start = self._start(y)

        def begin(checkpoint: bytes | None) -> LoraTrainer:
            return LoraTrainer(
                self.opened.network,
                tokens,
                y,
                start=start,
                config=self.config,
                full=self.name == FULL_FINETUNING,
                checkpoint=checkpoint,
            )

        name = checkpoint_file(self.name)
        if self.training.workdir.has(name):
            try:
                return begin(self.training.workdir.read_bytes(name))
            except CheckpointError as error:
                logger.warning("checkpoint.unusable name=%s reason=%s", self.name, error)
        return begin(None)

    def _start(self, y: NDArray[np.int64]) -> Head:
        """The solved linear probe on the rows that are learnt from.

        One factor scales all columns: some encoders have columns that are nothing but rounding,
        and dividing these by their deviation would give them gradients beyond all bounds.
        """
        config = TuneConfig.from_preset("linear_probe", scaling="rms", seed=self.config.seed)
        x = np.asarray(self.training.dataset.splits[TRAIN].x)[self.rows.learnt]
        trainer = Trainer(x, y, classes=self.training.dataset.classes, config=config)
        for _ in trainer:
            pass
        return trainer.result().head.calibrated(1.0)

    def _write(self, network: EncoderNetwork, fit: LoraFit) -> list[str]:
        tokens = [self.opened.tokens[self.rows.judged_split][row] for row in self.rows.judged]
        y = np.asarray(self.training.dataset.splits[self.rows.judged_split].y)[self.rows.judged]
        about: dict[str, Any] = {"config": self.config.to_dict(), "strength": 1.0}
        adapter, head, held_out = fit.adapter, fit.head, None
        if adapter is None:
            if len(tokens):
                logits = head.logits(network.encode(tokens))
                held_out = HeldOut(logits=logits, y=y.astype(np.int64), n_train_rows=0)
        elif len(tokens) and self.config.preset != "reference":
            chosen = choose_strength(network, fit, tokens, y)
            adapter, head = adapter.at(chosen.strength), fit.head_at(chosen.strength)
            held_out = chosen.held_out
            about |= {
                "strength": chosen.strength,
                "loss_by_strength": {f"{at:g}": loss for at, loss in chosen.losses.items()},
            }
        elif len(tokens):
            logits = head.logits(network.encode(tokens, adapter))
            held_out = HeldOut(logits=logits, y=y.astype(np.int64), n_train_rows=0)
        calibration = calibrate(held_out)
        about |= {"n_parameters": 0, "encoder": None, "n_learnt": len(self.rows.learnt)}
        head = head.calibrated(calibration.temperature)
        if adapter is not None:
            about |= {
                "n_parameters": adapter.n_parameters,
                "encoder": self.opened.record(network, adapter),
            }
            head = head.with_adapter(adapter.to_bytes())
        self._write_vectors(network, adapter)
        self.training.check_data()
        workdir = self.training.workdir
        files = [vectors_file(self.name), head_file(self.name), result_file(self.name)]
        workdir.write_bytes(head_file(self.name), head.to_bytes())
        if held_out is not None:
            workdir.write_bytes(held_out_file(self.name), held_out.to_bytes())
            files.append(held_out_file(self.name))
        workdir.write_json(
            result_file(self.name),
            {
                "train_seconds": fit.seconds,
                "history": [one.to_dict() for one in _by_epoch(fit.history)],
                "notes": _notes(self.rows, about, calibration.note),
                "adapted": about,
                "has_held_out": held_out is not None,
            },
        )
        return files

    def _write_vectors(self, network: EncoderNetwork, adapter: Adapter | None) -> None:
        """The vectors of all splits, as a dataset file."""
        dataset, path = self.training.dataset, self.training.workdir / vectors_file(self.name)
        beside = path.with_suffix(".writing")
        with DatasetWriter(
            beside,
            classes=dataset.classes,
            n_columns=network.architecture.width,
            dtype=np.float32,
            splits=[(name, len(arrays.y)) for name, arrays in dataset.splits.items()],
        ) as writer:
            for name, arrays in dataset.splits.items():
                writer.y(name)[:] = arrays.y
                writer.x(name)[:] = network.encode(self.opened.tokens[name], adapter)
        beside.replace(path)


def _notes(rows: _Rows, about: dict[str, Any], calibrated: str) -> list[str]:
    notes = []
    if rows.judged_split == TRAIN:
        notes.append(
            f"The encoder was adapted to {len(rows.learnt):,} of the training texts; the other "
            f"{len(rows.judged):,} judged it."
        )
    if "loss_by_strength" in about:
        notes.append(
            f"Of the adapter's strengths 0, 1/4, 1/2, 3/4 and 1, {about['strength']:g} had the "
            "least log loss on held-out texts."
        )
    return [*notes, calibrated]


def _by_epoch(history: tuple[LoraReport, ...]) -> list[EpochReport]:
    """One report an epoch: the means of its steps' losses."""
    found = []
    for epoch in range(1, history[-1].n_epochs + 1):
        parts = [one for one in history if one.epoch == epoch]
        names = parts[0].losses
        losses = {name: float(np.mean([one.losses[name] for one in parts])) for name in names}
        found.append(
            EpochReport(
                epoch=epoch,
                n_epochs=history[-1].n_epochs,
                losses={"total": losses["cross_entropy"], **losses},
                learning_rate=None,
                l2=None,
                validation=None,
                seconds=sum(one.seconds for one in parts),
            )
        )
    return found


def _read(training: Training, name: str) -> FinishedCandidate | None:
    """A finished candidate with the head read from its bytes; None if it must be trained."""
    workdir = training.workdir
    if not all(
        workdir.has(one) for one in (head_file(name), result_file(name), vectors_file(name))
    ):
        return None
    try:
        result = workdir.read_json(result_file(name))
        held_out = None
        if result.pop("has_held_out"):
            held_out = HeldOut.from_bytes(workdir.read_bytes(held_out_file(name)))
        head = Head.from_bytes(workdir.read_bytes(head_file(name)))
        return FinishedCandidate(trained=CandidateResult(head=head, **result), held_out=held_out)
    except (HeadFormatError, ValueError, KeyError, FileNotFoundError) as error:
        logger.warning("candidate.retrain name=%s reason=%s", name, error)
        return None

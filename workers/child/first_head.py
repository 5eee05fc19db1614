"""The head of a job before all else: train what it is made of, choose, equip it, hand it over."""

import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nmtune import Candidates, Choice, Head, LabelErrors
from nmtune.encoder.candidates import LoraCandidates
from nmtune.heads.class_shares import shares_of
from nmtune.report.comparison import Score
from nmtune.training import choose as choosing
from nmtune.training.candidates import ROBUST
from nmtune.vocabulary import FROZEN_AUTO, TRAIN
from workers.child import adapting, publication, scoring
from workers.child.candidate import FinishedCandidate, Message, Training
from workers.child.report import CandidateResult, compose
from workers.folder import PUBLISHED, REPORT_SO_FAR

MISSING = ("comparison", "verdict", "spectra", "findings", "abstention", "rows", "map")
"""What a report has not got while the head is out and the rest is still to come."""


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The published head, what it is made of, and how it was chosen.

    finished: the candidates that it is made of, and itself as `method`. noise: the noise matrix
    that it is calibrated through, if it is.
    """

    method: str
    head: Head
    finished: Mapping[str, FinishedCandidate]
    scores: Mapping[str, Score]
    errors: LabelErrors | None
    choice: Choice | None
    noise: NDArray[np.float64] | None


def choose(
    training: Training,
    candidates: Candidates,
    *,
    lora: LoraCandidates | None = None,
    started_at: float,
) -> Generator[Message, None, Chosen]:
    """Train what the head is made of and hand it over, or take it from an earlier attempt.

    lora: what adapts the encoder, to choose from as well. started_at: by `time.monotonic`, for the
    report.
    """
    method, workdir = candidates.method, training.workdir
    finished, errors, choice = yield from train(training, candidates)
    noise = choosing.noise_of(errors) if choice else None
    if choice is not None:
        finished[method] = blend(choice, finished, noise)
    if lora is not None:
        choice = yield from _adapt(training, lora, finished, method, noisy=noise is not None)
        noise = None if method in training.adapted else noise
    dataset = training.rows_of(method)
    one = finished[method]
    is_out = workdir.has(PUBLISHED)
    if is_out:  # that head, even if this machine would choose another
        one = _with_head(one, Head.from_bytes(workdir.read_bytes(PUBLISHED)))
    scores = scoring.score(one.trained, dataset)
    if not is_out:
        predicted = one.trained.predictions[TRAIN].predicted
        one = _with_head(
            one,
            publication.equip(
                one.trained.head, dataset, one.held_out, predicted=predicted, noise=noise
            ),
        )
        workdir.write_bytes(PUBLISHED, one.trained.head.to_bytes())
        report = compose(
            training.plan,
            method=method,
            machine=training.machine,
            classes=training.dataset.classes,
            trained={method: one.trained},
            scores={method: scores},
            raw={},
            seconds=time.monotonic() - started_at,
            class_shares=shares_of(training.dataset.splits[TRAIN].y, dataset.classes),
            choice=choice.to_dict() if choice else None,
            missing=MISSING,
        )
        workdir.write_json(REPORT_SO_FAR, report)
        training.check_data()
        yield {"type": "head", "file": PUBLISHED, "report": REPORT_SO_FAR}
    finished[method] = one
    return Chosen(
        method=method,
        head=one.trained.head,
        finished=finished,
        scores=scores,
        errors=errors,
        choice=choice,
        noise=noise,
    )


def train(
    training: Training, candidates: Candidates
) -> Generator[
    Message, None, tuple[dict[str, FinishedCandidate], LabelErrors | None, Choice | None]
]:
    """Train what the head is made of; search the labels for errors; let `auto` choose."""
    finished: dict[str, FinishedCandidate] = {}
    errors, noisy = None, False
    for name in candidates.of_head:
        if name in ROBUST and not noisy:
            training.leave_out(name)
            continue
        finished[name] = yield from training.candidate(name, candidates.configs[name])
        held_out = finished[name].held_out
        if name == "linear_probe" and held_out is not None:
            errors = choosing.label_errors(held_out)
            noisy = choosing.labels_look_noisy(errors)
    choice = None
    if candidates.method == "auto":
        known = {name: one.held_out for name, one in finished.items() if one.held_out}
        choice = choosing.choose(known, noisy=noisy)
    return finished, errors, choice


def _adapt(
    training: Training,
    lora: LoraCandidates,
    finished: dict[str, FinishedCandidate],
    method: str,
    *,
    noisy: bool,
) -> Generator[Message, None, Choice]:
    """Adapt the encoder too; `method` becomes what held-out texts choose of all."""
    finished[FROZEN_AUTO] = frozen = finished.pop(method)
    adapted = yield from adapting.adapt(training, lora, frozen, noisy=noisy)
    finished |= adapted.finished
    training.adapted.update(adapted.datasets)
    (name,) = adapted.choice.weights
    if name in adapted.datasets:
        training.adapted[method] = adapted.datasets[name]
    chosen = finished[name]
    notes = [adapted.choice.reason, *chosen.trained.notes]
    finished[method] = replace(chosen, trained=replace(chosen.trained, notes=notes))
    return adapted.choice


def blend(
    choice: Choice,
    finished: Mapping[str, FinishedCandidate],
    noise: NDArray[np.float64] | None,
) -> FinishedCandidate:
    """The head of `auto`, as it will be served."""
    heads = {name: one.trained.head for name, one in finished.items()}
    held_out = {name: one.held_out for name, one in finished.items() if one.held_out}
    head, calibration = choosing.blend(choice, heads, held_out, noise=noise)
    weighed = [*choice.weights, *(one.candidate for one in choice.evidence)]
    trained = CandidateResult(
        head=Head.from_bytes(head.to_bytes()),
        train_seconds=sum(finished[name].trained.train_seconds for name in dict.fromkeys(weighed)),
        history=[],
        notes=[choice.reason, calibration.note],
    )
    return FinishedCandidate(
        trained=trained, held_out=choosing.held_out_of_blend(choice, heads, held_out)
    )


def _with_head(one: FinishedCandidate, head: Head) -> FinishedCandidate:
    return replace(one, trained=replace(one.trained, head=head))

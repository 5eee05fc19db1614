"""Rank the encoders of a comparison: train for each the head it would get, judge all on the same
rows.

What a training leaves in an encoder's folder is what the job's own training finds there later, if
the encoder is chosen: nothing is trained twice.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nmtune import Candidates, DataError, Evaluation
from nmtune.numeric import runtime
from nmtune.numeric.runtime import Runtime
from nmtune.report.comparison import Pair, Score, compare_pairs, mean_ood_accuracy
from nmtune.report.encoder_choice import ComparedEncoder, RankedEncoder, choose_encoder
from nmtune.training import choose as choosing
from nmtune.vocabulary import ID_SPLIT
from store.files.dataset import DatasetFile
from workers.child import first_head, scoring
from workers.child.candidate import Message, Training
from workers.child.train import check_memory, load, workload
from workers.folder import ENCODERS, ComparisonInstructions, EncoderToCompare, Workdir

STAGE: Final = "ranking"

_SHOWN: Final = ("n_rows", "accuracy", "macro_f1", "log_loss", "ece")


@dataclass(frozen=True, kw_only=True)
class _Judged:
    """An encoder's head: its losses on the held-out rows, its results on every split."""

    encoder: EncoderToCompare
    n_columns: int
    losses: NDArray[np.float64]
    accuracy: float
    weights: Mapping[str, float]
    n_parameters: int
    labels_look_noisy: bool
    evaluations: Mapping[str, Evaluation]
    scores: Mapping[str, Score]


def run(workdir: Workdir) -> Iterator[Message]:
    """Carry out the folder's plan, yielding messages on the way; leaves what it found in ENCODERS.

    Raises DataError if the rows are too few, or differ from encoder to encoder.
    """
    yield {"type": "stage", "stage": STAGE}
    encoders = ComparisonInstructions.load(workdir).encoders
    first = encoders[0].training
    machine = runtime.prepare(device=first.device, n_threads=first.n_threads)
    datasets = [load(one.training) for one in encoders]
    for one, dataset in zip(encoders, datasets, strict=True):
        _check_rows(one, dataset, encoders[0], datasets[0])
    judged = []
    for number, (one, dataset) in enumerate(zip(encoders, datasets, strict=True)):
        folder = Workdir(workdir / one.folder)
        folder.path.mkdir(exist_ok=True)
        work = _judge(one, folder, dataset, machine)
        judged.append(
            (yield from _told(work, encoder=one, number=number, n_encoders=len(encoders)))
        )
    workdir.write_json(ENCODERS, _found(judged))


def _judge(
    encoder: EncoderToCompare, folder: Workdir, dataset: DatasetFile, machine: Runtime
) -> Generator[Message, None, _Judged]:
    """Train what the encoder's head is made of, blend it, and apply it to every split."""
    asked = Candidates.from_dict(encoder.training.candidates)
    candidates = Candidates(
        method=asked.method,
        configs={name: asked.configs[name] for name in asked.of_head},
        compare=False,
    )
    yield {"type": "memory", **check_memory(candidates, dataset)}
    training = Training(folder, encoder.training, dataset, machine, workload(candidates, dataset))
    finished, errors, choice = yield from first_head.train(training, candidates)
    if choice is None or not choice.n_rows:
        raise DataError(
            "there are too few training rows to compare encoders: their heads are judged by "
            "cross-validation, which needs two rows of a class; add labelled rows",
            field="splits",
        )
    one = first_head.blend(choice, finished, choosing.noise_of(errors))
    scores = scoring.score(one.trained, dataset)
    head, held_out = one.trained.head, one.held_out
    assert held_out is not None  # noqa: S101 - the choice rests on it
    return _Judged(
        encoder=encoder,
        n_columns=dataset.n_columns,
        losses=held_out.tempered(head.temperature).losses,
        accuracy=held_out.accuracy,
        weights=choice.weights,
        n_parameters=head.n_parameters,
        labels_look_noisy=choice.labels_look_noisy,
        evaluations=one.trained.evaluations,
        scores=scores,
    )


def _told(
    work: Generator[Message, None, _Judged],
    *,
    encoder: EncoderToCompare,
    number: int,
    n_encoders: int,
) -> Generator[Message, None, _Judged]:
    """The messages of one encoder's training as those of the whole comparison."""
    while True:
        try:
            message = next(work)
        except StopIteration as end:
            judged: _Judged = end.value
            return judged
        match message:
            case {"type": "progress", "progress": progress}:
                shown = {
                    **progress,
                    "encoder": encoder.name,
                    "fraction": (number + progress["fraction"]) / n_encoders,
                    "eta_seconds": None,
                }
                yield {**message, "progress": shown}
            case {"type": "checkpoint", "file": name}:
                yield {**message, "file": f"{encoder.folder}/{name}"}
            case {"type": "finished", "files": names, "replaces": replaced}:
                files = [f"{encoder.folder}/{name}" for name in names]
                yield {**message, "files": files, "replaces": f"{encoder.folder}/{replaced}"}
            case _:
                yield message


def _check_rows(
    one: EncoderToCompare, dataset: DatasetFile, first: EncoderToCompare, its: DatasetFile
) -> None:
    """Raise DataError unless the rows are those of the first encoder: embeddings aside, all."""
    same = list(dataset.classes) == list(its.classes) and list(dataset.splits) == list(its.splits)
    if not same or any(
        not np.array_equal(arrays.y, its.splits[name].y) for name, arrays in dataset.splits.items()
    ):
        raise DataError(
            f"{one.name} has not the same rows as {first.name}: encoders are compared on the same "
            "rows, with the same labels and splits, in the same order",
            field="encoders",
        )


def _found(judged: Sequence[_Judged]) -> dict[str, Any]:
    """The choice, each encoder by rank, and the pairs with the best; ready for JSON."""
    choice = choose_encoder(
        [
            ComparedEncoder(
                name=one.encoder.name,
                losses=one.losses,
                n_columns=one.n_columns,
                cost=one.encoder.cost,
            )
            for one in judged
        ]
    )
    by_name = {one.encoder.name: one for one in judged}
    scores = {name: one.scores for name, one in by_name.items()}
    best, *others = [one.name for one in choice.ranking]
    # Test and OOD rows had no part in the choice, so nothing is widened for it.
    pairs = compare_pairs(
        scores,
        [Pair(name, best) for name in others],
        id_split=ID_SPLIT if ID_SPLIT in scores[best] else None,
    )
    return {
        "chosen": choice.chosen,
        "best": best,
        "reason": choice.reason,
        "n_held_out_rows": choice.n_rows,
        "compared": [_shown(place, by_name[place.name]) for place in choice.ranking],
        "comparison": [one.to_dict() for one in pairs],
    }


def _shown(place: RankedEncoder, one: _Judged) -> dict[str, Any]:
    metrics = {split: found.to_dict() for split, found in one.evaluations.items()}
    return {
        "name": place.name,
        "n_columns": one.n_columns,
        "held_out": {
            "accuracy": one.accuracy,
            "log_loss": place.log_loss,
            "difference": place.difference,
            "interval": None if place.interval is None else list(place.interval),
            "ties": place.ties,
        },
        "ood_accuracy": mean_ood_accuracy(one.scores),
        "metrics": {
            split: {name: found[name] for name in _SHOWN} for split, found in metrics.items()
        },
        "made_of": dict(one.weights),
        "n_parameters": one.n_parameters,
        "labels_look_noisy": one.labels_look_noisy,
    }

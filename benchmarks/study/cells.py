"""The cells of a study: pre-train their encoders, adapt them in every way, and judge them."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import torch

from benchmarks.study import heads, texts, tuning
from benchmarks.study.encoders import ConvNet, Encoder, WordBag
from benchmarks.study.noise import Confusions, as_labels, noisy
from benchmarks.study.pretraining import Models, pretrain
from benchmarks.study.sizes import CLEAN, Size
from benchmarks.study.task import TEST, TRAIN, Task

METHODS: Final = (*heads.PROBES, *heads.NETWORKS, *tuning.METHODS)


@dataclass(frozen=True, order=True)
class Cell:
    """One pre-trained model: its seed, the kind of noise and its level."""

    seed: int
    kind: str
    level: float


def cells_of(size: Size) -> list[Cell]:
    """All cells; those of a seed side by side, for they are compared with each other."""
    conditions = [(CLEAN, 0.0), *((kind, level) for kind in size.kinds for level in size.levels)]
    return [Cell(seed, kind, level) for seed in range(size.n_seeds) for kind, level in conditions]


def groups_of(cells: Sequence[Cell], at_a_time: int) -> Iterator[Sequence[Cell]]:
    """The cells to be trained side by side."""
    for start in range(0, len(cells), at_a_time):
        yield cells[start : start + at_a_time]


def encoder_of(size: Size, task: Task) -> Encoder:
    """The encoder of this size."""
    if size.reads == "pictures":
        return ConvNet(size.widths, size.blocks, stem_stride=size.stem_stride)
    return WordBag(1 + int(task.pretraining[TRAIN].x.max()), size.widths)


def text_task(size: Size) -> Task:
    """The bundled sentences, as many as the size takes."""
    return texts.task(
        texts.read(),
        downstream_rows=size.downstream_rows,
        rows_of_a_class=size.rows_of_a_class,
    )


def run(size: Size, task: Task, cells: Sequence[Cell], found: Confusions) -> list[dict[str, Any]]:
    """One line of results for each cell, all trained side by side."""
    started = time.perf_counter()
    encoder = encoder_of(size, task)
    rows = task.pretraining[TRAIN]
    true = rows.y.cpu().numpy()
    labels = [
        noisy(
            true,
            kind=cell.kind,
            level=cell.level,
            seed=cell.seed,
            n_classes=task.n_pretraining_classes,
            found=found,
        )
        for cell in cells
    ]
    models = pretrain(
        encoder,
        rows.x,
        as_labels(labels, rows.y.device),
        n_classes=task.n_pretraining_classes,
        seeds=[cell.seed for cell in cells],
        steps=size.pretraining,
    )
    tested = task.pretraining[TEST]
    right = (models.logits(tested.x).argmax(2) == tested.y).double().mean(1).tolist()
    by_cell = _adapted(size, task, cells, models)
    seconds = (time.perf_counter() - started) / len(cells)
    return [
        {
            "study": size.digest,
            **asdict(cell),
            "realised": float((one != true).mean()),
            "pretraining_accuracy": accuracy,
            "methods": methods,
            "seconds": round(seconds, 2),
        }
        for cell, one, accuracy, methods in zip(cells, labels, right, by_cell, strict=True)
    ]


def _adapted(
    size: Size, task: Task, cells: Sequence[Cell], models: Models
) -> list[dict[str, heads.Found]]:
    """Method to what was found, for each cell."""
    seeds = [cell.seed for cell in cells]
    splits = {split: models.features(rows.x) for split, rows in task.downstream.items()}
    y = {split: rows.y.cpu().numpy() for split, rows in task.downstream.items()}
    own = [
        {split: heads.as_rows(seen[index]) for split, seen in splits.items()}
        for index in range(len(cells))
    ]
    fitted = {
        method: [
            heads.fit_probe(method, one[TRAIN], y[TRAIN], classes=task.classes, seed=seed)
            for one, seed in zip(own, seeds, strict=True)
        ]
        for method in heads.PROBES
    } | {
        method: heads.fit_networks(
            method,
            splits[TRAIN],
            task.downstream[TRAIN].y,
            classes=task.classes,
            seeds=seeds,
            epochs=size.head_epochs,
        )
        for method in heads.NETWORKS
    }
    by_cell = [
        {method: heads.judged_head(of_cell[index], one, y) for method, of_cell in fitted.items()}
        for index, one in enumerate(own)
    ]
    maps = [heads.linear_map(head) for head in fitted["linear_probe"]]
    start = (torch.stack([w for w, _ in maps]), torch.stack([b for _, b in maps]))
    for method, way in tuning.ways(size.rank).items():
        tuned = tuning.tune(
            models.encoder,
            models.weights,
            task.downstream[TRAIN],
            start=start,
            way=way,
            steps=size.full if way.rank is None else size.lora,
            seeds=seeds,
        )
        for found, one in zip(by_cell, _judged(tuned, task, y), strict=True):
            found[method] = one
    return by_cell


def _judged(tuned: tuning.Tuned, task: Task, y: Mapping[str, Any]) -> list[heads.Found]:
    """What was found for each of the fine-tuned models."""
    seen = {
        split: tuned.features(rows.x) for split, rows in task.downstream.items() if split != TRAIN
    }
    classes = {split: tuned.predictions(one).cpu().numpy() for split, one in seen.items()}
    return [
        heads.judged(
            {split: found[index] for split, found in classes.items()},
            {split: heads.as_rows(one[index]) for split, one in seen.items()},
            y,
        )
        for index in range(len(tuned.weight))
    ]

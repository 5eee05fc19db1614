"""Time until a head is as accurate as the published loop's head at its end.

Every training is a process of its own, told a file of rows and what to train; it answers with the
seconds and the validation accuracy after each epoch. Reading rows and importing are not counted.
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from reference_loop import BATCH_SIZE, EPOCHS, ReferenceLoop

import nmtune
from nmtune import TuneConfig
from nmtune.numeric import runtime

REFERENCE = "reference loop"
WIDER = {"batch_size": 256, "learning_rate": 2e-3}
HEADS: dict[str, tuple[str, dict[str, Any]]] = {
    "linear_probe": ("linear_probe", {}),
    "whitened_probe": ("whitened_probe", {}),
    "mlp_ensemble": ("mlp_ensemble", {}),
    "NMTune, paper": ("paper", {}),
    "NMTune, reference": ("reference", {}),
    "NMTune, paper, 5 epochs": ("paper", {"epochs": 5}),
    "NMTune, reference, 5 epochs": ("reference", {"epochs": 5}),
    "NMTune, paper, batch 256": ("paper", WIDER),
    "NMTune, reference, batch 256": ("reference", WIDER),
}
"""Name of each row of the table: preset and what is changed of it."""


class Curve(NamedTuple):
    """Seconds since the training's start and validation accuracy, at the end of each epoch.

    An epoch of a probe or an ensemble gives no head, so those have their end alone.
    """

    seconds: list[float]
    accuracy: list[float]

    def reaches(self, target: float) -> tuple[float, int] | None:
        """The seconds and the number of the first epoch that is as accurate as target."""
        for epoch, (seconds, accuracy) in enumerate(zip(*self, strict=True), start=1):
            if accuracy >= target:
                return seconds, epoch
        return None


def measure(path: Path, *, budget: float, repeats: int) -> list[list[str]]:
    """Rows of the table for one file; the reference may train for `budget` seconds."""
    epochs = _epochs_within(path, budget)
    shortened = {} if epochs == EPOCHS else {"epochs": epochs}
    curves: dict[str, list[Curve]] = {}
    for _ in range(repeats):
        for name in (REFERENCE, *HEADS):
            preset, changes = HEADS.get(name, (REFERENCE, {}))
            if name == REFERENCE:
                changes = {"epochs": epochs}
            elif name.startswith("NMTune"):
                changes = shortened | changes
                if changes.get("epochs", EPOCHS) > epochs:
                    continue
            curves.setdefault(name, []).append(_train(path, preset, changes))
            print(f"{path.stem} {name}: {_shown(curves[name][-1])}", flush=True)
    return _rows(path.stem, epochs, curves)


def _rows(title: str, epochs: int, curves: dict[str, list[Curve]]) -> list[list[str]]:
    target = statistics.median(curve.accuracy[-1] for curve in curves[REFERENCE])
    whole = statistics.median(curve.seconds[-1] for curve in curves[REFERENCE])
    rows = []
    for name, runs in curves.items():
        reached = [run.reaches(target) for run in runs]
        final = statistics.median(run.accuracy[-1] for run in runs)
        total = statistics.median(run.seconds[-1] for run in runs)
        cells = [title, f"{name}, {epochs} epochs" if name == REFERENCE else name]
        cells += [f"{100 * final:.1f}", f"{total:.2f}"]
        if all(reached):
            seconds = statistics.median(one[0] for one in reached if one)
            at = statistics.median_low([one[1] for one in reached if one])
            cells += [
                f"{seconds:.2f} (epoch {at})" if len(runs[0].seconds) > 1 else f"{seconds:.2f}"
            ]
            cells += [f"{whole / seconds:.1f}"]
        else:
            cells += ["not reached", "-"]
        rows.append(cells)
    return rows


HEAD = (
    "set",
    "trained",
    "accuracy, %",
    "whole training, s",
    "reached the target after, s",
    "times faster",
)


def _shown(curve: Curve) -> str:
    return f"{100 * curve.accuracy[-1]:.2f} % after {curve.seconds[-1]:.2f} s"


def _epochs_within(path: Path, budget: float) -> int:
    """How many epochs of the reference a budget allows, by the time of its first steps."""
    step = _train(path, REFERENCE, {"epochs": 0}).seconds[-1]
    with np.load(path, allow_pickle=False) as arrays:
        n_steps = -(-len(arrays["train_y"]) // BATCH_SIZE)
    return max(1, min(EPOCHS, int(budget / (step * n_steps))))


def _train(path: Path, preset: str, changes: dict[str, Any]) -> Curve:
    command = [sys.executable, str(Path(__file__)), str(path), preset, json.dumps(changes)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Curve(**json.loads(done.stdout.splitlines()[-1]))


def read(path: Path) -> tuple[list[Any], list[str]]:
    """Training and validation rows (x, y, x, y) and class names of a file.

    Without a split `validation` it is a stratified tenth of the training rows.
    """
    with np.load(path, allow_pickle=False) as arrays:
        splits = {
            name: (arrays[f"{name}_x"].astype(np.float32), arrays[f"{name}_y"].astype(np.int64))
            for name in ("train", "validation")
            if f"{name}_x" in arrays
        }
        classes = [str(name) for name in arrays["class_names"]]
    x, y = splits["train"]
    if "validation" in splits:
        return [x, y, *splits["validation"]], classes
    kept, held_out = nmtune.stratified_split(y, fraction=0.1, seed=0)
    return [x[kept], y[kept], x[held_out], y[held_out]], classes


def synthetic(path: Path, *, n_rows: int, n_columns: int, n_classes: int = 20) -> None:
    """Write rows like an encoder's: a common direction, classes and spread of falling strength.

    One row in ten has a wrong label; the 5,000 validation rows have none.
    """
    random = np.random.default_rng(0)
    n_validation = 5000
    n = n_rows + n_validation
    strength = np.arange(1, n_columns + 1) ** -0.5
    y = random.integers(0, n_classes, n)
    x = random.standard_normal((n, n_columns), dtype=np.float32)
    x += 0.25 * random.standard_normal((n_classes, n_columns)).astype(np.float32)[y]
    turn, _ = np.linalg.qr(random.standard_normal((n_columns, n_columns)))
    x = (x * strength).astype(np.float32) @ turn.astype(np.float32)
    x += random.standard_normal(n_columns).astype(np.float32) * 0.1
    given = y.copy()
    wrong = random.random(n) < 0.1
    given[wrong] = random.integers(0, n_classes, int(wrong.sum()))
    np.savez(
        path,
        train_x=x[:n_rows],
        train_y=given[:n_rows],
        validation_x=x[n_rows:],
        validation_y=y[n_rows:],
        class_names=np.array([str(index) for index in range(n_classes)]),
    )


def _reference(rows: Sequence[Any], n_classes: int, epochs: int) -> Iterable[float]:
    x, y, validation_x, validation_y = (torch.from_numpy(part) for part in rows)
    loop = ReferenceLoop(x, y, n_classes=n_classes, epochs=epochs or 1000)
    if epochs == 0:  # the time of a step is asked for
        steps = loop.epoch()
        for _ in range(3):
            next(steps)
        started = time.perf_counter()
        for _ in range(10):
            next(steps)
        return [(time.perf_counter() - started) / 10]
    return _epoch_by_epoch(loop, epochs, validation_x, validation_y)


def _epoch_by_epoch(loop: ReferenceLoop, epochs: int, x: Any, y: Any) -> Iterable[float]:
    for _ in range(epochs):
        for _ in loop.epoch():
            pass
        yield loop.accuracy(x, y)


def _ours(rows: Sequence[Any], classes: list[str], config: TuneConfig) -> Iterable[float]:
    x, y, validation_x, validation_y = rows
    trainer = nmtune.Trainer(
        x, y, classes=classes, config=config, validation=(validation_x, validation_y)
    )
    for report in trainer:
        if config.transform in ("mlp", "residual_mlp"):
            assert report.validation is not None
            yield report.validation["accuracy"]
    if config.transform not in ("mlp", "residual_mlp"):
        predicted = trainer.result().head.predict_proba(validation_x).argmax(axis=1)
        yield float((predicted == validation_y).mean())


def _answer(path: Path, preset: str, changes: dict[str, Any]) -> Curve:
    rows, classes = read(path)
    if preset == REFERENCE and changes["epochs"] == 0:
        return Curve(list(_reference(rows, len(classes), 0)), [0.0])
    curve = Curve([], [])
    if preset != REFERENCE:
        runtime.prepare(device="cpu")
    started = time.perf_counter()
    if preset == REFERENCE:
        accuracies = _reference(rows, len(classes), changes["epochs"])
    else:
        accuracies = _ours(rows, classes, TuneConfig.from_preset(preset, **changes))
    for accuracy in accuracies:
        curve.seconds.append(time.perf_counter() - started)
        curve.accuracy.append(accuracy)
    return curve


if __name__ == "__main__":
    print(json.dumps(_answer(Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3]))._asdict()))

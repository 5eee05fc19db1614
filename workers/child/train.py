"""Run a training job: load, train every candidate, evaluate, take spectra, report."""

import time
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmtune import Candidates, Choice, DataError, Head, HeldOut, LabelErrors, evaluate, spectrum
from nmtune.heads.class_shares import shares_of
from nmtune.numeric import runtime
from nmtune.report.comparison import Score
from nmtune.training import choose
from nmtune.training.candidates import ROBUST
from nmtune.training.peak_memory import peak_bytes
from nmtune.vocabulary import TRAIN, VALIDATION
from store.files.dataset import DatasetFile, Embeddings
from workers import memory
from workers.child import (
    abstention,
    findings,
    map_points,
    new_domain,
    publication,
    row_values,
    trust,
)
from workers.child.candidate import FinishedCandidate, Message, Training
from workers.child.progress import Workload
from workers.child.report import CandidateResult, Spectra, compose
from workers.child.row_names import RowNames
from workers.folder import MAP, MAP_POINTS, REPORT, ROWS, TrainingInstructions, Workdir, head_file

BLOCK_VALUES = 1 << 24  # embeddings passed to a head at a time: 64 MiB of float32


def run(workdir: Workdir) -> Iterator[Message]:
    """Carry out the folder's plan, yielding messages on the way.

    Leaves the report and each candidate's head in the folder. Raises ConfigError, DataError or
    DivergenceError if the user's settings or rows are at fault, ArtifactCorrupt if the stored rows
    have changed.
    """
    started_at = time.monotonic()
    yield _stage("loading")
    plan = TrainingInstructions.load(workdir)
    machine = runtime.prepare(device=plan.device, n_threads=plan.n_threads)
    candidates = Candidates.from_dict(plan.candidates)
    dataset = _load(plan)
    yield {"type": "memory", **_check_memory(candidates, dataset)}

    yield _stage("training")
    training = Training(workdir, plan, dataset, machine, _workload(candidates, dataset))
    finished, errors, choice = yield from _train(training, candidates)
    if choice is not None:
        finished["auto"] = _blend(workdir, choice, finished, choose.noise_of(errors))
    trained = {name: one.trained for name, one in finished.items()}

    yield _stage("evaluating")
    scores = {name: _score(one, dataset) for name, one in trained.items()}
    names = RowNames.of(dataset, None if plan.texts_path is None else Path(plan.texts_path))
    found = findings.of_labels(errors, dataset, names) | findings.of_rows(dataset, names)
    del names  # frees its texts
    if "learning_curve" in candidates.analyses:
        name, config = _representative(candidates, choice)
        for curve in findings.of_more_labels(
            dataset, config, candidate=name, device=machine.device
        ):
            found |= curve

    yield _stage("spectra")
    raw: Spectra = {split: spectrum(arrays.x) for split, arrays in dataset.splits.items()}
    shown = findings.spectra_split(dataset.splits)
    for name, one in trained.items():
        for split, arrays in dataset.splits.items():
            tuned = _tuned(one.head, arrays.x)
            one.spectra[split] = spectrum(tuned)
            if (name, split) == (candidates.method, shown):
                found |= findings.of_classes(one.head, dataset, split=split, tuned=tuned)

    noise = choose.noise_of(errors) if choice else None
    published = _equip(workdir, finished, candidates.method, dataset, noise)
    found |= trust.of_splits(published, dataset, noisy=noise is not None)
    found |= new_domain.of_splits(published, dataset)
    report = compose(
        plan,
        method=candidates.method,
        machine=machine,
        classes=dataset.classes,
        trained=trained,
        scores=scores,
        raw=raw,
        seconds=time.monotonic() - started_at,
        class_shares=shares_of(dataset.splits[TRAIN].y, dataset.classes),
        choice=choice.to_dict() if choice else None,
        findings=found,
        abstention=_abstention(
            published, dataset, finished[candidates.method].held_out, scores[candidates.method]
        ),
    )
    rows = row_values.of_job(
        published,
        method=candidates.method,
        dataset=dataset,
        dataset_sha256=plan.dataset_sha256,
        finished=finished,
        errors=errors,
    )
    workdir.write_bytes(ROWS, rows.to_bytes())
    points = map_points.place(
        published,
        dataset,
        rows,
        tsne_seconds=plan.tsne_seconds,
        seed=published.configs[0].seed,
    )
    workdir.write_bytes(MAP, points.map.to_bytes())
    if points.is_pending:
        workdir.write_bytes(MAP_POINTS, points.to_bytes())
    training.check_data()
    workdir.write_json(REPORT, report)


def _stage(name: str) -> Message:
    return {"type": "stage", "stage": name}


def _load(plan: TrainingInstructions) -> DatasetFile:
    dataset = DatasetFile.open(Path(plan.dataset_path))
    if TRAIN not in dataset.splits:
        raise DataError("the data set has no split 'train' to learn from", field="splits")
    return dataset


def _check_memory(candidates: Candidates, dataset: DatasetFile) -> dict[str, int | None]:
    """Raise InsufficientMemoryError now, rather than be killed an hour later."""
    n_rows = {name: len(arrays.y) for name, arrays in dataset.splits.items()}
    needed = peak_bytes(
        candidates.configs.values(),
        n_rows=n_rows[TRAIN] + n_rows.get(VALIDATION, 0),
        n_columns=dataset.n_columns,
        n_classes=len(dataset.classes),
        most_rows=max(n_rows.values()),
    )
    return memory.check(needed)


def _workload(candidates: Candidates, dataset: DatasetFile) -> Workload:
    n_train = len(dataset.splits[TRAIN].y)
    n_rows = sum(len(arrays.y) for arrays in dataset.splits.values())
    return Workload(
        candidates.configs,
        n_columns=dataset.n_columns,
        n_classes=len(dataset.classes),
        n_rows=n_train,
        rows_ratio=n_rows / n_train,
    )


def _train(
    training: Training, candidates: Candidates
) -> Generator[
    Message, None, tuple[dict[str, FinishedCandidate], LabelErrors | None, Choice | None]
]:
    """Train every candidate in turn; search the labels for errors; let `auto` choose."""
    finished: dict[str, FinishedCandidate] = {}
    errors, noisy = None, False
    for name, config in candidates.configs.items():
        if name in ROBUST and not noisy:
            training.leave_out(name)
            continue
        finished[name] = yield from training.candidate(name, config)
        held_out = finished[name].held_out
        if name == "linear_probe" and held_out is not None:
            errors = choose.label_errors(held_out)
            noisy = choose.labels_look_noisy(errors)
    choice = None
    if candidates.method == "auto":
        known = {name: one.held_out for name, one in finished.items() if one.held_out}
        choice = choose.choose(known, noisy=noisy)
    return finished, errors, choice


def _blend(
    workdir: Workdir,
    choice: Choice,
    finished: Mapping[str, FinishedCandidate],
    noise: NDArray[np.float64] | None,
) -> FinishedCandidate:
    """The head of `auto`, written as it will be served."""
    heads = {name: one.trained.head for name, one in finished.items()}
    held_out = {name: one.held_out for name, one in finished.items() if one.held_out}
    head, calibration = choose.blend(choice, heads, held_out, noise=noise)
    data = head.to_bytes()
    workdir.write_bytes(head_file("auto"), data)
    weighed = [*choice.weights, *(one.candidate for one in choice.evidence)]
    trained = CandidateResult(
        head=Head.from_bytes(data),
        train_seconds=sum(finished[name].trained.train_seconds for name in dict.fromkeys(weighed)),
        history=[],
        notes=[choice.reason, calibration.note],
    )
    return FinishedCandidate(
        trained=trained, held_out=choose.held_out_of_blend(choice, heads, held_out)
    )


def _equip(
    workdir: Workdir,
    finished: Mapping[str, FinishedCandidate],
    method: str,
    dataset: DatasetFile,
    noise: NDArray[np.float64] | None,
) -> Head:
    """Write each candidate's head as it is served, so that each may be published; that of `method`.

    What they know of the training rows is learnt once. noise: the noise matrix that the head of
    `method` is calibrated through, if it is.
    """

    def equipped(name: str, like: Head | None = None) -> Head:
        one = finished[name]
        predicted = one.trained.predictions[TRAIN].predicted
        head = publication.equip(
            one.trained.head,
            dataset,
            one.held_out,
            predicted=predicted,
            like=like,
            noise=noise if name == method else None,
        )
        workdir.write_bytes(head_file(name), head.to_bytes())
        return head

    published = equipped(method)
    for name in finished:
        if name != method:
            equipped(name, like=published)
    return published


def _abstention(
    head: Head, dataset: DatasetFile, held_out: HeldOut | None, scores: Mapping[str, Score]
) -> dict[str, Any]:
    """The advice on which answers of the published head to withhold."""
    judged = {split: (one.confidence, one.correct) for split, one in scores.items()}
    return abstention.of_splits(head, publication.rows_held_out(head, dataset, held_out), judged)


def _representative(candidates: Candidates, choice: Choice | None) -> tuple[str, Any]:
    """The candidate whose learning curve is drawn: the published one, or the first of a blend."""
    name = next(iter(choice.weights)) if choice else candidates.method
    return name, candidates.configs[name]


def _score(one: CandidateResult, dataset: DatasetFile) -> dict[str, Score]:
    """Evaluate a head on every split; `one` keeps the evaluations, the scores are returned."""
    scores = {}
    for split, arrays in dataset.splits.items():
        probabilities = _probabilities(one.head, arrays.x)
        evaluation = evaluate(probabilities, arrays.y, dataset.classes)
        one.evaluations[split] = evaluation
        one.predictions[split] = row_values.predictions(probabilities, arrays.y)
        if one.head.temperature != 1:
            plain = _probabilities(one.head.calibrated(1.0), arrays.x)
            one.uncalibrated[split] = evaluate(plain, arrays.y, dataset.classes)
        scores[split] = Score(
            correct=probabilities.argmax(axis=1) == arrays.y,
            macro_f1=evaluation.macro_f1,
            confidence=probabilities.max(axis=1),
        )
    return scores


def _probabilities(head: Head, x: Embeddings) -> NDArray[np.float32]:
    return np.concatenate([head.predict_proba(block) for block in _blocks(x)])


def _tuned(head: Head, x: Embeddings) -> NDArray[np.float32]:
    """Z (n, m) of x (n, d), without a further copy in memory."""
    z = np.empty((len(x), head.n_tuned_columns), np.float32)
    start = 0
    for block in _blocks(x):
        z[start : start + len(block)] = head.transform(block)
        start += len(block)
    return z


def _blocks(x: Embeddings) -> Iterator[Embeddings]:
    n_rows = max(1, BLOCK_VALUES // x.shape[1])
    for start in range(0, len(x), n_rows):
        yield x[start : start + n_rows]

"""Run a training job: load, choose the head and hand it over; then compare it, and report."""

import time
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

from nmtune import Candidates, Choice, DataError, Head, HeldOut, LabelErrors, spectrum
from nmtune.encoder.candidates import LoraCandidates
from nmtune.heads.class_shares import shares_of
from nmtune.numeric import runtime
from nmtune.report.comparison import Score
from nmtune.training import choose
from nmtune.training.peak_memory import peak_bytes
from nmtune.vocabulary import (
    FROZEN_AUTO,
    FULL_FINETUNING,
    LORA,
    LORA_NMTUNE,
    TRAIN,
    VALIDATION,
)
from store.files.dataset import DatasetFile
from workers import memory
from workers.child import (
    abstention,
    findings,
    first_head,
    map_points,
    new_domain,
    publication,
    row_values,
    scoring,
    trust,
)
from workers.child.adapting import FROZEN_SHARE
from workers.child.candidate import FinishedCandidate, Message, Training
from workers.child.first_head import Chosen
from workers.child.progress import Workload
from workers.child.report import Spectra, compose
from workers.child.row_names import RowNames
from workers.folder import MAP, MAP_POINTS, REPORT, ROWS, TrainingInstructions, Workdir, head_file

_AFTER_FROZEN = (FROZEN_AUTO, LORA, LORA_NMTUNE, FULL_FINETUNING)


def run(workdir: Workdir) -> Iterator[Message]:
    """Carry out the folder's plan, yielding messages on the way.

    First comes what the head needs, and nothing else. Leaves the report and each candidate's head
    in the folder. Raises ConfigError, DataError or DivergenceError if the user's settings or rows
    are at fault, ArtifactCorrupt if the stored rows have changed.
    """
    started_at = time.monotonic()
    yield _stage("loading")
    plan = TrainingInstructions.load(workdir)
    machine = runtime.prepare(device=plan.device, n_threads=plan.n_threads)
    candidates = Candidates.from_dict(plan.candidates)
    asked = plan.candidates.get("lora")
    lora = None if asked is None else LoraCandidates.from_dict(asked)
    dataset = load(plan)
    yield {"type": "memory", **check_memory(candidates, dataset)}

    yield _stage("training")
    training = Training(workdir, plan, dataset, machine, workload(candidates, dataset, lora))
    chosen = yield from first_head.choose(training, candidates, lora=lora, started_at=started_at)
    served = training.rows_of(chosen.method)

    finished, errors = yield from _rest(training, candidates, chosen)
    trained = {name: one.trained for name, one in finished.items()}

    yield _stage("evaluating")
    scores = {
        name: chosen.scores if name == chosen.method else scoring.score(one, training.rows_of(name))
        for name, one in trained.items()
    }
    names = RowNames.of(dataset, None if plan.texts_path is None else Path(plan.texts_path))
    found = findings.of_labels(errors, dataset, names) | findings.of_rows(dataset, names)
    del names  # frees its texts
    if "learning_curve" in candidates.analyses:
        name, config = _representative(candidates, chosen.choice)
        for curve in findings.of_more_labels(
            dataset, config, candidate=name, device=machine.device
        ):
            found |= curve

    yield _stage("spectra")
    raw: Spectra = {split: spectrum(arrays.x) for split, arrays in dataset.splits.items()}
    shown = findings.spectra_split(dataset.splits)
    for name, one in trained.items():
        for split, arrays in training.rows_of(name).splits.items():
            tuned = scoring.tuned(one.head, arrays.x)
            one.spectra[split] = spectrum(tuned)
            if (name, split) == (candidates.method, shown):
                found |= findings.of_classes(one.head, served, split=split, tuned=tuned)

    published = chosen.head
    _equip(training, finished, chosen)
    found |= trust.of_splits(published, served, noisy=chosen.noise is not None)
    if candidates.compare or lora is not None:
        found |= new_domain.of_splits(published, served)
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
        choice=chosen.choice.to_dict() if chosen.choice else None,
        findings=found,
        abstention=_abstention(
            published, served, finished[candidates.method].held_out, scores[candidates.method]
        ),
    )
    rows = row_values.of_job(
        published,
        method=candidates.method,
        dataset=served,
        dataset_sha256=plan.dataset_sha256,
        finished=finished,
        errors=errors,
    )
    workdir.write_bytes(ROWS, rows.to_bytes())
    points = map_points.place(
        published,
        served,
        rows,
        tsne_seconds=plan.tsne_seconds,
        seed=published.configs[0].seed,
    )
    workdir.write_bytes(MAP, points.map.to_bytes())
    if points.is_pending:
        workdir.write_bytes(MAP_POINTS, points.to_bytes())
    training.check_data()
    workdir.write_json(REPORT, report)


def _rest(
    training: Training, candidates: Candidates, chosen: Chosen
) -> Generator[Message, None, tuple[dict[str, FinishedCandidate], LabelErrors | None]]:
    """Train what the published head is compared with; all candidates in the report's order."""
    finished, errors = dict(chosen.finished), chosen.errors
    others = [name for name in candidates.configs if name not in candidates.of_head]
    others = [name for name in others if name not in finished]
    if others:
        yield _stage("comparing")
    for name in others:
        finished[name] = yield from training.candidate(name, candidates.configs[name])
        held_out = finished[name].held_out
        if name == "linear_probe" and held_out is not None:
            errors = choose.label_errors(held_out)
    order = dict.fromkeys((*candidates.configs, *_AFTER_FROZEN, candidates.method))
    return {name: finished[name] for name in order if name in finished}, errors


def _stage(name: str) -> Message:
    return {"type": "stage", "stage": name}


def load(plan: TrainingInstructions) -> DatasetFile:
    """The mapped rows to train on. Raises DataError without training rows."""
    dataset = DatasetFile.open(Path(plan.dataset_path))
    if TRAIN not in dataset.splits:
        raise DataError("the data set has no split 'train' to learn from", field="splits")
    return dataset


def check_memory(candidates: Candidates, dataset: DatasetFile) -> dict[str, int | None]:
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


def workload(
    candidates: Candidates, dataset: DatasetFile, lora: LoraCandidates | None = None
) -> Workload:
    """The work of these candidates on these rows, for the progress."""
    n_train = len(dataset.splits[TRAIN].y)
    n_rows = sum(len(arrays.y) for arrays in dataset.splits.values())
    return Workload(
        candidates.configs,
        n_columns=dataset.n_columns,
        n_classes=len(dataset.classes),
        n_rows=n_train,
        rows_ratio=n_rows / n_train,
        share=1.0 if lora is None else FROZEN_SHARE,
        tries_new_domains=candidates.compare and new_domain.is_tried(dataset),
    )


def _equip(training: Training, finished: Mapping[str, FinishedCandidate], chosen: Chosen) -> None:
    """Write the heads beside the published one as they are served: each may be published later.

    What is known of the training rows is learnt once, and taken over from a head on the same rows.
    """
    equipped = {id(training.rows_of(chosen.method)): chosen.head}
    for name, one in finished.items():
        if name == chosen.method:
            continue
        rows = training.rows_of(name)
        head = publication.equip(
            one.trained.head,
            rows,
            one.held_out,
            predicted=one.trained.predictions[TRAIN].predicted,
            like=equipped.get(id(rows)),
        )
        equipped.setdefault(id(rows), head)
        training.workdir.write_bytes(head_file(name), head.to_bytes())


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

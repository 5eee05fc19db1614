"""Move a head to another encoder by a bridge, and measure what that costs.

No provider is asked: the texts of the bridge are there in the vectors of both encoders.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nmtune import Candidates, Head, Trainer, fit_auto
from nmtune.bridge import moving
from nmtune.bridge.moving import LEAST_AGREEMENT, Moved, Refit
from nmtune.errors import DataError
from nmtune.heads.class_shares import shares_of
from nmtune.numeric import runtime
from store.bytes.faults import corrupt
from store.files.dataset import DatasetFile
from store.files.rows import RowsFile
from workers.child.candidate import Message
from workers.folder import MIGRATED, PUBLISHED, MigrationInstructions, Workdir

_ROWS_AT_A_TIME: Final = 4096
_Rows = NDArray[np.float32]


class AgreementTooLow(DataError):  # noqa: N818  it names what was found
    """The moved head differs too often from the one that it is to replace."""

    code = "agreement_too_low"


def run(workdir: Workdir) -> Iterator[Message]:
    """Carry out the folder's plan; leave the head and what was found.

    Raises DataError if the bridge cannot carry the head, ArtifactCorrupt or HeadFormatError if head
    or rows are not what was stored.
    """
    yield {"type": "stage", "stage": "loading"}
    plan = MigrationInstructions.load(workdir)
    machine = runtime.prepare(device=plan.device, n_threads=plan.n_threads)
    head = Head.from_bytes(_bytes(Path(plan.head_path), plan.head_sha256))
    new, y = _read(Path(plan.dataset_path), plan.dataset_sha256, plan, head)
    old, _ = _read(Path(plan.old_path), plan.old_sha256, plan, head)
    yield {"type": "stage", "stage": "training"}
    candidates = Candidates.from_dict(plan.candidates)
    refit = None if y is None else _refit(candidates, head, device=machine.device)
    moved = moving.move(head, new, old, y=y, refit=refit)
    _check(moved, plan)
    yield {"type": "stage", "stage": "publishing"}
    workdir.write_bytes(PUBLISHED, moved.head.to_bytes())
    workdir.write_json(MIGRATED, _found(moved, head, y))


def _bytes(path: Path, sha256: str) -> bytes:
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != sha256:
        raise corrupt(path, sha256)
    return data


def _read(
    path: Path, sha256: str, plan: MigrationInstructions, head: Head
) -> tuple[_Rows, NDArray[np.int64] | None]:
    """The bridge's vectors (n, d), all splits in order, and the head's classes (n,) if labelled."""
    if not plan.is_labelled:
        rows = RowsFile.open(path)
        blocks = [one.x for one in rows.blocks(_ROWS_AT_A_TIME)]
        x = np.concatenate(blocks).astype(np.float32)
        rows.check(sha256)
        return x, None
    dataset = DatasetFile.open(path)
    x = np.concatenate([np.asarray(one.x, np.float32) for one in dataset.splits.values()])
    codes = np.concatenate([np.asarray(one.y) for one in dataset.splits.values()])
    dataset.check(sha256)
    places = {name: at for at, name in enumerate(head.classes)}
    if unknown := [name for name in dataset.classes if name not in places]:
        raise DataError(
            f"the label {unknown[0]!r} of the bridge is no class of {plan.head}", field="bridge"
        )
    return x, np.array([places[name] for name in dataset.classes], np.int64)[codes]


def _refit(candidates: Candidates, head: Head, *, device: str) -> Refit:
    """Trains a head as the head's own job did, with the same settings and seed."""

    def refit(x: _Rows, y: NDArray[np.int64]) -> Head:
        if candidates.method == "auto":
            configs = candidates.configs
            return fit_auto(x, y, classes=head.classes, configs=configs, device=device).head
        config = candidates.configs[candidates.method]
        trainer = Trainer(x, y, classes=head.classes, config=config, device=device)
        for _ in trainer:
            pass
        return trainer.result().head

    return refit


def _check(moved: Moved, plan: MigrationInstructions) -> None:
    """Raise AgreementTooLow if the map is no good, unless a refit takes its place or by force."""
    agreement = moved.agreement
    if agreement.is_enough or moved.is_refitted or plan.is_forced:
        return
    low, high = agreement.interval
    raise AgreementTooLow(
        f"on {agreement.n_rows:,} held-out texts of the bridge the moved head chooses the class of "
        f"{plan.head} for {agreement.share:.1%} (95 % interval {low:.1%} to {high:.1%}), less than "
        f"{LEAST_AGREEMENT:.0%}, so nothing was published: send a bridge of more texts like those "
        "that the head is asked about, or one with labels, or publish all the same with force",
        field="bridge",
    )


def _found(moved: Moved, head: Head, y: NDArray[np.int64] | None) -> dict[str, Any]:
    """What the job and the version's lineage say of it."""
    space = moved.space
    shares = None
    if moved.is_refitted and y is not None:
        shares = shares_of(y, head.classes)
    return {
        "n_columns": moved.head.n_columns,
        "n_parameters": moved.head.n_parameters,
        "class_shares": shares,
        "migration": {
            "made_by": "refit" if moved.is_refitted else "map",
            "map": {"strength": space.strength, "n_pairs": space.n_pairs},
            "agreement": asdict(moved.agreement),
            "trial": None if moved.trial is None else asdict(moved.trial),
        },
    }

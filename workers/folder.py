"""The folder that one attempt works in, and the files that supervisor and child exchange there."""

import fcntl
import logging
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import orjson

from store.bytes.port import ArtifactRef, Artifacts
from store.errors import ArtifactCorrupt, ArtifactMissing

logger = logging.getLogger(__name__)

INSTRUCTIONS = "plan.json"
REPORT = "report.json"
PUBLISHED = "published.head.safetensors"
"""The head of the job as it is published; a file of the checkpoint, lest there be two of them."""
REPORT_SO_FAR = "report_so_far.json"
ROWS = "rows.safetensors"
MAP = "map.safetensors"
MAP_POINTS = "map_points.safetensors"
LOG = "training.log"
LOCK = "lock"

COMPARISON_INSTRUCTIONS = "comparison.json"
ENCODERS = "encoders.json"
"""What a comparison of encoders has found, for the report: it marks the comparison finished."""

MIGRATION_INSTRUCTIONS = "migration.json"
MIGRATED = "migrated.json"

PREDICTION_INSTRUCTIONS = "prediction.json"
OUTPUT = "output"
OUTPUT_SUMMARY = "output.json"


def head_file(candidate: str) -> str:
    """The file of a candidate's finished head."""
    return f"{candidate}.head.safetensors"


def result_file(candidate: str) -> str:
    """The file of a candidate's result, written after its head: it marks the candidate finished."""
    return f"{candidate}.result.json"


def held_out_file(candidate: str) -> str:
    """The file of a candidate's held-out predictions."""
    return f"{candidate}.held_out.safetensors"


def vectors_file(candidate: str) -> str:
    """The dataset file of an adapted encoder's vectors, which the candidate's head judges."""
    return f"{candidate}.vectors.safetensors"


def checkpoint_file(candidate: str) -> str:
    """The file of a candidate's training state, to continue from."""
    return f"{candidate}.checkpoint.safetensors"


@dataclass(frozen=True, kw_only=True)
class TrainingInstructions:
    """What the child must train; `candidates` is the job's resolved config, times in seconds."""

    job_id: str
    job_name: str
    dataset_id: str
    dataset_name: str
    dataset_path: str
    dataset_sha256: str
    texts_path: str | None = None
    """The file of the texts that were embedded, if there is one."""
    encoder: dict[str, Any] | None = None
    """What embedded the texts, as the job's row has it."""
    encoder_place: str | None = None
    """Where that encoder's files are, if it is to be adapted."""
    dataset_warnings: list[Any]
    candidates: dict[str, Any]
    device: str
    n_threads: int
    checkpoint_seconds: float
    tsne_seconds: float = 0.0
    """How long the drawing of the map may take after the job's end; 0: it is not drawn."""
    encoders: dict[str, Any] | None = None
    """What a comparison of encoders has found, for the report."""

    def save(self, workdir: "Workdir") -> None:
        workdir.write_json(INSTRUCTIONS, asdict(self))

    @classmethod
    def load(cls, workdir: "Workdir") -> Self:
        return cls(**workdir.read_json(INSTRUCTIONS))


@dataclass(frozen=True, kw_only=True)
class EncoderToCompare:
    """One encoder of a comparison: its embeddings, as a training would get them."""

    name: str
    folder: str
    """The folder of its training's files, in the attempt's folder."""
    cost: float | None
    """Of embedding 1,000 texts, if known."""
    training: TrainingInstructions


@dataclass(frozen=True, kw_only=True)
class ComparisonInstructions:
    """What the child must compare: the same rows, embedded by several encoders."""

    encoders: list[EncoderToCompare]

    def save(self, workdir: "Workdir") -> None:
        workdir.write_json(COMPARISON_INSTRUCTIONS, asdict(self))

    @classmethod
    def load(cls, workdir: "Workdir") -> Self:
        stored = workdir.read_json(COMPARISON_INSTRUCTIONS)
        return cls(
            encoders=[
                EncoderToCompare(**one | {"training": TrainingInstructions(**one["training"])})
                for one in stored["encoders"]
            ]
        )


@dataclass(frozen=True, kw_only=True)
class PredictionInstructions:
    """What the child must predict; `options` is the job's config."""

    job_id: str
    head: str
    """The version's own reference, for the file's metadata."""
    head_path: str
    head_sha256: str
    dataset_path: str
    dataset_sha256: str
    is_labelled: bool
    options: dict[str, Any]
    n_threads: int
    trained_shares: dict[str, float] | None = None
    """The class shares of the rows that the head learnt from, if they are known."""

    def save(self, workdir: "Workdir") -> None:
        workdir.write_json(PREDICTION_INSTRUCTIONS, asdict(self))

    @classmethod
    def load(cls, workdir: "Workdir") -> Self:
        return cls(**workdir.read_json(PREDICTION_INSTRUCTIONS))


@dataclass(frozen=True, kw_only=True)
class MigrationInstructions:
    """How the child must move a head by a bridge, whose texts two encoders have embedded."""

    job_id: str
    head: str
    """The version's own reference, for messages."""
    head_path: str
    head_sha256: str
    dataset_path: str
    """The bridge in the vectors of the new encoder."""
    dataset_sha256: str
    old_path: str
    """The same texts in the vectors of the encoder that the head leaves."""
    old_sha256: str
    is_labelled: bool
    candidates: dict[str, Any]
    """The resolved config of the head's own job, for a refit to the bridge's labels."""
    is_forced: bool
    """Whether too little agreement publishes all the same."""
    device: str
    n_threads: int

    def save(self, workdir: "Workdir") -> None:
        workdir.write_json(MIGRATION_INSTRUCTIONS, asdict(self))

    @classmethod
    def load(cls, workdir: "Workdir") -> Self:
        return cls(**workdir.read_json(MIGRATION_INSTRUCTIONS))


@dataclass(frozen=True)
class Workdir:
    """A folder whose files are whole or absent: written under another name, then renamed."""

    path: Path

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    def has(self, name: str) -> bool:
        return (self / name).exists()

    def read_bytes(self, name: str) -> bytes:
        return (self / name).read_bytes()

    def read_json(self, name: str) -> Any:
        return orjson.loads(self.read_bytes(name))

    def write_bytes(self, name: str, data: bytes) -> None:
        # No fsync: files that must survive a crash go into the artifacts, which sync.
        beside = self / f"{name}.writing"
        beside.write_bytes(data)
        beside.replace(self / name)

    def write_json(self, name: str, value: object) -> None:
        self.write_bytes(name, orjson.dumps(value))

    def restore(self, artifacts: Artifacts, tenant_id: str, checkpoint: Mapping[str, str]) -> None:
        """Fetch the files (name -> sha256) of an earlier attempt; lost work is done again."""
        for name, sha256 in checkpoint.items():
            (self / name).parent.mkdir(exist_ok=True)
            try:
                artifacts.copy_to(tenant_id, sha256, self / name)
            except (ArtifactMissing, ArtifactCorrupt) as error:
                logger.warning("checkpoint.unusable file=%s reason=%s", name, error)

    def put(self, artifacts: Artifacts, tenant_id: str, name: str) -> ArtifactRef:
        """Store a copy of a file as an artifact."""
        return artifacts.put_bytes(tenant_id, self.read_bytes(name))

    def move(self, artifacts: Artifacts, tenant_id: str, name: str) -> ArtifactRef:
        """Move a file into the artifacts without copying its bytes."""
        taken = self / f"{name}.taken"
        (self / name).replace(taken)  # the child may write the next one under the old name
        return artifacts.put_file(tenant_id, taken)


@contextmanager
def open_workdir(root: Path, name: str) -> Iterator[Workdir]:
    """An empty folder `root/name`, locked while the block runs and then removed."""
    path = root / name
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True, mode=0o700)
    with (path / LOCK).open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield Workdir(path)
        finally:
            shutil.rmtree(path, ignore_errors=True)


def remove_abandoned(root: Path) -> int:
    """Remove folders of killed workers, whose locks are free; return how many."""
    n_removed = 0
    for lock_path in root.glob(f"*/{LOCK}"):
        try:
            with lock_path.open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock_path.parent, ignore_errors=True)
        except OSError:
            continue  # in use, just removed by another worker, or on a read-only disk
        n_removed += 1
    return n_removed

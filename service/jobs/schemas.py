"""JSON shapes of jobs, with one example each."""

from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from service.heads.notes import Description, Tags
from service.http.fields import Alias, Cursor, Limit, Name
from service.http.rows import Embeddings, Labels, MergeSimilar, Splits
from service.http.validation import ID_PATTERN
from service.providers.schemas import EncoderChoice, ProviderChoice, Texts
from store.jobs import Job as JobRecord
from store.states import JobKind, JobStatus

Analysis: TypeAlias = Literal["ablation", "learning_curve", "published_loop", "full_finetuning"]


class JobCreate(BaseModel):
    """A head to train, on a stored dataset, or on embeddings or texts in the request."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "name": "pets",
                    "embeddings": [
                        [0.9, 0.1, 0.2],
                        [0.8, 0.2, 0.1],
                        [0.7, 0.3, 0.2],
                        [0.1, 0.9, 0.3],
                        [0.2, 0.8, 0.1],
                        [0.3, 0.7, 0.3],
                    ],
                    "labels": ["cat", "cat", "cat", "dog", "dog", "dog"],
                    "splits": ["train", "train", "test", "train", "train", "test"],
                    "method": "auto",
                    "config": {"seed": 0},
                    "alias": "prod",
                }
            ]
        },
    )

    name: Name = Field(description="The name of the head; each job adds a version.")
    dataset_id: str | None = Field(
        default=None,
        pattern=ID_PATTERN,
        description="A stored dataset. Leave it out if the request has the rows.",
    )
    embeddings: Embeddings = None
    labels: Labels = None
    splits: Splits = None
    merge_similar: MergeSimilar = False
    texts: Texts = None
    provider: ProviderChoice | None = Field(
        default=None, description="What embeds the texts of the request or of the dataset."
    )
    encoders: list[EncoderChoice] | None = Field(
        default=None,
        description="In place of `provider`: 2 to 8 encoders to compare on the same rows. The job "
        "trains the head of `auto` for each and goes on with the best by held-out log loss; of "
        "those that tie, with the cheapest, then the narrowest.",
    )
    sample: int | None = Field(
        default=None,
        ge=50,
        description="Rank the encoders on so many rows; only the chosen one then embeds all.",
        examples=[1000],
    )
    method: Literal["linear_probe", "mlp", "nmtune", "auto"] = Field(
        default="auto",
        description="What is published; simpler methods are trained as well, for comparison. "
        "`auto` chooses by cross-validation on the training rows.",
    )
    paradigm: Literal["black_box", "lora"] = Field(
        default="black_box",
        description="`black_box` trains heads on frozen embeddings. `lora` adapts the encoder of a "
        "dataset of texts as well, and publishes that only if it wins on held-out texts.",
    )
    config: dict[str, Any] = Field(
        default_factory=dict,
        max_length=64,
        description="Settings, such as seed or w_covariance. A `preset` (paper, reference), which "
        "they override is for methods nmtune and mlp, or with the analysis published_loop.",
    )
    analyses: list[Analysis] = Field(
        default_factory=list,
        max_length=4,
        description="Further analyses: `ablation` also trains NMTune without each of its terms, "
        "`learning_curve` tells whether more labels would help, `published_loop` also trains MLP "
        "and NMTune as the papers do, for 30 epochs; `full_finetuning`, for paradigm lora, also "
        "trains all weights of the encoder, to compare. All take longer.",
    )
    compare: bool = Field(
        default=True,
        description="False trains only what the published head is made of or chosen from: the "
        "report then compares it with no other head.",
    )
    alias: Alias | None = Field(
        default=None,
        description="An alias that moves to the new version when the job succeeds, unless the "
        "report's verdict advises against the head. A new alias, or one with alias_always, names "
        "it as soon as it is published.",
    )
    alias_always: bool = Field(
        default=False, description="Move the alias even if the verdict advises against it."
    )
    description: Description | None = Field(
        default=None, description="A note for people about the version that the job publishes."
    )
    tags: Tags = Field(
        default_factory=dict, description="Tags of that version: up to 20 names with values."
    )
    queue: Literal["cpu", "gpu"] | None = Field(
        default=None,
        description="Which workers train it; by default the service's choice. With `gpu` the job "
        "waits for a worker that serves that queue.",
    )
    priority: int = Field(
        default=0, ge=-100, le=100, description="Jobs of a higher priority are taken first."
    )


class JobWaiting(BaseModel):
    """What a job waits for, and how long."""

    code: str
    message: str = Field(description="The reason, in the provider's words if it comes from one.")
    since: datetime | None
    until: datetime = Field(description="When the job goes on, or tries again.")

    @classmethod
    def of(cls, record: JobRecord) -> "JobWaiting | None":
        """Why a queued job is held back, or a running one pauses; None if neither."""
        told: dict[str, Any] | None = None
        if record.status is JobStatus.QUEUED and record.waiting and record.not_before_at:
            told = record.waiting | {"until": record.not_before_at}
        elif record.status is JobStatus.RUNNING and record.progress:
            told = record.progress.get("waiting")
        if told is None or "code" not in told or "message" not in told:
            return None
        found = cls(**{name: told.get(name) for name in cls.model_fields})
        return found if found.until > datetime.now(UTC) else None


class JobHead(BaseModel):
    """The head version that a job published, or that a prediction uses."""

    name: str
    version: int


class AliasOutcome(BaseModel):
    """What happened to the alias that a job was to move to its new version."""

    name: str
    moved: bool
    version: int | None = Field(
        description="The version that the alias named when the job had ended; null if none."
    )
    previous_version: int | None = Field(
        description="The version that it named before; null if none."
    )
    reason: str = Field(description="What happened and why, in one sentence.")
    command: str | None = Field(
        description="If the alias did not move: the command that moves it. Over HTTP, PUT the "
        "alias."
    )


class JobOutput(BaseModel):
    """The file that a prediction wrote; GET /jobs/{id}/output downloads it."""

    format: str = Field(description="parquet, csv or jsonl.")
    n_rows: int
    size_bytes: int
    sha256: str
    conformal_level: float | None = Field(
        default=None, description="The level of the sets in the file."
    )
    ood_threshold: float | None = Field(
        default=None, description="The threshold that is_ood was decided by."
    )


class Job(BaseModel):
    """A durable request to train a head or to predict a dataset."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "job_31k8ds2m0v4xq9rt6wy5zbnc7e",
                    "name": "pets",
                    "kind": "training",
                    "dataset_id": "ds_31k8drzh5p2gk7m4t9x3wvq6ab",
                    "method": "nmtune",
                    "paradigm": "black_box",
                    "alias": "prod",
                    "alias_always": False,
                    "alias_outcome": None,
                    "description": None,
                    "tags": {"ticket": "ML-12"},
                    "queue": "cpu",
                    "priority": 0,
                    "status": "running",
                    "stage": "training",
                    "progress": {
                        "candidate": "nmtune",
                        "epoch": 3,
                        "n_epochs": 10,
                        "losses": {"total": 0.41, "cross_entropy": 0.38},
                        "validation": None,
                        "fraction": 0.62,
                        "eta_seconds": 1.4,
                    },
                    "config": {
                        "method": "nmtune",
                        "configs": {"nmtune": {"preset": "paper", "epochs": 10, "seed": 0}},
                    },
                    "encoder": None,
                    "encoders": None,
                    "migration": None,
                    "attempt": 1,
                    "max_attempts": 3,
                    "waiting": None,
                    "error": None,
                    "cancel_requested_at": None,
                    "head": None,
                    "report_status": None,
                    "output": None,
                    "created_at": "2026-11-24T03:21:46.157000Z",
                    "started_at": "2026-11-24T03:21:46.301000Z",
                    "finished_at": None,
                }
            ]
        }
    )

    id: str
    name: str
    kind: JobKind
    dataset_id: str
    method: str
    paradigm: Literal["black_box", "lora"] = Field(
        description="Whether the job adapts the encoder too (`lora`)."
    )
    alias: str | None
    alias_always: bool = Field(
        description="Whether the alias moves even if the verdict advises against it."
    )
    alias_outcome: AliasOutcome | None = Field(
        description="Whether the alias moved, and why, once the head is published; one that waits "
        "for the verdict may still move when the job succeeds. Null without an alias, and for jobs "
        "that ended before this was recorded: their aliases moved."
    )
    description: str | None = Field(
        description="The description of the version that the job publishes."
    )
    tags: dict[str, str]
    queue: str
    priority: int
    status: JobStatus
    stage: str | None = Field(
        description="While the job runs: embedding (of texts), ranking (of encoders), loading, "
        "training or predicting, adapting (the encoder), comparing, evaluating, spectra or "
        "publishing. The head is published after training, or after adapting."
    )
    progress: dict[str, Any] | None = Field(
        description="How far training is: fraction (0 to 1, of the whole job), eta_seconds, and "
        "the candidate being trained with its epoch, losses and validation figures."
    )
    config: dict[str, Any] = Field(
        description="Every resolved setting, per candidate; for a prediction its options."
    )
    encoder: dict[str, Any] | None = Field(
        description="What embeds the texts of the dataset, if it has texts; afterwards with its "
        "fingerprint, and in usage how many texts and tokens it took."
    )
    migration: dict[str, Any] | None = Field(
        description="For a job of POST /heads/{name}/migrate: from_version, and the way (refit or "
        "bridge). Of a bridge also the old encoder with its usage and, at the end, what was found: "
        "made_by, map, agreement, trial."
    )
    encoders: dict[str, Any] | None = Field(
        description="What the job compares encoders by: `compared` has each with its name, what it "
        "took, and its error if it dropped out; `chosen` names the one that the head is trained "
        "on, once it is chosen. Null for a job of one encoder."
    )
    attempt: int
    max_attempts: int
    waiting: JobWaiting | None = Field(
        description="Why the job pauses at the moment, such as a provider that is away or asks for "
        "a later retry; null while it works or waits for a worker, and once it has ended."
    )
    error: dict[str, Any] | None = Field(description="Why the job failed: code and message.")
    cancel_requested_at: datetime | None
    head: JobHead | None = Field(
        description="The version that the job published, as soon as it is chosen: the job goes on "
        "with comparison and report, and the version stays however it ends. For a prediction the "
        "version that answers."
    )
    report_status: Literal["incomplete", "complete"] | None = Field(
        description="What GET /jobs/{id}/report has: null before there is a head, `incomplete` "
        "(its `missing` says what) from then on, `complete` once the job has succeeded."
    )
    output: JobOutput | None = Field(
        description="The file of a prediction that has succeeded, until it is deleted."
    )
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, record: JobRecord) -> "Job":
        """The stored job as the API shows it."""
        head = None
        if record.head_name is not None and record.head_version is not None:
            head = JobHead(name=record.head_name, version=record.head_version)
        output = None
        if record.output is not None and record.output_sha256 is not None:
            output = JobOutput(sha256=record.output_sha256, **record.output)
        return cls(
            id=record.id,
            name=record.name,
            kind=record.kind,
            dataset_id=record.dataset_id,
            method=record.method,
            paradigm="lora" if "lora" in record.config else "black_box",
            alias=record.alias,
            alias_always=record.alias_always,
            alias_outcome=None
            if record.alias_outcome is None
            else AliasOutcome(**record.alias_outcome),
            description=record.description,
            tags=record.tags,
            queue=record.queue,
            priority=record.priority,
            status=record.status,
            stage=record.stage,
            progress=_progress(record.progress),
            config=record.config,
            encoder=record.encoder,
            encoders=record.encoders,
            migration=record.migration,
            attempt=record.attempt,
            max_attempts=record.max_attempts,
            waiting=JobWaiting.of(record),
            error=record.error,
            cancel_requested_at=record.cancel_requested_at,
            head=head,
            report_status=_report_status(record),
            output=output,
            created_at=record.created_at,
            started_at=record.started_at,
            finished_at=record.finished_at,
        )


def _report_status(record: JobRecord) -> Literal["incomplete", "complete"] | None:
    if record.report_sha256 is None:
        return None
    return "complete" if record.status is JobStatus.SUCCEEDED else "incomplete"


def _progress(progress: dict[str, Any] | None) -> dict[str, Any] | None:
    """The progress without what the job waits for, which is shown separately."""
    if progress is None:
        return None
    return {name: value for name, value in progress.items() if name != "waiting"} or None


class JobPage(BaseModel):
    """Jobs, newest first."""

    items: list[Job]
    next_cursor: str | None = Field(description="Pass it as cursor for the next page.")


class JobQuery(BaseModel):
    """Which jobs to list."""

    model_config = ConfigDict(extra="forbid")

    cursor: Cursor = None
    limit: Limit = 50
    status: JobStatus | None = Field(
        default=None, description="List only jobs with this status.", examples=["running"]
    )

"""A worker's settings: device, slots, lease, and how often it polls and saves."""

import os
import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import ByteSize, Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode

from outbound.settings import WebhookSettings
from providers.settings import ProviderSettings
from store.jobs import QUEUES
from store.leases import LONGEST_LEASE_SECONDS
from store.settings import StoreSettings

_Names = Annotated[tuple[str, ...], NoDecode]

LONGEST_SILENCE_SECONDS = 1.0  # so that a cancel is seen within a second, however long the lease


class WorkerSettings(ProviderSettings, WebhookSettings, StoreSettings):
    """Read once, at a door, from `NMTUNE_...` variables; passed on as plain values."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where heads are trained; `auto` takes the GPU where torch finds one."""
    slots: int = Field(default=1, ge=1, le=64)
    """Jobs trained side by side; keep 1 on a GPU. `NMTUNE_GPUS` sets one for each GPU."""
    prediction_slots: int = Field(default=1, ge=0, le=64)
    """Files predicted side by side beside the trainings, which they never wait behind; with 0 they
    take turns with trainings."""
    gpus: _Names = ()
    """GPUs to use, as `CUDA_VISIBLE_DEVICES` names them, such as `0,1`: one slot for each."""
    queues: _Names = QUEUES
    """The queues that the worker serves; an earlier one goes first."""
    broker_url: SecretStr | None = None
    """Celery's broker, such as `redis://:password@host:6379/0`, for `api` and `worker`. Without it
    workers poll the database."""
    deaf_seconds: float = Field(default=60.0, ge=1.0)
    """How long an idle Celery worker may leave due jobs waiting before it ends itself, to be
    restarted."""
    n_threads: int | None = Field(default=None, ge=1, le=1024)
    """CPU threads of one job. Unless set, a training shares the cores with the other trainings, and
    a prediction of a file with all slots. The last bits of a result depend on it."""
    memory_limit: ByteSize | None = None
    """What one training may allocate on the host, such as `4GiB`."""
    standby: Literal["after_job", "always", "never"] = "after_job"
    """When each slot keeps a process ready that has imported torch: the next job starts seconds
    sooner, for about 300 MB. `after_job`: from the slot's first job on; `always`: from the start
    (with a broker, from the first message on). `true` and `false` of earlier releases mean `always`
    and `never`."""
    standby_idle_seconds: float = Field(default=900.0, ge=1.0)
    """How long that process is kept after the last job; with `always` it stays."""
    lease_seconds: float = Field(default=20.0, ge=1.0, le=LONGEST_LEASE_SECONDS)
    """How long a job stays with a silent worker; a killed worker's job waits about this long, and
    two seconds more. Set it alike for API and workers."""
    checkpoint_seconds: float = Field(default=15.0, ge=0.0)
    """The least time between two checkpoints of a training."""
    map_seconds: float = Field(default=120.0, ge=0.0, le=3600.0)
    """How long a slot may draw the map of a job that has succeeded by t-SNE, unless another job
    waits; 0: never, and maps have principal axes alone."""
    mlflow_tracking_uri: SecretStr | None = None
    """An MLflow server, such as `https://user:password@mlflow.example.org`: each training that has
    succeeded is logged there as a run, with its settings, figures and report. One that does not
    answer costs a warning in the log."""
    mlflow_tracking_token: SecretStr | None = None
    """A bearer token for it, in place of user and password."""
    mlflow_experiment: str = Field(default="nmtune", min_length=1, max_length=250)
    """The experiment that the runs go to; it is made if it does not exist."""
    poll_seconds: float = Field(default=1.0, gt=0.0, le=60.0)
    """How often to look for jobs nobody rang for, and for leases that ran out."""
    provider_patience_seconds: float = Field(default=86_400.0, ge=0.0)
    """How long a job of texts waits in all for a provider from which not one batch comes, before it
    fails."""
    metrics_port: int | None = Field(default=None, ge=0, le=65535)
    """The port of a `worker`'s own `/metrics`; 0 lets the system choose."""
    metrics_host: str = "127.0.0.1"
    """The address of that port; the default is reachable from this machine only."""

    @field_validator("mlflow_tracking_uri")
    @classmethod
    def _is_http(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            parts = urlsplit(value.get_secret_value())
            port = parts.port  # ValueError for one that is none
            if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
                raise ValueError("must be an http:// or https:// URL, such as http://mlflow:5000")
        return value

    @field_validator("mlflow_tracking_token")
    @classmethod
    def _goes_into_a_header(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not re.fullmatch(r"[!-~]+", value.get_secret_value()):
            raise ValueError("must be ASCII without spaces or line breaks")
        return value

    @field_validator("standby", mode="before")
    @classmethod
    def _yes_or_no(cls, value: object) -> object:
        """Accept the two values of earlier versions."""
        match str(value).strip().lower():
            case "true" | "1" | "yes" | "on":
                return "always"
            case "false" | "0" | "no" | "off":
                return "never"
        return value

    @field_validator("gpus", "queues", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return [one.strip() for one in value.split(",")] if isinstance(value, str) else value

    @field_validator("queues")
    @classmethod
    def _known(cls, queues: tuple[str, ...]) -> tuple[str, ...]:
        if not queues or len(set(queues)) < len(queues) or not set(queues) <= set(QUEUES):
            raise ValueError(f"queues must be some of {','.join(QUEUES)}, each once")
        return queues

    @model_validator(mode="before")
    @classmethod
    def _slot_for_each_gpu(cls, values: dict[str, object]) -> dict[str, object]:
        gpus = cls._split(values.get("gpus") or ())
        return values | {"slots": len(gpus)} if isinstance(gpus, list | tuple) and gpus else values

    @property
    def work_dir(self) -> Path:
        """The parent folder of attempts, on the artifacts' disk, so that moves are cheap."""
        return self.data_dir / "work"

    @property
    def heartbeat_seconds(self) -> float:
        """The time between two heartbeats: a quarter of the lease, at most a second."""
        return min(self.lease_seconds / 4, LONGEST_SILENCE_SECONDS)

    @property
    def threads_per_prediction(self) -> int:
        """`n_threads`, or the cores shared among all that may run at once."""
        n_cores = len(os.sched_getaffinity(0))
        return self.n_threads or max(1, n_cores // (self.slots + self.prediction_slots))

    @property
    def threads_per_slot(self) -> int:
        """`n_threads`, or this machine's cores shared among the slots."""
        return self.n_threads or max(1, len(os.sched_getaffinity(0)) // self.slots)

"""What a job of paradigm `lora` would take: steps, memory, and seconds by earlier jobs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from nmtune.encoder import memory
from nmtune.encoder.architecture import Architecture
from nmtune.encoder.candidates import LoraCandidates, n_steps
from nmtune.errors import NMTuneError
from nmtune.vocabulary import FULL_FINETUNING
from providers.local import files, plain_json
from providers.local.config import parse_config
from providers.local.files import CONFIG
from service.jobs.adapting import LORA_KEY
from store import datasets, jobs
from store.errors import NotFound
from store.jobs import Job
from store.states import JobStatus
from store.store import Store

_N_JOBS: Final = 50
"""How many earlier jobs are read to find the pace of this deployment."""


def steps_of(lora: LoraCandidates, *, n_train: int, n_validation: int) -> dict[str, int]:
    """The gradient steps of each adapted candidate."""
    return {
        name: n_steps(config, n_train=n_train, has_validation=n_validation > 0)
        for name, config in lora.configs.items()
    }


def texts_seen(lora: LoraCandidates, steps: Mapping[str, int]) -> int:
    """How many texts go forward and backward through the encoder."""
    return sum(steps[name] * config.batch_size for name, config in lora.configs.items())


def adapting_bytes(lora: LoraCandidates, place: Path) -> int:
    """The peak memory of adapting the encoder at `place`, roughly, with the longest texts."""
    data = files.find(place)[CONFIG].read()
    config = parse_config(plain_json.read_object(data, file=CONFIG))
    architecture = Architecture(
        n_layers=config.n_layers,
        n_heads=config.n_heads,
        width=config.width,
        inner_width=config.inner_width,
    )
    of_layer = 4 * config.width**2 + 2 * config.width * config.inner_width
    n_weights = config.n_layers * of_layer
    n_weights += (config.vocabulary + config.n_positions) * config.width
    return max(
        memory.peak_bytes(
            architecture,
            n_weights=n_weights,
            batch_size=one.batch_size,
            n_tokens=min(one.max_tokens, config.max_tokens),
            full=name == FULL_FINETUNING,
        )
        for name, one in lora.configs.items()
    )


def lora_paces(store: Store, tenant_id: str) -> list[float]:
    """Texts per second of earlier jobs of this paradigm that succeeded at the first attempt."""
    with store.database.read() as tx:
        page = jobs.page(tx, tenant_id, limit=_N_JOBS, status=JobStatus.SUCCEEDED)
        paces = []
        for job in page.items:
            if LORA_KEY not in job.config or job.attempt != 1:
                continue
            try:
                lora = LoraCandidates.from_dict(job.config[LORA_KEY])
                dataset = datasets.get(tx, tenant_id, job.dataset_id)
            except (NotFound, NMTuneError):
                continue  # deleted since, or from a version with other settings
            n_rows = {split["name"]: split["n_rows"] for split in dataset.splits}
            steps = steps_of(
                lora,
                n_train=n_rows.get("train", 0),
                n_validation=n_rows.get("validation", 0),
            )
            if (seconds := seconds_of(job)) > 0:
                paces.append(texts_seen(lora, steps) / seconds)
    return paces


def seconds_of(job: Job) -> float:
    """How long a finished job worked."""
    if job.started_at is None or job.finished_at is None:
        return 0.0
    return (job.finished_at - job.started_at).total_seconds()

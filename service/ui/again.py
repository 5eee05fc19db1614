"""The settings that make a job again, found from those that it resolved to."""

from collections.abc import Mapping
from typing import Any

from nmtune.errors import NMTuneError
from nmtune.training.candidates import resolve
from service.jobs.schemas import Job
from store.states import JobKind


def settings_of(job: Job) -> Mapping[str, Any] | None:
    """The fewest settings that resolve to those of the job.

    None where none do: a prediction, or a job of a version with other candidates.
    """
    if job.kind is not JobKind.TRAINING:
        return None
    try:
        return _settings(job)
    except (NMTuneError, LookupError, TypeError, AttributeError):
        return None  # stored by a version that had other settings


def _settings(job: Job) -> Mapping[str, Any] | None:
    stored: Mapping[str, Mapping[str, Any]] = job.config["configs"]
    tuned = "nmtune" if job.method == "auto" else job.method

    def resolved(config: Mapping[str, Any]) -> dict[str, Any]:
        candidates = resolve(
            method=job.method,
            config=config,
            analyses=job.config.get("analyses") or [],
            compare=job.config.get("compare", True),
        )
        found: dict[str, Any] = candidates.to_dict()["configs"]
        return found

    if tuned not in stored:  # without comparison, `auto` has only what its candidates share
        shared = {name: stored["mlp_ensemble"][name] for name in ("seed", "n_folds", "max_steps")}
        return next((config for config in ({}, shared) if resolved(config) == stored), None)
    preset = {"preset": stored[tuned]["preset"]}
    usual = resolved(preset)[tuned]
    changed = {name: one for name, one in stored[tuned].items() if one != usual.get(name)}
    tries: tuple[Mapping[str, Any], ...] = ({}, changed, preset, preset | changed)
    return next((config for config in tries if resolved(config) == stored), None)

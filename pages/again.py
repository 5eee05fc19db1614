"""What to ask for, to train as a job did: the settings of a request out of those of its job."""

from collections.abc import Mapping
from typing import Any, Final

_OF_PROBE: Final = ("preset", "scaling", "l2", "n_folds", "seed")
_OF_ENSEMBLE: Final = ("n_bags", "hidden_width", "input_dropout", "hidden_dropout", "patience")
_OF_ENCODER: Final = ("model", "base_url", "dimensions", "price_per_million_tokens")


def request_like(job: Mapping[str, Any], dataset_id: str | None = None) -> dict[str, Any]:
    """The body of `POST /jobs` that trains as `job` did, on its data set or on another."""
    method = str(job["method"])
    told = job.get("config") or {}
    body: dict[str, Any] = {
        "name": job["name"],
        "dataset_id": job["dataset_id"] if dataset_id is None else dataset_id,
        "method": method,
        "config": _settings(method, told.get("configs") or {}),
        "queue": job["queue"],
    }
    if told.get("analyses"):
        body["analyses"] = list(told["analyses"])
    if encoder := job.get("encoder"):
        asked = {name: encoder[name] for name in _OF_ENCODER if encoder.get(name) is not None}
        body["provider"] = {"name": encoder["provider"]} | asked
    return body


def _settings(method: str, configs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The flat settings that make these configs of a job's candidates."""
    if method == "linear_probe":
        probe = configs.get(method, {})
        return {name: probe[name] for name in _OF_PROBE if name in probe}
    shaped = configs.get("nmtune" if method == "auto" else method, {})
    settings = {
        name: value for name, value in shaped.items() if name not in ("l2", *_OF_ENSEMBLE)
    }
    probe = configs.get("linear_probe", {})
    if method != "auto" and probe.get("l2") is not None:
        settings["l2"] = probe["l2"]
    return settings

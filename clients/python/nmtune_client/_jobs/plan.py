"""What a job would do, as the server says before it is submitted."""

from collections.abc import Mapping
from typing import Any

from nmtune_client._show import plain
from nmtune_client._show.reprs import Table


class Plan(Table, dict[str, Any]):
    """The server's answer, whose members are attributes too; `str()` is a short table of it."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"a plan has no {name}, but {', '.join(self)}") from None

    def __repr__(self) -> str:
        facts = ", ".join(f"{name}={value!r}" for name, value in self._facts().items() if value)
        return f"Plan({facts})"

    _repr_pretty_ = Table._repr_pretty_  # a class's own __repr__ goes before a base's in IPython

    def __str__(self) -> str:
        return plain.columns([[name, value] for name, value in self._facts().items() if value])

    def _facts(self) -> dict[str, str]:
        seconds, memory = self.get("seconds"), self.get("memory_bytes")
        return {
            "dataset": str(self.get("dataset_id") or ""),
            "splits": _listed(f"{one['name']} {one['n_rows']}" for one in self.get("splits") or ()),
            "candidates": _listed(one["name"] for one in self.get("candidates") or ()),
            "way": str(self.get("way") or ""),
            "texts": _embedding(self.get("embedding")),
            "texts, old encoder": _embedding(self.get("old_embedding")),
            "notes": " ".join(self.get("notes") or ()),
            "encoders": _encoders(self.get("encoders")),
            "memory": "unknown before texts are embedded" if memory is None else plain.size(memory),
            "training": "unknown before a first job"
            if seconds is None
            else plain.duration(seconds),
        }


def _listed(words: Any, most: int = 10) -> str:
    found = list(words)
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return ", ".join(found[:most]) + more


def _embedding(planned: Mapping[str, Any] | None) -> str:
    """What embedding would take; nothing where no texts are."""
    if planned is None:
        return ""
    cost = "" if planned["cost"] is None else f", cost {planned['cost']:g}"
    return (
        f"{planned['n_different']:,} different, {planned['n_known']:,} known; about "
        f"{planned['n_requests']:,} requests, {planned['n_tokens']:,} tokens{cost}"
    )


def _encoders(planned: Mapping[str, Any] | None) -> str:
    """What comparing encoders would take; nothing where none are."""
    if planned is None:
        return ""
    names = ", ".join(one["name"] for one in planned["compared"])
    cost = "" if planned["cost"] is None else f", cost {planned['cost']:g}"
    if not planned["n_tokens"]:
        return names
    told = f"{names}; about {planned['n_tokens']:,} tokens{cost}"
    if planned["n_tokens_at_most"] == planned["n_tokens"]:
        return told
    most = planned["cost_at_most"]
    cost = "" if most is None else f", cost {most:g}"
    return f"{told}; with the rest of the chosen one at most {planned['n_tokens_at_most']:,}{cost}"

"""The encoders of a comparison as the job's row has them: who embeds together, what each costs."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from providers import truncation
from providers.encoder import Encoder
from providers.errors import InvalidProvider
from store.jobs import PRICE, Job
from workers.attempt import failure
from workers.attempt.text_work import LATENCY

_NAMING: Final = ("provider", "model", "base_url", "dimensions", "truncate_dim", "fingerprint")


@dataclass(frozen=True)
class Compared:
    """The value of `jobs.encoders` while the comparison runs; its methods change it in place."""

    state: dict[str, Any]

    @classmethod
    def of(cls, job: Job) -> "Compared":
        return cls(copy.deepcopy(dict(job.encoders or {})))

    @property
    def all(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.state["compared"]
        return found

    @property
    def left(self) -> list[int]:
        """The places of those that have not dropped out."""
        return [place for place, one in enumerate(self.all) if one.get("error") is None]

    def place(self, name: str) -> int:
        """The place of the encoder of this name."""
        return next(place for place, one in enumerate(self.all) if one["name"] == name)

    def groups(self) -> list[list[int]]:
        """The places of encoders that differ only in how their vectors are truncated, together.

        A group is embedded once.
        """
        by_identity: dict[str, list[int]] = {}
        for place in self.left:
            if self.all[place].get("encoder") is not None:
                whole = Encoder.from_dict(self.all[place]["encoder"]).whole
                by_identity.setdefault(whole.identity, []).append(place)
        return list(by_identity.values())

    def whole(self, group: Sequence[int]) -> dict[str, Any]:
        """The encoder that a group asks, with what earlier attempts have found out and paid."""
        first = dict(self.all[group[0]]["encoder"])
        first.pop("truncate_dim", None)
        first.pop("fingerprint", None)
        return first

    def describe(self, group: Sequence[int], whole: Mapping[str, Any]) -> None:
        """Take over what is known of the encoder that a group asks; all have its usage.

        One whose width is not less than that of the vectors drops out.
        """
        for place in group:
            one = self.all[place]
            truncate_dim = one["encoder"].get("truncate_dim")
            try:
                truncation.check_width(truncate_dim, whole["n_columns"])
            except InvalidProvider as error:
                one["error"] = failure.told_of(error)
                continue
            one["encoder"] = dict(whole)
            if truncate_dim is not None:
                one["encoder"] |= {"truncate_dim": truncate_dim, "n_columns": truncate_dim}
                one["encoder"]["fingerprint"] = truncation.fingerprint_of(
                    Encoder.from_dict(one["encoder"]), whole["fingerprint"]
                )

    def drop(self, group: Sequence[int], error: Mapping[str, Any]) -> None:
        """Let encoders drop out of the comparison."""
        for place in group:
            self.all[place]["error"] = dict(error)

    def cost(self, place: int) -> float | None:
        """What embedding 1,000 such texts costs; None if unknown."""
        encoder = self.all[place].get("encoder")
        tokens = self.tokens(place)
        if encoder is None or tokens is None:
            return None
        price = encoder.get(PRICE)
        return None if price is None else round(tokens * price / 1e6, 9)

    def tokens(self, place: int) -> float | None:
        """The tokens of 1,000 such texts, by those that the job had embedded; None without any."""
        usage = (self.all[place].get("encoder") or {}).get("usage", {})
        if not usage.get("n_embedded"):
            return None
        return round(1000 * float(usage["n_tokens"]) / float(usage["n_embedded"]), 1)

    def _embedded_with(self, place: int) -> str | None:
        """The first encoder that is embedded together with another one; None for itself."""
        group = next((one for one in self.groups() if place in one), [place])
        return None if group[0] == place else str(self.all[group[0]]["name"])

    def shown(self, place: int) -> dict[str, Any]:
        """What the report says of an encoder beside its results."""
        one = self.all[place]
        encoder = one.get("encoder")
        found = {
            "status": "ranked" if one.get("error") is None else "failed",
            "error": one.get("error"),
            "dataset_id": one.get("dataset_id"),
            "encoder": None,
        }
        if encoder is None:
            return found
        usage = encoder.get("usage") or {}
        return found | {
            "encoder": {name: encoder.get(name) for name in _NAMING},
            "embedded_with": self._embedded_with(place),
            "usage": usage or None,
            "tokens_per_1000_texts": self.tokens(place),
            "cost_per_1000_texts": self.cost(place),
            "latency": encoder.get(LATENCY),
            "share_truncated": _share(usage.get("n_truncated"), usage.get("n_embedded")),
            "share_maybe_truncated": _share(
                usage.get("n_maybe_truncated"), usage.get("n_different")
            ),
        }


def _share(part: int | None, whole: int | None) -> float | None:
    return None if part is None or not whole else round(part / whole, 6)

"""What is asked with a prediction: the head, and the options."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Literal, TypeAlias

from nmtune_client._heads.values import Head, HeadRef, HeadVersion

HeadLike: TypeAlias = str | Head | HeadRef | HeadVersion


Output: TypeAlias = Literal["probabilities", "logits", "embeddings", "labels"]


BINARY = "application/octet-stream"


@dataclass(frozen=True, kw_only=True)
class Options:
    """What else is asked with a prediction; what is None is left to the server."""

    output: Output | None = None
    top_k: int | None = None
    abstain_below: float | None = None
    conformal_level: float | None = None
    ood: bool | None = None
    class_shares: Mapping[str, float] | None = None

    @property
    def params(self) -> dict[str, str]:
        """The options as query parameters."""
        values = {spec.name: getattr(self, spec.name) for spec in fields(self)}
        return {name: _text(value) for name, value in values.items() if value is not None}

    @property
    def accept(self) -> str:
        """The Accept header: bytes where they can say all that is asked for, else JSON."""
        abstains = self.abstain_below is not None and self.output != "labels"
        needs_json = abstains or self.conformal_level is not None or self.ood is not None
        if needs_json or self.top_k is not None:
            return "application/json"
        return f"{BINARY}, application/json;q=0.5"

    @property
    def wanted(self) -> tuple[str, ...]:
        """The members that JSON must have, for it to be an answer to this question."""
        main = "top_labels" if self.top_k is not None else self.output or "probabilities"
        sets = ("sets",) if self.conformal_level is not None else ()
        return (main, *sets, *(("ood",) if self.ood else ()))


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return json.dumps(dict(value), allow_nan=False, separators=(",", ":"))
    return str(value).lower() if isinstance(value, bool) else str(value)

"""The home of the encoder: which model makes the vectors, and how it is asked.

Two encoders give vectors that cannot stand for each other if any of these fields differs.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import orjson


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """One way of making vectors out of texts, resolved."""

    provider: str
    base_url: str | None
    """None where the model runs in this process."""
    model: str
    dimensions: int | None = None
    """The width asked for; None: the model's own."""
    intent: str = "classification"
    """What the vectors are for, as the provider was told; `none` where it takes no such word."""
    truncation: str = "ours"
    """Who cuts texts that are too long: `ours`, counted, or the `provider`, in silence."""

    @property
    def identity(self) -> str:
        """The sha256 of all of these fields: what the encoder is called, not what it is."""
        data = orjson.dumps(asdict(self), option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(data).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The encoder out of `to_dict`; what else the mapping holds is left aside."""
        return cls(**{name: data[name] for name in cls.__dataclass_fields__ if name in data})

"""The encoder: which model makes the vectors, and how it is asked.

If any field of two encoders differs, the vectors of one cannot replace those of the other.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import orjson


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """One way to make vectors out of texts, with all defaults filled in."""

    provider: str
    base_url: str | None
    """None where the model runs in this process."""
    model: str
    dimensions: int | None = None
    """The requested width; None: the model's own."""
    intent: str = "classification"
    """The stated purpose of the vectors; `none` for a provider that accepts no purpose."""
    truncation: str = "ours"
    """Who cuts texts that are too long: we (`ours`, and count them) or silently the `provider`."""
    sha256: str | None = None
    """Of the files of an encoder that was added to this server; None for every other."""
    truncate_dim: int | None = None
    """How many of the first numbers of each vector are kept, by us; None: all. See `truncation`."""
    adapter: str | None = None
    """The sha256 of the adapter that changes the model (LoRA), if one does."""

    @property
    def identity(self) -> str:
        """The sha256 of all these fields: what the encoder is called, not what it is."""
        data = orjson.dumps(self.to_dict(), option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(data).hexdigest()

    @property
    def whole(self) -> "Encoder":
        """The same encoder with whole vectors: the one that is asked."""
        return replace(self, truncate_dim=None)

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, as stored; without the later ones where they are None."""
        later = (
            "sha256",
            "truncate_dim",
            "adapter",
        )  # identities are of all fields, and older than these
        fields = asdict(self).items()
        return {name: one for name, one in fields if one is not None or name not in later}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The encoder from `to_dict`; other keys of the mapping are ignored."""
        return cls(**{name: data[name] for name in cls.__dataclass_fields__ if name in data})


def fingerprint(identity: str, signature: Sequence[object]) -> str:
    """What tells an encoder from others of the same name: a sha256 over both."""
    return hashlib.sha256(orjson.dumps([identity, list(signature)])).hexdigest()

"""Encoders that run in the server, as it describes them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Self

from nmtune_client._http.values import build, known_in, time_of
from nmtune_client._show.reprs import Shown

HEADER = ("name", "source", "family", "columns", "tokens", "pooling", "problem")


@dataclass(frozen=True, kw_only=True, repr=False)
class LocalEncoder(Shown):
    """An encoder; a job names it by `provider={"name": "local", "model": encoder.name}`."""

    name: str
    source: str
    """`added` by you, in the `operator`'s directory, or in an installed `package`."""
    sha256: str | None = None
    """Of its files: equal for equal encoders."""
    size_bytes: int | None = None
    family: str | None = None
    n_columns: int | None = None
    """The width of its vectors."""
    n_layers: int | None = None
    n_parameters: int | None = None
    max_tokens: int | None = None
    """Longer texts are cut, and counted."""
    pooling: str | None = None
    normalise: bool | None = None
    prefix: str | None = None
    """Put before each text."""
    problem: str | None = None
    """Why it cannot be used; None if it can."""
    created_at: datetime | None = None

    @classmethod
    def from_json(cls, data: object) -> Self:
        """Out of the server's answer."""
        return build(cls, known_in(cls, data, created_at=time_of(data, "created_at")))


def encoder_row(encoder: LocalEncoder) -> list[str]:
    """The encoder in a list, as in HEADER."""
    found = (
        encoder.name,
        encoder.source,
        encoder.family,
        encoder.n_columns,
        encoder.max_tokens,
        encoder.pooling,
        encoder.problem,
    )
    return ["" if one is None else str(one) for one in found]

"""A head version as it is handed over to be published."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class NewHeadVersion:
    """A version to publish: `method` is its candidate, `sha256` names bytes that are stored."""

    name: str
    sha256: str
    size_bytes: int
    method: str
    n_columns: int
    classes: Sequence[str]
    n_parameters: int
    config: Mapping[str, object]
    metrics: Mapping[str, object]
    lineage: Mapping[str, object] = field(default_factory=dict)
    """How it was made: `job_method`, `class_shares`, `encoder`, `seed`, `nmtune_version` and
    `machine`; of an adapted version also `adaptation`, of a migrated one `migration`."""
    adapted_from: int | None = None
    """The version of the same head that it was adapted from."""
    migrated_from: int | None = None
    """The version of the same head that it replaces with another encoder."""
    alias: str | None = None
    advised_against_because: str | None = None
    """Why the alias must not move to it from another version; None: it moves."""
    encoder: Mapping[str, object] | None = None
    """The encoder of the embeddings, if known."""

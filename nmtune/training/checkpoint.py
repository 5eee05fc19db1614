"""Checkpoints: the bytes from which a stopped training continues."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from torch import Tensor

from nmtune.errors import CheckpointError
from nmtune.numeric.tensor_file import pack, prefixed, sections, unpack
from nmtune.training.procedure import EpochReport

_KIND = "nmtune-checkpoint"
_FORMAT_VERSION = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Checkpoint:
    """A training between two epochs.

    Attributes:
        identity: config, classes and digests of the rows, by name.
        history: the reports of the finished epochs.
        scaling: the scaling's tensors, stored so that another machine's rounding cannot change it.
        document, tensors: the procedure's state.
    """

    identity: Mapping[str, Any]
    history: tuple[EpochReport, ...]
    scaling: Mapping[str, Tensor]
    document: Mapping[str, Any]
    tensors: Mapping[str, Tensor]

    def to_bytes(self) -> bytes:
        """The checkpoint as a safetensors file."""
        document = {
            "kind": _KIND,
            "version": _FORMAT_VERSION,
            "identity": self.identity,
            "history": [report.to_dict() for report in self.history],
            "procedure": self.document,
        }
        tensors = prefixed("scaling", self.scaling) | prefixed("procedure", self.tensors)
        return pack(document, tensors)

    @classmethod
    def from_bytes(cls, data: bytes, *, identity: Mapping[str, Any]) -> Self:
        """The checkpoint in `data`; CheckpointError if it is damaged or has another identity."""
        try:
            document, tensors = unpack(data, kind=_KIND, version=_FORMAT_VERSION)
            scaling, procedure = sections(tensors, "scaling", "procedure")
            stored = cls(
                identity=dict(document["identity"]),
                history=tuple(EpochReport(**report) for report in document["history"]),
                scaling=scaling,
                document=dict(document["procedure"]),
                tensors=procedure,
            )
            for epoch, report in enumerate(stored.history, start=1):
                if report.epoch != epoch or report.n_epochs < epoch:
                    raise ValueError("its history is inconsistent")
        except (ValueError, KeyError, TypeError) as wrong:
            raise CheckpointError(f"not a readable checkpoint: {wrong}") from None
        for name, value in identity.items():
            if stored.identity.get(name) != value:
                raise CheckpointError(
                    f"the checkpoint belongs to a training with other {name}: "
                    "start without it, or use the same ones"
                )
        return stored

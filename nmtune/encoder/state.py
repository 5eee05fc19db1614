"""The bytes from which a stopped training of an encoder continues."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from torch import Tensor

from nmtune.errors import CheckpointError
from nmtune.numeric.tensor_file import check_layout, pack, prefixed, sections, unpack

_KIND = "nmtune-encoder-checkpoint"
_VERSION = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingState:
    """A training between two steps.

    Attributes:
        identity: config and digests of texts and first head, by name.
        step, history: the steps done, and their reports.
        trained, moments: what is trained, and AdamW's state of each by `name.key`.
    """

    identity: Mapping[str, Any]
    step: int
    history: tuple[dict[str, Any], ...]
    trained: Mapping[str, Tensor]
    moments: Mapping[str, Tensor]

    def moments_of(self, name: str) -> dict[str, Tensor]:
        """AdamW's state of one tensor; empty before its first step."""
        return {
            key.removeprefix(f"{name}."): one
            for key, one in self.moments.items()
            if key.rpartition(".")[0] == name
        }

    def to_bytes(self) -> bytes:
        """The state as a safetensors file."""
        document = {
            "kind": _KIND,
            "version": _VERSION,
            "identity": self.identity,
            "step": self.step,
            "history": self.history,
        }
        return pack(document, prefixed("trained", self.trained) | prefixed("adam", self.moments))

    @classmethod
    def from_bytes(
        cls, data: bytes, *, identity: Mapping[str, Any], like: Mapping[str, Tensor]
    ) -> Self:
        """The state in `data`; CheckpointError if it is damaged or of another training."""
        try:
            document, tensors = unpack(data, kind=_KIND, version=_VERSION)
            trained, moments = sections(tensors, "trained", "adam")
            state = cls(
                identity=dict(document["identity"]),
                step=int(document["step"]),
                history=tuple(document["history"]),
                trained=trained,
                moments=moments,
            )
            on_cpu = {name: tensor.detach().cpu() for name, tensor in like.items()}
            check_layout(trained, on_cpu)
        except (ValueError, KeyError, TypeError) as wrong:
            raise CheckpointError(f"not a readable checkpoint: {wrong}") from None
        for name, value in identity.items():
            if state.identity.get(name) != value:
                raise CheckpointError(
                    f"the checkpoint belongs to a training with other {name}: start without it"
                )
        return state

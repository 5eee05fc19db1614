"""Adapter: the low-rank change of an encoder's linear layers (LoRA), and its bytes."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nmtune.encoder.architecture import Architecture, Targets
from nmtune.errors import DataError, HeadFormatError
from nmtune.numeric.tensor_file import pack, unpack

_KIND = "nmtune-adapter"
_VERSION = 1
_LARGEST_RANK = 1024


class Pair(NamedTuple):
    """The two factors of one layer's change: a (rank, inputs), b (outputs, rank)."""

    a: Tensor
    b: Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class Adapter:
    r"""A low-rank change of linear layers: :math:`W' = W + s B A` with s = alpha / rank * strength.

    Attributes
    ----------
    pairs : mapping of str to Pair
        By the layer's name, such as ``encoder.layer.0.attention.self.query``.
    rank : int
        The rank of every pair.
    alpha : float
        LoRA's alpha.
    targets : {"all", "attention", "mlp"}
        Which layers have a pair.
    strength : float, default=1.0
        0 leaves the encoder as it is.
    normalised : bool, default=True
        Whether the adapted encoder's vectors are brought to length 1.
    """

    pairs: Mapping[str, Pair]
    rank: int
    alpha: float
    targets: Targets
    strength: float = 1.0
    normalised: bool = True

    @property
    def scale(self) -> float:
        """What B A is multiplied by."""
        return self.alpha / self.rank * self.strength

    @property
    def n_parameters(self) -> int:
        """How many numbers were trained."""
        return sum(pair.a.numel() + pair.b.numel() for pair in self.pairs.values())

    @property
    def sha256(self) -> str:
        """The hash of its bytes, which names it in an encoder."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def at(self, strength: float) -> Self:
        """The same adapter at another strength; it shares the tensors."""
        return replace(self, strength=strength)

    def on(self, device: torch.device) -> dict[str, Pair]:
        """Its pairs on a device."""
        return {name: Pair(*(one.to(device) for one in pair)) for name, pair in self.pairs.items()}

    def folded(self, tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        """The encoder's tensors in float32 with the change built into its weights.

        In bfloat16 the vectors would move by 1e-3, in float32 they move by 2e-7.
        """
        folded = {name: np.array(tensor, np.float32) for name, tensor in tensors.items()}
        for name, pair in self.pairs.items():
            change = self.scale * (pair.b.double() @ pair.a.double())
            weight = folded[f"{name}.weight"]
            folded[f"{name}.weight"] = (weight.astype(np.float64) + change.numpy()).astype(
                np.float32
            )
        return folded

    def to_bytes(self) -> bytes:
        """The adapter as a safetensors file; equal adapters give equal bytes."""
        document = {
            "kind": _KIND,
            "version": _VERSION,
            "rank": self.rank,
            "alpha": self.alpha,
            "strength": self.strength,
            "targets": self.targets,
            "normalised": self.normalised,
        }
        tensors: dict[str, Tensor] = {}
        for name, pair in self.pairs.items():
            tensors |= {f"{name}.a": pair.a, f"{name}.b": pair.b}
        return pack(document, tensors)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The inverse of `to_bytes`; HeadFormatError says what is wrong with the bytes."""
        try:
            document, tensors = unpack(data, kind=_KIND, version=_VERSION)
            names = {name.rpartition(".")[0] for name in tensors}
            pairs = {name: Pair(tensors[f"{name}.a"], tensors[f"{name}.b"]) for name in names}
            found = cls(
                pairs=dict(sorted(pairs.items())),
                rank=int(document["rank"]),
                alpha=float(document["alpha"]),
                strength=float(document["strength"]),
                targets=document["targets"],
                normalised=bool(document["normalised"]),
            )
            found._check_itself()
        except (ValueError, KeyError, TypeError) as wrong:
            raise HeadFormatError(f"not a readable adapter: {wrong}") from None
        return found

    def _check_itself(self) -> None:
        if not 1 <= self.rank <= _LARGEST_RANK or not math.isfinite(self.scale):
            raise ValueError("rank, alpha and strength do not fit together")
        for name, pair in self.pairs.items():
            if pair.a.ndim != 2 or pair.b.ndim != 2 or pair.a.shape[0] != self.rank:
                raise ValueError(f"the pair of {name} is not of rank {self.rank}")
            if pair.b.shape[1] != self.rank or not all(bool(one.isfinite().all()) for one in pair):
                raise ValueError(f"the pair of {name} does not fit, or is not finite")

    def check(self, architecture: Architecture) -> None:
        """Raise DataError unless it is an adapter of such an encoder."""
        wanted = {
            name: (n_out, n_in) for name, n_out, n_in in architecture.linear_layers(self.targets)
        }
        found = {name: (len(pair.b), pair.a.shape[1]) for name, pair in self.pairs.items()}
        if found != wanted:
            raise DataError("the adapter belongs to an encoder of another shape", field="encoder")

    @classmethod
    def initialised(
        cls,
        architecture: Architecture,
        *,
        rank: int,
        alpha: float,
        targets: Targets,
        normalised: bool,
        generator: torch.Generator,
    ) -> Self:
        """Without effect yet: A is drawn as torch draws a linear layer's weights, B is 0."""
        pairs = {}
        for name, n_out, n_in in architecture.linear_layers(targets):
            a = torch.empty(rank, n_in).uniform_(generator=generator).mul_(2).sub_(1)
            pairs[name] = Pair(a.div_(math.sqrt(n_in)), torch.zeros(n_out, rank))
        return cls(pairs=pairs, rank=rank, alpha=alpha, targets=targets, normalised=normalised)

"""The home of Head: what is trained, versioned and served."""

import math
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from nmtune.config import TuneConfig
from nmtune.errors import DataError, HeadFormatError, NMTuneError
from nmtune.network import Network, forward_in_batches
from nmtune.rows import as_classes, as_rows
from nmtune.scaling import Scaling
from nmtune.tensor_file import check_layout, pack, prefixed, sections, unpack
from nmtune.version import __version__

_KIND = "nmtune-head"
_FORMAT_VERSION = 1
_MAX_COLUMNS = 1 << 20


class Head:
    """Scaling + transform + classifier + temperature: embeddings in, probabilities out.

    Made by a Trainer or by `from_bytes`; it never changes after, so threads may share it. It
    computes on the CPU. A row's result does not depend on the other rows of its batch, except
    for rounding in the last bits.
    """

    def __init__(
        self,
        network: Network,
        scaling: Scaling,
        *,
        classes: tuple[str, ...],
        config: TuneConfig,
        temperature: float = 1.0,
    ) -> None:
        """Take ownership of `network`, which from now on only predicts."""
        self._network = network.to("cpu").eval().requires_grad_(False)
        self._scaling = scaling
        self._classes = classes
        self._config = config
        self._temperature = temperature

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names, in the order of the probabilities' columns."""
        return self._classes

    @property
    def n_columns(self) -> int:
        """d, the width of an embedding."""
        return self._network.classifier.in_features

    @property
    def n_parameters(self) -> int:
        """How many numbers were trained (without scaling and BatchNorm's running statistics)."""
        return sum(parameter.numel() for parameter in self._network.parameters())

    @property
    def config(self) -> TuneConfig:
        """The config it was trained with; a linear probe's holds the l2 that was chosen."""
        return self._config

    @property
    def temperature(self) -> float:
        """What logits are divided by before the softmax."""
        return self._temperature

    def predict_proba(self, x: ArrayLike) -> NDArray[np.float32]:
        """Probabilities (n, c) of embeddings x (n, d) of any float or integer type.

        Raises:
            DataError: x is not two-dimensional, is empty, has another width, or holds a value
                that is not finite or too large for the head (with its row and column).
        """
        _, logits = self._forward(x)
        with torch.inference_mode():
            return (logits / self._temperature).softmax(dim=1).numpy()

    def predict(self, x: ArrayLike) -> list[str]:
        """The most probable class's name for each row of x (n, d); raises as predict_proba."""
        return [self._classes[index] for index in self.predict_proba(x).argmax(axis=1)]

    def transform(self, x: ArrayLike) -> NDArray[np.float32]:
        """Tuned embeddings Z (n, d) of embeddings x (n, d); raises as predict_proba."""
        z, _ = self._forward(x)
        return z.numpy()

    def _forward(self, x: ArrayLike) -> tuple[Tensor, Tensor]:
        rows = as_rows(x, n_columns=self.n_columns)
        with torch.inference_mode():
            z, logits = forward_in_batches(self._network, self._scaling.apply(_tensor(rows)))
            if not bool(logits.isfinite().all()):
                _refuse_overflow(logits)
        return z, logits

    def to_bytes(self) -> bytes:
        """The head as a safetensors file; the same head gives the same bytes."""
        document = {
            "kind": _KIND,
            "version": _FORMAT_VERSION,
            "nmtune_version": __version__,
            "classes": self._classes,
            "n_columns": self.n_columns,
            "temperature": self._temperature,
            "config": self._config.to_dict(),
        }
        return pack(
            document,
            prefixed("network", self._network.state_dict())
            | prefixed("scaling", self._scaling.tensors()),
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The head that `to_bytes` wrote; its predictions are bit for bit the same.

        Raises:
            HeadFormatError: damaged bytes, another format version, or contents that do not
                fit together. Nothing in the bytes is run.
        """
        try:
            document, tensors = unpack(data, kind=_KIND, version=_FORMAT_VERSION)
            return cls._from_parts(document, tensors)
        except (ValueError, KeyError, TypeError, NMTuneError) as wrong:
            raise HeadFormatError(f"not a readable head: {wrong}") from None

    @classmethod
    def _from_parts(cls, document: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Self:
        config = TuneConfig.from_dict(document["config"])
        classes = as_classes(document["classes"])
        n_columns, temperature = document["n_columns"], document["temperature"]
        if type(n_columns) is not int or not 1 <= n_columns <= _MAX_COLUMNS:
            raise ValueError(f"n_columns must be a whole number from 1 to {_MAX_COLUMNS}")
        if type(temperature) is not float or not 0 < temperature < math.inf:
            raise ValueError("temperature must be a positive number")
        of_network, of_scaling = sections(tensors, "network", "scaling")
        # The network has shapes but no storage until the tensors are found to fit it.
        network = Network(config, n_columns=n_columns, n_classes=len(classes))
        check_layout(of_network, network.state_dict())
        for name, tensor in of_network.items():
            if name.endswith("running_var") and bool((tensor < 0).any()):
                raise ValueError(f"tensor {name} is a variance and must not be negative")
        network.load_state_dict(of_network, assign=True)
        scaling = Scaling.from_tensors(config.scaling, of_scaling, n_columns=n_columns)
        return cls(network, scaling, classes=classes, config=config, temperature=temperature)


def _tensor(rows: NDArray[np.float32]) -> Tensor:
    # torch warns of memory it may not write to, and cannot read a reversed array.
    usable = rows.flags.writeable and rows.flags.c_contiguous
    return torch.from_numpy(rows if usable else rows.copy())


def _refuse_overflow(logits: Tensor) -> None:
    row = int(logits.isfinite().all(dim=1).logical_not().nonzero()[0])
    raise DataError(
        f"embeddings in row {row} are too large for the head: "
        "are they from the model it was trained on?",
        field="embeddings",
        row=row,
    )

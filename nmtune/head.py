"""The home of Head: what is trained, versioned and served."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from nmtune.canary import MOST_ROWS, Canary
from nmtune.config import TuneConfig
from nmtune.errors import DataError, HeadFormatError, NMTuneError
from nmtune.knowledge import Knowledge
from nmtune.network import Network, forward_in_batches
from nmtune.rows import as_classes, as_rows
from nmtune.scaling import Scaling
from nmtune.tensor_file import check_layout, pack, prefixed, sections, unpack
from nmtune.torch_state import own_state
from nmtune.version import __version__

_KIND = "nmtune-head"
_FORMAT_VERSION = 3
_OLDER_VERSIONS = (2,)
"""Without canary and knowledge; their heads load as they are."""
_CANARY, _KNOWLEDGE = "canary", "knowledge"
_MAX_COLUMNS = 1 << 20
_MAX_MEMBERS = 64


@dataclass(frozen=True, kw_only=True, eq=False)
class Member:
    """One trained network of a head, the scaling before it, and how much its logits count."""

    network: Network
    scaling: Scaling
    config: TuneConfig
    weight: float = 1.0


class Head:
    """Scaling + transform + classifier + temperature: embeddings in, probabilities out.

    Made by a Trainer, by `blend` or by `from_bytes`; it never changes after, so threads may share
    it. It computes on the CPU. A row's result does not depend on the other rows of its batch,
    except for rounding in the last bits.

    A head has one member, or several that were blended: its logits are then the weighted sum of
    theirs (so its probabilities are a weighted geometric mean), its tuned embeddings theirs side
    by side.

    Examples
    --------
    >>> import numpy as np
    >>> from nmtune import Trainer, TuneConfig
    >>> y = np.arange(60) % 2
    >>> x = np.random.default_rng(0).normal(size=(60, 8)) + 3 * y[:, None]
    >>> trainer = Trainer(x, y, classes=["no", "yes"], config=TuneConfig(epochs=2))
    >>> for _ in trainer:
    ...     pass
    >>> head = trainer.result().head
    >>> head.predict_proba(x).shape, head.transform(x).shape
    ((60, 2), (60, 8))
    >>> same = Head.from_bytes(head.to_bytes())
    >>> bool(np.array_equal(same.predict_proba(x), head.predict_proba(x)))
    True
    """

    @own_state()
    def __init__(
        self,
        members: Sequence[Member],
        *,
        classes: tuple[str, ...],
        temperature: float = 1.0,
        canary: Canary | None = None,
        knowledge: Knowledge | None = None,
    ) -> None:
        """Take ownership of the members' networks, which from now on only predict."""
        self._members = tuple(members)
        self._classes = classes
        self._temperature = temperature
        self._canary = canary
        self._knowledge = knowledge
        for member in self._members:
            member.network.to("cpu").eval().requires_grad_(False)

    def __repr__(self) -> str:
        return (
            f"Head({self.n_columns} columns, {len(self.classes)} classes, "
            f"temperature={self._temperature:.3g})"
        )

    @classmethod
    def blend(cls, heads: Sequence["Head"], weights: Sequence[float]) -> "Head":
        """The head whose logits are the weighted sum of calibrated logits of `heads`.

        DataError where the heads do not have the same classes and width.
        """
        first = heads[0]
        for head in heads:
            if (head.classes, head.n_columns) != (first.classes, first.n_columns):
                raise DataError("heads to blend must have the same classes and width")
        members = [
            replace(member, weight=member.weight * weight / head.temperature)
            for head, weight in zip(heads, weights, strict=True)
            for member in head._members
        ]
        return cls(members, classes=first.classes)

    def calibrated(self, temperature: float) -> "Head":
        """The same head with another temperature; it shares the networks.

        Canary and knowledge are of the old temperature, so it has none.
        """
        return Head(self._members, classes=self._classes, temperature=temperature)

    def with_canary(self, x: ArrayLike) -> "Head":
        """The same head carrying rows x (k, d) and what it says of them; it shares the networks.

        Raises:
            DataError: as predict_proba, or more than `canary.MOST_ROWS` rows.
        """
        rows = as_rows(x, n_columns=self.n_columns).copy()
        if len(rows) > MOST_ROWS:
            raise DataError(
                f"a canary has at most {MOST_ROWS} rows, got {len(rows)}", field="embeddings"
            )
        canary = Canary(x=rows, probabilities=self.predict_proba(rows))
        return self._carrying(canary, self._knowledge)

    def with_knowledge(self, knowledge: Knowledge) -> "Head":
        """The same head carrying what `knowledge.learn` gave for it; it shares the networks."""
        return self._carrying(self._canary, knowledge)

    def _carrying(self, canary: Canary | None, knowledge: Knowledge | None) -> "Head":
        return Head(
            self._members,
            classes=self._classes,
            temperature=self._temperature,
            canary=canary,
            knowledge=knowledge,
        )

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names, in the order of the probabilities' columns."""
        return self._classes

    @property
    def n_columns(self) -> int:
        """d, the width of an embedding."""
        return self._members[0].network.n_columns

    @property
    def n_tuned_columns(self) -> int:
        """m, the width of a tuned embedding: d, unless the head is an ensemble or a blend."""
        return sum(member.network.classifier.in_features for member in self._members)

    @property
    def n_parameters(self) -> int:
        """How many numbers were fitted (without scaling and BatchNorm's running statistics)."""
        return sum(
            parameter.numel()
            for member in self._members
            for parameter in member.network.parameters()
        )

    @property
    def members(self) -> tuple[Member, ...]:
        """The networks that are averaged, to be read only."""
        return self._members

    @property
    def configs(self) -> tuple[TuneConfig, ...]:
        """The config of each member; a linear probe's holds the l2 that was chosen."""
        return tuple(member.config for member in self._members)

    @property
    def config(self) -> TuneConfig:
        """The config of the only member; ValueError for a blend, which has `configs`."""
        (config,) = self.configs
        return config

    @property
    def temperature(self) -> float:
        """What logits are divided by before the softmax."""
        return self._temperature

    @property
    def canary(self) -> Canary | None:
        """Rows with what the head said of them at publication; None if it carries none."""
        return self._canary

    @property
    def knowledge(self) -> Knowledge | None:
        """What it learnt about when to trust it; None if it carries none."""
        return self._knowledge

    @own_state()
    def predict_proba(self, x: ArrayLike) -> NDArray[np.float32]:
        """Probabilities (n, c) of embeddings x (n, d) of any float or integer type.

        Raises
        ------
        DataError
            X is not two-dimensional, is empty, has another width, or holds a value
            that is not finite or too large for the head (with its row and column).
        """
        _, logits = self._forward(x)
        with torch.inference_mode():
            return (logits / self._temperature).softmax(dim=1).numpy()

    def predict(self, x: ArrayLike) -> list[str]:
        """The most probable class's name for each row of x (n, d); raises as predict_proba."""
        return [self._classes[index] for index in self.predict_proba(x).argmax(axis=1)]

    @own_state()
    def transform(self, x: ArrayLike) -> NDArray[np.float32]:
        """Tuned embeddings Z (n, m) of embeddings x (n, d); raises as predict_proba."""
        z, _ = self._forward(x)
        return z.numpy()

    @own_state()
    def logits(self, x: ArrayLike) -> NDArray[np.float32]:
        """Logits (n, c), not yet divided by the temperature; raises as predict_proba."""
        _, logits = self._forward(x)
        return logits.numpy()

    def _forward(self, x: ArrayLike) -> tuple[Tensor, Tensor]:
        rows = _tensor(as_rows(x, n_columns=self.n_columns))
        with torch.inference_mode():
            parts = [
                forward_in_batches(member.network, member.scaling.apply(rows))
                for member in self._members
            ]
            z, logits = parts[0]
            if len(parts) > 1 or self._members[0].weight != 1:
                weights = [member.weight for member in self._members]
                logits = sum(
                    (weight * part for weight, (_, part) in zip(weights, parts, strict=True)),
                    start=torch.zeros_like(logits),
                )
                z = torch.cat([part for part, _ in parts], dim=1)
            if not bool(logits.isfinite().all()):
                _refuse_overflow(logits)
        return z, logits

    @own_state()
    def to_bytes(self) -> bytes:
        """The head as a safetensors file; the same head gives the same bytes."""
        document = {
            "kind": _KIND,
            "version": _FORMAT_VERSION,
            "nmtune_version": __version__,
            "classes": self._classes,
            "n_columns": self.n_columns,
            "temperature": self._temperature,
            "members": [
                {"config": member.config.to_dict(), "weight": member.weight}
                for member in self._members
            ],
        }
        tensors: dict[str, Tensor] = {}
        for index, member in enumerate(self._members):
            parts = prefixed("network", member.network.state_dict())
            parts |= prefixed("scaling", member.scaling.tensors())
            tensors |= prefixed(str(index), parts)
        if self._canary is not None:
            tensors |= prefixed(_CANARY, self._canary.tensors())
        if self._knowledge is not None:
            tensors |= prefixed(_KNOWLEDGE, self._knowledge.tensors())
        return pack(document, tensors)

    def __reduce__(self) -> tuple[Any, ...]:
        # Pickles and copies hold the stored form, which runs nothing when it is read.
        return type(self).from_bytes, (self.to_bytes(),)

    @classmethod
    @own_state()
    def from_bytes(cls, data: bytes) -> Self:
        """The head that `to_bytes` wrote; its predictions are bit for bit the same.

        Raises
        ------
        HeadFormatError
            Damaged bytes, another format version, or contents that do not
            fit together. Nothing in the bytes is run.
        """
        try:
            document, tensors = unpack(
                data, kind=_KIND, version=_FORMAT_VERSION, older=_OLDER_VERSIONS
            )
            return cls._from_parts(document, tensors)
        except (ValueError, KeyError, TypeError, NMTuneError) as wrong:
            raise HeadFormatError(f"not a readable head: {wrong}") from None

    @classmethod
    def _from_parts(cls, document: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Self:
        classes = as_classes(document["classes"])
        n_columns, temperature = document["n_columns"], document["temperature"]
        if type(n_columns) is not int or not 1 <= n_columns <= _MAX_COLUMNS:
            raise ValueError(f"n_columns must be a whole number from 1 to {_MAX_COLUMNS}")
        if type(temperature) is not float or not 0 < temperature < math.inf:
            raise ValueError("temperature must be a positive number")
        described = document["members"]
        if not 1 <= len(described) <= _MAX_MEMBERS:
            raise ValueError(f"a head has 1 to {_MAX_MEMBERS} members, got {len(described)}")
        optional = [] if document["version"] in _OLDER_VERSIONS else [_CANARY, _KNOWLEDGE]
        names = [*map(str, range(len(described))), *optional]
        by_name = dict(zip(names, sections(tensors, *names), strict=True))
        members = [
            _member(one, by_name[str(index)], n_columns=n_columns, n_classes=len(classes))
            for index, one in enumerate(described)
        ]
        canary, knowledge = None, None
        if tensors_of := by_name.get(_CANARY):
            canary = Canary.from_tensors(tensors_of, n_columns=n_columns, n_classes=len(classes))
        if tensors_of := by_name.get(_KNOWLEDGE):
            knowledge = Knowledge.from_tensors(
                tensors_of, n_columns=n_columns, n_classes=len(classes)
            )
        return cls(
            members, classes=classes, temperature=temperature, canary=canary, knowledge=knowledge
        )


def _member(
    described: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    *,
    n_columns: int,
    n_classes: int,
) -> Member:
    config, weight = TuneConfig.from_dict(described["config"]), described["weight"]
    if type(weight) is not float or not math.isfinite(weight):
        raise ValueError("a member's weight must be a finite number")
    of_network, of_scaling = sections(tensors, "network", "scaling")
    # The network has shapes but no storage until the tensors are found to fit it.
    network = Network(config, n_columns=n_columns, n_classes=n_classes)
    check_layout(of_network, network.state_dict())
    for name, tensor in of_network.items():
        if name.endswith("running_var") and bool((tensor < 0).any()):
            raise ValueError(f"tensor {name} is a variance and must not be negative")
    network.load_state_dict(of_network, assign=True)
    scaling = Scaling.from_tensors(config.scaling, of_scaling, n_columns=n_columns)
    return Member(network=network, scaling=scaling, config=config, weight=weight)


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

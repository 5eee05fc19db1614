"""Head: what is trained, versioned and served."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from nmtune.config import TuneConfig
from nmtune.errors import DataError, HeadFormatError, NMTuneError
from nmtune.heads.member import Member as Member
from nmtune.heads.member import read_member
from nmtune.heads.network import forward_in_batches
from nmtune.numeric.tensor_file import check_layout, pack, prefixed, sections, unpack
from nmtune.numeric.torch_state import own_state
from nmtune.rows.checks import as_classes, as_rows
from nmtune.trust.knowledge import Knowledge
from nmtune.trust.self_test import MOST_ROWS, SelfTest
from nmtune.version import __version__

_KIND = "nmtune-head"
_FORMAT_VERSION = 3
_OLDER_VERSIONS = (2,)
"""They have no self-test and no knowledge, and load without them."""
_SELF_TEST, _KNOWLEDGE = "canary", "knowledge"
"""The keys under which they are stored; self-test rows keep the key of their older name."""
_ADAPTER, _BYTES = "adapter", torch.uint8
_MAX_COLUMNS = 1 << 20
_MAX_MEMBERS = 64


class Head:
    r"""A trained head: embeddings in, probabilities out.

    A head is made by a `Trainer`, `fit_auto`, `Head.blend` or `Head.from_bytes`. It never changes,
    so threads can share it, and it computes on the CPU. A row's result does not depend on the other
    rows of its batch, except for rounding in the last bits.

    With :math:`x'` the scaled embedding, a head of one member computes

    .. math:: z = T(x'), \qquad p = \mathrm{softmax}((W z + b) / t)

    with the transform T, the classifier W, b and the temperature t. The logits of a blended head
    are the weighted sum of its members' logits, so its probabilities are a weighted geometric mean;
    its tuned embeddings are its members' side by side.

    Examples
    --------
    >>> import numpy as np
    >>> from nmtune import Head, Trainer, TuneConfig
    >>> y = np.arange(40) % 2
    >>> x = np.random.default_rng(0).normal(size=(40, 3)) + 4 * y[:, None]
    >>> config = TuneConfig.from_preset("linear_probe")
    >>> trainer = Trainer(x, y, classes=["cat", "dog"], config=config)
    >>> for report in trainer:
    ...     pass
    >>> head = trainer.result().head
    >>> head.predict(x[:2])
    ['cat', 'dog']
    >>> head.predict_proba(x).shape, head.transform(x).shape
    ((40, 2), (40, 3))
    >>> again = Head.from_bytes(head.to_bytes())
    >>> bool((again.predict_proba(x) == head.predict_proba(x)).all())
    True
    """

    @own_state()
    def __init__(
        self,
        members: Sequence[Member],
        *,
        classes: tuple[str, ...],
        temperature: float = 1.0,
        self_test: SelfTest | None = None,
        knowledge: Knowledge | None = None,
        adapter: bytes | None = None,
    ) -> None:
        """Take over the members' networks, which from now on only predict."""
        self._members = tuple(members)
        self._classes = classes
        self._temperature = temperature
        self._self_test = self_test
        self._knowledge = knowledge
        self._adapter = adapter
        for member in self._members:
            member.network.to("cpu").eval().requires_grad_(False)

    def __repr__(self) -> str:
        return (
            f"Head({self.n_columns} columns, {len(self.classes)} classes, "
            f"temperature={self._temperature:.3g})"
        )

    @classmethod
    def blend(cls, heads: Sequence["Head"], weights: Sequence[float]) -> "Head":
        """The head whose logits are the weighted sum of the calibrated logits of `heads`.

        Raises DataError if the heads differ in classes or width.
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

        SelfTest and knowledge are of the old temperature, so it has none.
        """
        return Head(
            self._members, classes=self._classes, temperature=temperature, adapter=self._adapter
        )

    def with_self_test(self, x: ArrayLike) -> "Head":
        """The same head with self-test rows x (k, d) and its probabilities; it shares the networks.

        Raises DataError as `predict_proba` does, and for more than 16 rows.
        """
        rows = as_rows(x, n_columns=self.n_columns).copy()
        if len(rows) > MOST_ROWS:
            raise DataError(
                f"a self-test has at most {MOST_ROWS} rows, got {len(rows)}", field="embeddings"
            )
        self_test = SelfTest(x=rows, probabilities=self.predict_proba(rows))
        return self._carrying(self_test, self._knowledge, self._adapter)

    def with_knowledge(self, knowledge: Knowledge) -> "Head":
        """The same head with what `knowledge.learn` found for it; it shares the networks."""
        return self._carrying(self._self_test, knowledge, self._adapter)

    def with_adapter(self, adapter: bytes | None) -> "Head":
        """The same head with the adapter (`Adapter.to_bytes`) of the encoder that it judges."""
        return self._carrying(self._self_test, self._knowledge, adapter=adapter)

    def _carrying(
        self,
        self_test: SelfTest | None,
        knowledge: Knowledge | None,
        adapter: bytes | None = None,
    ) -> "Head":
        return Head(
            self._members,
            classes=self._classes,
            temperature=self._temperature,
            self_test=self_test,
            knowledge=knowledge,
            adapter=adapter,
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
        """m, the width of a tuned embedding: d, except for an ensemble or a blend."""
        return sum(member.network.n_tuned for member in self._members)

    @property
    def n_parameters(self) -> int:
        """How many numbers were fitted, without the scaling and BatchNorm's running statistics."""
        return sum(
            parameter.numel()
            for member in self._members
            for parameter in member.network.parameters()
        )

    @property
    def members(self) -> tuple[Member, ...]:
        """The networks that are averaged; only to be read."""
        return self._members

    @property
    def configs(self) -> tuple[TuneConfig, ...]:
        """The config of each member; a linear probe's holds the l2 that was chosen."""
        return tuple(member.config for member in self._members)

    @property
    def config(self) -> TuneConfig:
        """The config of the only member; ValueError for a blend, which has `configs` instead."""
        (config,) = self.configs
        return config

    @property
    def temperature(self) -> float:
        """What the logits are divided by before the softmax."""
        return self._temperature

    @property
    def self_test(self) -> SelfTest | None:
        """Rows with the head's own probabilities at publication; None if it has none."""
        return self._self_test

    @property
    def knowledge(self) -> Knowledge | None:
        """What the head knows about when to trust it; None if it has none."""
        return self._knowledge

    @property
    def adapter(self) -> bytes | None:
        """The adapter of its encoder (see `nmtune.encoder`); None if that is as it was."""
        return self._adapter

    @own_state()
    def predict_proba(self, x: ArrayLike) -> NDArray[np.float32]:
        """Probabilities for embeddings.

        Parameters
        ----------
        x : array_like of any float or integer type, shape (n, d)
            Embeddings.

        Returns
        -------
        ndarray of float32, shape (n, c)
            One row per embedding, with columns in the order of `classes`.

        Raises
        ------
        DataError
            x is not two-dimensional, is empty, has another width, or holds a value that is not
            finite or too large for the head; ``row`` and ``column`` say where.
        """
        return self.probabilities_of(self.logits(x))

    @own_state()
    def probabilities_of(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """What `predict_proba` makes of logits (n, c), as `logits` gives them."""
        with torch.inference_mode():
            return (torch.from_numpy(logits) / self._temperature).softmax(dim=1).numpy()

    def predict(self, x: ArrayLike) -> list[str]:
        """The most probable class name for each row of x (n, d); raises as `predict_proba`."""
        return [self._classes[index] for index in self.predict_proba(x).argmax(axis=1)]

    @own_state()
    def transform(self, x: ArrayLike) -> NDArray[np.float32]:
        """Tuned embeddings Z (n, m) of embeddings x (n, d); raises as `predict_proba`."""
        z, _ = self._forward(x)
        return z.numpy()

    @own_state()
    def logits(self, x: ArrayLike) -> NDArray[np.float32]:
        """Logits (n, c), not yet divided by the temperature; raises as `predict_proba`."""
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
        if self._self_test is not None:
            tensors |= prefixed(_SELF_TEST, self._self_test.tensors())
        if self._knowledge is not None:
            tensors |= prefixed(_KNOWLEDGE, self._knowledge.tensors())
        if self._adapter is not None:
            tensors[f"{_ADAPTER}.bytes"] = torch.frombuffer(bytearray(self._adapter), dtype=_BYTES)
        return pack(document, tensors)

    def __reduce__(self) -> tuple[Any, ...]:
        # Pickles and copies hold the stored form, which runs no code when it is read.
        return type(self).from_bytes, (self.to_bytes(),)

    @classmethod
    @own_state()
    def from_bytes(cls, data: bytes) -> Self:
        """The head that `to_bytes` wrote; its predictions are the same bit for bit.

        Nothing in the bytes is run. Raises HeadFormatError if they are damaged, of an unknown
        format version, or do not fit together.
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
        optional = (
            [] if document["version"] in _OLDER_VERSIONS else [_SELF_TEST, _KNOWLEDGE, _ADAPTER]
        )
        names = [*map(str, range(len(described))), *optional]
        by_name = dict(zip(names, sections(tensors, *names), strict=True))
        members = [
            read_member(one, by_name[str(index)], n_columns=n_columns, n_classes=len(classes))
            for index, one in enumerate(described)
        ]
        self_test, knowledge = None, None
        if tensors_of := by_name.get(_SELF_TEST):
            self_test = SelfTest.from_tensors(
                tensors_of, n_columns=n_columns, n_classes=len(classes)
            )
        if tensors_of := by_name.get(_KNOWLEDGE):
            knowledge = Knowledge.from_tensors(
                tensors_of, n_columns=n_columns, n_classes=len(classes)
            )
        return cls(
            members,
            classes=classes,
            temperature=temperature,
            self_test=self_test,
            knowledge=knowledge,
            adapter=_adapter(by_name.get(_ADAPTER) or {}),
        )


def _adapter(tensors: Mapping[str, Tensor]) -> bytes | None:
    if not tensors:
        return None
    check_layout(tensors, {"bytes": torch.empty(len(tensors["bytes"]), dtype=_BYTES)})
    return tensors["bytes"].numpy().tobytes()


def _tensor(rows: NDArray[np.float32]) -> Tensor:
    # torch warns about read-only memory, and cannot read a reversed array.
    usable = rows.flags.writeable and rows.flags.c_contiguous
    return torch.from_numpy(rows if usable else rows.copy())


def _refuse_overflow(logits: Tensor) -> None:
    row = int(logits.isfinite().all(dim=1).logical_not().nonzero()[0])
    raise DataError(
        f"embeddings in row {row} are too large for the head: "
        "do they come from the encoder it was trained on?",
        field="embeddings",
        row=row,
    )

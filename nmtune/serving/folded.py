"""Fold a head into the fewest float32 matrices that give the same answers.

Every step of a head before and after its hidden units is affine: scaling, eval-mode BatchNorm, the
second layer of an MLP, the learnt residual scale, the classifier, a member's weight and the
temperature. So any head, blend or ensemble is one hidden layer beside one affine map:

    logits / temperature = (x - shift) A + a + relu((x - shift) H + h) B

All products of weights are computed in float64 and rounded once. A 4d-wide MLP then needs half the
multiplications that its layers would one by one. The result does not use torch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from nmtune.heads.head import Head, Member
from nmtune.heads.network import Bottlenecks, Network
from nmtune.numeric.torch_state import own_state

Matrix = NDArray[np.float32]
_Wide = NDArray[np.float64]

MAX_FOLDED_MEAN: Final = 4.0
"""A mean of up to this many deviations is folded into the biases. Beyond, float32 would lose the
digits that x and the mean share, so the mean is subtracted first."""

_ROWS_AT_A_TIME: Final = 1024


@dataclass(frozen=True, kw_only=True, eq=False)
class TunedPart:
    """One member's tuned embeddings (n, m), from x - shift and the hidden units u of all members:

    (x - shift) * diagonal  or  (x - shift) linear  or  nothing,
    + u[:, first:last] back  or  u[:, first:last]  or  nothing,  + bias.
    """

    n_columns: int
    """m."""
    diagonal: Matrix | None = None
    """(d,): the factor for the residual or the plain embeddings."""
    linear: Matrix | None = None
    """(d, m): the whitening map."""
    hidden: tuple[int, int] | None = None
    """This member's hidden units: the first, and one past the last."""
    back: Matrix | None = None
    """(last - first, m): the layer after the hidden units; without it, they are the embeddings."""
    bias: Matrix | None = None
    """(m,)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FoldedHead:
    """A head's matrices, all float32 in C order: c classes, d columns, u hidden units.

    It gives the answers of the `Head` that `fold` made it from, up to rounding.
    """

    classes: tuple[str, ...]
    temperature: float
    """Already divided by: the head's logits are `temperature` times the scores."""
    n_columns: int
    """d."""
    shift: Matrix | None
    """(d,): subtracted from x first; None if that is not needed."""
    affine: Matrix | None
    """A (d, c); None if no member is affine or has a residual."""
    bias: Matrix
    """a (c,)."""
    into: Matrix | None
    """H (d, u); None if no member has hidden units."""
    into_bias: Matrix | None
    """h (u,)."""
    out: Matrix | None
    """B (u, c)."""
    tuned: tuple[TunedPart, ...]
    """For `transform`: one part per member, side by side."""

    @property
    def n_tuned_columns(self) -> int:
        """m, the width of a tuned embedding."""
        return sum(part.n_columns for part in self.tuned)

    @property
    def n_bytes(self) -> int:
        """The size of the matrices."""
        arrays = [self.shift, self.affine, self.bias, self.into, self.into_bias, self.out]
        arrays += [a for part in self.tuned for a in (part.diagonal, part.linear, part.back)]
        return sum(array.nbytes for array in arrays if array is not None)

    def scores(self, x: Matrix) -> Matrix:
        """Logits divided by the temperature (n, c), for finite float32 rows x (n, d)."""
        return _by_blocks(self._scores, x)

    def logits(self, x: Matrix) -> Matrix:
        """Logits (n, c), not divided by the temperature, as `Head.logits`."""
        return self.scores(x) * np.float32(self.temperature)

    def predict_proba(self, x: Matrix) -> Matrix:
        """Probabilities (n, c), as `Head.predict_proba`."""
        return softmax(self.scores(x))

    def transform(self, x: Matrix) -> Matrix:
        """Tuned embeddings Z (n, m), as `Head.transform`."""
        return _by_blocks(self._transform, x)

    def _shifted(self, x: Matrix) -> Matrix:
        return x if self.shift is None else x - self.shift

    def _hidden(self, x: Matrix) -> Matrix | None:
        if self.into is None or self.into_bias is None:
            return None
        hidden: Matrix = x @ self.into
        hidden += self.into_bias
        return np.maximum(hidden, 0, out=hidden)

    def _scores(self, x: Matrix) -> Matrix:
        x = self._shifted(x)
        scores = np.tile(self.bias, (len(x), 1))
        if self.affine is not None:
            scores += x @ self.affine
        hidden = self._hidden(x)
        if hidden is not None and self.out is not None:
            scores += hidden @ self.out
        return scores

    def _transform(self, x: Matrix) -> Matrix:
        x = self._shifted(x)
        hidden = self._hidden(x)
        return np.concatenate([_tuned(part, x, hidden) for part in self.tuned], axis=1)


def softmax(scores: Matrix) -> Matrix:
    """Probabilities (n, c) from logits that are already divided by the temperature."""
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    probabilities: Matrix = powers / powers.sum(axis=1, keepdims=True)
    return probabilities


@own_state()
def fold(head: Head) -> FoldedHead:
    """The head as plain arrays of their own; float64 sums are rounded once."""
    shift = _shift(head.members)
    affine = np.zeros((head.n_columns, len(head.classes)))
    bias = np.zeros(len(head.classes))
    into, into_bias, out, tuned = [], [], [], []
    n_hidden, is_affine = 0, False
    for member in head.members:
        one = _Layers(member, shift)
        weight = member.weight / head.temperature
        classifier = _wide(member.network.classifier.weight).T * weight
        on_x, on_units, offset = one.classified(classifier)
        bias += _wide(member.network.classifier.bias) * weight + offset
        if on_x is not None:
            is_affine = True
            affine += on_x
        if one.into is not None and one.into_bias is not None and on_units is not None:
            into.append(one.into)
            into_bias.append(one.into_bias)
            out.append(on_units)
        n_units = 0 if one.into is None else one.into.shape[1]
        tuned.append(one.tuned((n_hidden, n_hidden + n_units) if n_units else None))
        n_hidden += n_units
    return FoldedHead(
        classes=head.classes,
        temperature=head.temperature,
        n_columns=head.n_columns,
        shift=None if shift is None else _narrow(shift),
        affine=_narrow(affine) if is_affine else None,
        bias=_narrow(bias),
        into=_narrow(np.concatenate(into, axis=1)) if into else None,
        into_bias=_narrow(np.concatenate(into_bias)) if into else None,
        out=_narrow(np.concatenate(out)) if into else None,
        tuned=tuple(tuned),
    )


class _Layers:
    """One member in float64: u = relu((x - shift) into + into_bias), and Z of x - shift and u."""

    def __init__(self, member: Member, shift: _Wide | None) -> None:
        network = member.network
        d = network.n_columns
        scaling = member.scaling
        divisor = np.ones(d) if scaling.divisor is None else _wide(scaling.divisor) * np.ones(d)
        mean = np.zeros(d) if scaling.mean is None else _wide(scaling.mean)
        scale = 1 / divisor
        # Scaled rows are (x - shift) * scale + moved.
        moved = ((np.zeros(d) if shift is None else shift) - mean) * scale
        self.diagonal: _Wide | None = None
        self.linear: _Wide | None = None
        self.into: _Wide | None = None
        self.into_bias: _Wide | None = None
        self.back: _Wide | None = None
        self.bias = np.zeros(network.n_tuned)
        self.sees_units = isinstance(network.transform, Bottlenecks)

        def layer(linear: nn.Linear) -> tuple[_Wide, _Wide]:
            weight = _wide(linear.weight)
            return scale[:, None] * weight.T, _wide(linear.bias) + weight @ moved

        linears, norm, residual = _modules(network)
        if not linears:
            self.diagonal, self.bias = scale, moved
        elif member.config.transform == "whiten":
            self.linear, self.bias = layer(linears[0])
        else:
            self.into, self.into_bias = layer(linears[0])
            if norm is not None:
                gain, offset = _affine_of(norm)
                self.into, self.into_bias = self.into * gain, self.into_bias * gain + offset
        if self.sees_units:
            self.back, self.diagonal, self.bias = _wide(linears[1].weight).T, scale, moved
        elif len(linears) == 2:
            self.back, self.bias = _wide(linears[1].weight).T, _wide(linears[1].bias)
            if residual is not None:
                self.back, self.bias = self.back * residual, self.bias * residual + moved
                self.diagonal = scale

    def classified(self, classifier: _Wide) -> tuple[_Wide | None, _Wide | None, _Wide]:
        """What the classifier (m, c) makes of x - shift and of u, as matrices, and the offset."""
        on_units: _Wide | None = None
        if self.sees_units:
            d = len(self.bias)
            classifier, on_units = classifier[:d], classifier[d:]
        elif self.into is not None:
            on_units = classifier if self.back is None else self.back @ classifier
        on_x: _Wide | None = None
        if self.linear is not None:
            on_x = self.linear @ classifier
        elif self.diagonal is not None:
            on_x = self.diagonal[:, None] * classifier
        return on_x, on_units, self.bias @ classifier

    def tuned(self, hidden: tuple[int, int] | None) -> TunedPart:
        return TunedPart(
            n_columns=len(self.bias),
            diagonal=None if self.diagonal is None else _narrow(self.diagonal),
            linear=None if self.linear is None else _narrow(self.linear),
            hidden=hidden,
            back=None if self.back is None else _narrow(self.back),
            bias=_narrow(self.bias) if self.bias.any() else None,
        )


def _modules(network: Network) -> tuple[list[nn.Linear], nn.BatchNorm1d | None, _Wide | None]:
    """The transform's linear layers in order, its BatchNorm, and its learnt residual scale."""
    linears: list[nn.Linear] = []
    norm = None
    for module in network.transform.modules():
        if isinstance(module, nn.Linear):
            linears.append(module)
        elif isinstance(module, nn.BatchNorm1d):
            norm = module
    scales = [p for name, p in network.transform.named_parameters() if name == "scale"]
    return linears, norm, _wide(scales[0]) if scales else None


def _affine_of(norm: nn.BatchNorm1d) -> tuple[_Wide, _Wide]:
    """The factor and the offset of BatchNorm in eval mode."""
    assert norm.running_mean is not None and norm.running_var is not None  # noqa: S101, PT018
    gain = _wide(norm.weight) / np.sqrt(_wide(norm.running_var) + norm.eps)
    return gain, _wide(norm.bias) - gain * _wide(norm.running_mean)


def _shift(members: tuple[Member, ...]) -> _Wide | None:
    """What to subtract first: a mean many deviations away from 0, else None.

    One shift serves all members. If a member has another mean or none, the difference goes into its
    bias, which costs no digits, since x - shift is small.
    """
    for member in members:
        mean, divisor = member.scaling.mean, member.scaling.divisor
        if mean is not None and divisor is not None:
            wide = _wide(mean)
            if float(np.abs(wide / _wide(divisor)).max()) > MAX_FOLDED_MEAN:
                return wide
    return None


def _tuned(part: TunedPart, x: Matrix, hidden: Matrix | None) -> Matrix:
    terms: list[Matrix] = []
    if part.diagonal is not None:
        terms.append(x * part.diagonal)
    if part.linear is not None:
        terms.append(x @ part.linear)
    if part.hidden is not None and hidden is not None:
        mine = hidden[:, slice(*part.hidden)]
        terms.append(mine if part.back is None else mine @ part.back)
    if part.bias is not None:
        terms.append(part.bias)
    return np.asarray(sum(terms[1:], start=terms[0]), np.float32)


def _by_blocks(answer: Callable[[Matrix], Matrix], x: Matrix) -> Matrix:
    if len(x) <= _ROWS_AT_A_TIME:
        return answer(x)
    starts = range(0, len(x), _ROWS_AT_A_TIME)
    return np.concatenate([answer(x[start : start + _ROWS_AT_A_TIME]) for start in starts])


def _wide(tensor: Tensor) -> _Wide:
    return tensor.detach().cpu().double().numpy()


def _narrow(values: _Wide) -> Matrix:
    return np.ascontiguousarray(values, dtype=np.float32)

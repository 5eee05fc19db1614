"""A stack's steps as CUDA graphs: two calls start a step's 280 kernels.

The eigen-decomposition cannot be part of a graph, so it runs between two graphs.
"""

import weakref
from functools import cache
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from nmtune.numeric.eigh import eigh
from nmtune.training.rows import LabelledRows

_N_EAGER = 3
"""Steps before recording starts: libraries and AdamW initialise in the first ones."""


class Steps(Protocol):
    """A stack of heads: its step, whole and in two halves around the decomposition."""

    optimiser: torch.optim.AdamW
    needed: set[str]

    def step(self, rows: LabelledRows) -> Tensor: ...
    def forward(self, rows: LabelledRows) -> Any: ...
    def backward(self, rows: LabelledRows, passed: Any) -> Tensor: ...


class GraphedSteps:
    """Run the steps of a stack on a GPU; each batch size is recorded once."""

    def __init__(self, stack: Steps) -> None:
        # The stack holds this object: a cycle would keep GPU memory until garbage collection.
        self._stack: Steps = weakref.proxy(stack)
        self._n_done = 0
        self._recorded: dict[int, _Recorded] = {}

    def __call__(self, rows: LabelledRows) -> Tensor:
        """The result of Stack.step, which the next step overwrites."""
        self._n_done += 1
        if self._n_done <= _N_EAGER:
            return self._step_aside(rows)
        size = rows.y.shape[-1]
        if size not in self._recorded:
            self._recorded[size] = _record(self._stack, rows)
        return _replay(self._recorded[size], rows)

    def _step_aside(self, rows: LabelledRows) -> Tensor:
        """Run off the default stream, on which autograd's work could not be recorded later."""
        current, aside = torch.cuda.current_stream(), _aside(rows.x.device)
        aside.wait_stream(current)
        with torch.cuda.stream(aside):
            losses = self._stack.step(rows)
        current.wait_stream(aside)
        return losses


@cache
def _aside(device: torch.device) -> torch.cuda.Stream:
    """One stream for all: each takes 32 MB or more for products."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


class _Recorded(NamedTuple):
    """Two graphs and the tensors that they read and write."""

    first: torch.cuda.CUDAGraph
    second: torch.cuda.CUDAGraph
    rows: LabelledRows
    gram: Tensor | None
    values: Tensor
    vectors: Tensor
    losses: Tensor


def _record(stack: Steps, rows: LabelledRows) -> _Recorded:
    """Record a step without computing it."""
    rows = rows.clone()
    n_heads, n_rows, n_columns = rows.x.shape
    side = min(n_rows, n_columns)
    values = torch.ones(n_heads, side, dtype=torch.float64, device=rows.x.device)
    vectors = torch.zeros(n_heads, side, side, dtype=torch.float64, device=rows.x.device)
    stack.optimiser.zero_grad()
    first, second = torch.cuda.CUDAGraph(), torch.cuda.CUDAGraph()
    with torch.cuda.graph(first):
        passed = stack.forward(rows)
        gram = passed.batch.gram if "dominant" in stack.needed else None
    passed.batch.singular = values, vectors
    with torch.cuda.graph(second, pool=first.pool()):
        losses = stack.backward(rows, passed)
    return _Recorded(first, second, rows, gram, values, vectors, losses)


def _replay(recorded: _Recorded, rows: LabelledRows) -> Tensor:
    for there, given in zip(recorded.rows.parts(), rows.parts(), strict=True):
        if there is not None and given is not None:
            there.copy_(given)
    recorded.first.replay()
    if recorded.gram is not None:
        eigenvalues, vectors = eigh(recorded.gram)
        recorded.values.copy_(eigenvalues.flip(-1).clamp_min(0).sqrt())
        recorded.vectors.copy_(vectors.flip(-1))
    recorded.second.replay()
    return recorded.losses

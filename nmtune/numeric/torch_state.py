"""Set torch's and numpy's global state as this package needs it, and restore the caller's.

A notebook may work in float64, without gradients, under autocast, on a GPU by default, or with
errors on overflow. This package's results must not depend on that, nor change it. If nobody has
imported torch yet, its state is that of a new process, and it is not imported for this.
"""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from nmtune.numeric.numpy_state import numpy_state

_AUTOCAST_DEVICES = ("cpu", "cuda")

_lock = threading.Lock()
_n_inside = 0
_undo: list[Callable[[], object]] = []
_products = "highest"


def use_products(precision: str) -> None:
    """Set the precision of this package's float32 products, as torch names precisions."""
    import torch

    global _products
    _products = precision
    torch.set_float32_matmul_precision(precision)


@contextmanager
def own_state() -> Iterator[None]:
    """Compute as in a new process: a context manager, or a decorator for non-generator functions.

    Inside it, default dtype and device, grad and inference mode, autocast, anomaly detection,
    deterministic algorithms, precision of float32 products and numpy's handling of floating-point
    errors have their defaults; afterwards they are the caller's again. The number of threads stays.
    Torch keeps some of these settings per process, so other threads see them meanwhile.
    """
    with ExitStack() as stack:
        stack.enter_context(numpy_state())
        if "torch" in sys.modules:
            _enter_torch_state(stack)
        yield


def _enter_torch_state(stack: ExitStack) -> None:
    import torch

    stack.enter_context(torch.inference_mode(mode=False))
    stack.enter_context(torch.enable_grad())
    for device in _AUTOCAST_DEVICES:
        if torch.is_autocast_enabled(device):
            stack.enter_context(torch.autocast(device, enabled=False))
    if torch.get_default_device().type != "cpu":
        stack.enter_context(torch.device("cpu"))
    stack.enter_context(_of_all_threads())


@contextmanager
def _of_all_threads() -> Iterator[None]:
    """Torch's settings per process: set by the first thread to enter, undone by the last."""
    global _n_inside
    with _lock:
        if _n_inside == 0:
            _undo.extend(_set_for_the_process())
        _n_inside += 1
    try:
        yield
    finally:
        with _lock:
            _n_inside -= 1
            if _n_inside == 0:
                while _undo:
                    _undo.pop()()


def _set_for_the_process() -> Iterator[Callable[[], object]]:
    """Set whatever differs, and yield what undoes each change."""
    import torch

    if (dtype := torch.get_default_dtype()) != torch.float32:
        torch.set_default_dtype(torch.float32)
        yield lambda: torch.set_default_dtype(dtype)
    if torch.is_anomaly_enabled():
        checks_nan = torch.is_anomaly_check_nan_enabled()
        torch.autograd.set_detect_anomaly(False)
        yield lambda: torch.autograd.set_detect_anomaly(True, check_nan=checks_nan)
    if torch.are_deterministic_algorithms_enabled():
        warns = torch.is_deterministic_algorithms_warn_only_enabled()
        torch.use_deterministic_algorithms(False)
        yield lambda: torch.use_deterministic_algorithms(True, warn_only=warns)
    yield from _set_products()


def _set_products() -> Iterator[Callable[[], object]]:
    import torch

    try:
        before = torch.get_float32_matmul_precision()
    except RuntimeError:  # set by backend, which torch cannot report as one word
        of_torch: Any = torch.backends
        backends = (of_torch.mkldnn.matmul, of_torch.cuda.matmul)
        found = [backend.fp32_precision for backend in backends]
        torch.set_float32_matmul_precision(_products)
        for backend, precision in zip(backends, found, strict=True):
            yield partial(setattr, backend, "fp32_precision", precision)
        return
    if before != _products:
        torch.set_float32_matmul_precision(_products)
        yield lambda: torch.set_float32_matmul_precision(before)

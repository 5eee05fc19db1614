"""Set a process up for training: threads, device, memory and fast products."""

import ctypes
from dataclasses import dataclass

import torch

from nmtune.errors import ConfigError
from nmtune.numeric.torch_state import use_products

DEVICES = ("auto", "cpu", "cuda")

# Of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_MOST = 2**31 - 1
# The relative error of a float32 product of 512 terms is 3e-7; through bfloat16, 2e-3.
_FLOAT32_ERROR = 1e-5


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """Where this process computes: `device` is `cpu` or `cuda`, `device_name` the GPU's model."""

    torch_version: str
    device: str
    device_name: str
    n_threads: int


def prepare(*, device: str = "auto", n_threads: int | None = None) -> Runtime:
    """Set this process up for training, and say what it has; call it once, before any tensor.

    It changes the process: denormal numbers become 0, freed memory is kept until the process ends
    (with glibc), and on a CPU float32 products use the faster of torch's two libraries as long as
    that keeps float32's accuracy.

    Args:
        device: `cpu`, `cuda`, or `auto` for a GPU if there is one.
        n_threads: threads per operation; None leaves it to torch. The last bits of a result depend
            on it.

    Raises:
        ConfigError: the device is unknown, or `cuda` and torch finds no GPU.
    """
    if n_threads is not None:
        torch.set_num_threads(n_threads)
    # The optimiser moments of dead units decay into denormal numbers, which are several times
    # slower. Threads that torch starts from here on inherit the setting.
    torch.set_flush_denormal(True)
    _keep_freed_memory()
    chosen = _choose(device)
    if chosen == "cpu":
        _take_fast_products()
    return Runtime(
        torch_version=str(torch.__version__),
        device=chosen,
        device_name=torch.cuda.get_device_name() if chosen == "cuda" else "",
        n_threads=torch.get_num_threads(),
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` means that memory ran out, on the host or the GPU."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    # torch's CPU allocator has no exception class of its own.
    words = ("can't allocate memory", "bad_alloc")
    return isinstance(error, RuntimeError) and any(word in str(error) for word in words)


def _keep_freed_memory() -> None:
    """Make malloc keep freed memory: each step needs the same large arrays as the one before.

    Otherwise the kernel clears the pages anew, which takes half of a step's time at d = 3072.
    Without glibc this does nothing.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):
        return
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, _MOST)


def _take_fast_products() -> None:
    """Use oneDNN, not MKL, for float32 products: twice as fast on AMD processors with AVX-512.

    The setting also permits bfloat16, which processors with AMX would use.
    """
    use_products("medium")
    if product_error() > _FLOAT32_ERROR:
        use_products("highest")


def product_error() -> float:
    """The relative error of a float32 product on the CPU, with torch's present settings."""
    generator = torch.Generator().manual_seed(0)
    left = torch.randn(64, 512, generator=generator)
    right = torch.randn(512, 512, generator=generator)
    exact = left.double() @ right.double()
    return float(((left @ right).double() - exact).norm() / exact.norm())


def _choose(device: str) -> str:
    if device not in DEVICES:
        raise ConfigError(
            f"device must be one of {', '.join(DEVICES)}, got {device!r}", field="device"
        )
    has_gpu = torch.cuda.is_available()
    if device == "cuda" and not has_gpu:
        raise ConfigError(
            "device is 'cuda' but torch finds no GPU: install a CUDA build of torch and the "
            "driver, or set the device to 'auto'",
            field="device",
        )
    return "cuda" if device == "auto" and has_gpu else device.replace("auto", "cpu")

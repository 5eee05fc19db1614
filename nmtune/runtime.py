"""The home of what training asks of its process: threads, a device, and how memory runs out."""

from dataclasses import dataclass

import torch

from nmtune.errors import ConfigError

DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """Where this process computes; `device` is `cpu` or `cuda`, `device_name` the GPU's model."""

    torch_version: str
    device: str
    device_name: str
    n_threads: int


def prepare(*, device: str = "auto", n_threads: int | None = None) -> Runtime:
    """Set this process up for training and say what it got; call it once, before any tensor.

    Args:
        device: `cpu`, `cuda`, or `auto` for the GPU where there is one.
        n_threads: threads of one operation, torch's own choice if None. The last bits of a
            result depend on it.

    Raises:
        ConfigError: a device that is unknown, or `cuda` where torch finds none.
    """
    if n_threads is not None:
        torch.set_num_threads(n_threads)
    # Dead units leave optimiser moments that decay into denormal numbers, which are several
    # times slower. Threads that torch starts from here on inherit the setting.
    torch.set_flush_denormal(True)
    chosen = _choose(device)
    return Runtime(
        torch_version=str(torch.__version__),
        device=chosen,
        device_name=torch.cuda.get_device_name() if chosen == "cuda" else "",
        n_threads=torch.get_num_threads(),
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that there was no memory left, on the host or the GPU."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    # torch's allocator for the CPU has no exception class of its own.
    words = ("can't allocate memory", "bad_alloc")
    return isinstance(error, RuntimeError) and any(word in str(error) for word in words)


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

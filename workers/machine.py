"""Whether this machine can train, checked before the first job."""

from nmtune.errors import ConfigError
from nmtune.version import __version__

VERSION = __version__


def describe(device: str) -> str:
    """Describe what a training would run on, as in "torch 2.13.0 on cpu with 8 threads".

    Raises RuntimeError with advice if `device` cannot be used.
    """
    # This imports torch, which --version must not wait for.
    from nmtune.numeric import runtime

    try:
        machine = runtime.prepare(device=device)
    except ConfigError as error:
        raise RuntimeError(error.message) from error
    name = f" ({machine.device_name})" if machine.device_name else ""
    return (
        f"torch {machine.torch_version} on {machine.device}{name} with {machine.n_threads} threads"
    )

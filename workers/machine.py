"""The home of the question whether this machine can train, asked before the first job is."""

from nmtune.errors import ConfigError
from nmtune.version import __version__

VERSION = __version__


def describe(device: str) -> str:
    """What a training would run on, in words, such as: torch 2.13.0 on cpu with 8 threads.

    Raises RuntimeError, with what to do, if `device` cannot be used.
    """
    # torch, which whoever asks for the version alone does without.
    from nmtune.numeric import runtime

    try:
        machine = runtime.prepare(device=device)
    except ConfigError as error:
        raise RuntimeError(error.message) from error
    name = f" ({machine.device_name})" if machine.device_name else ""
    return (
        f"torch {machine.torch_version} on {machine.device}{name} with {machine.n_threads} threads"
    )

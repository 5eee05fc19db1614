"""The runtime: which device is taken, and how want of memory is told from a bug."""

from collections.abc import Iterator

import pytest
import torch

from nmtune import ConfigError, runtime


@pytest.fixture(autouse=True)
def process_as_it_was() -> Iterator[None]:
    """Other tests of this process expect torch's own settings."""
    n_threads = torch.get_num_threads()
    yield
    torch.set_num_threads(n_threads)
    torch.set_flush_denormal(False)


def test_auto_takes_what_there_is() -> None:
    machine = runtime.prepare()
    assert machine.device == ("cuda" if torch.cuda.is_available() else "cpu")
    assert machine.torch_version == torch.__version__
    assert machine.n_threads == torch.get_num_threads()


def test_threads_are_set() -> None:
    assert runtime.prepare(device="cpu", n_threads=1).n_threads == 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_missing_gpu_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(ConfigError, match="set the device to 'auto'") as caught:
        runtime.prepare(device="cuda")
    assert caught.value.field == "device"


def test_unknown_device_is_refused() -> None:
    with pytest.raises(ConfigError, match="auto, cpu, cuda"):
        runtime.prepare(device="tpu")


def test_want_of_memory_is_recognised() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(10**16)
    assert runtime.is_out_of_memory(caught.value)
    assert runtime.is_out_of_memory(MemoryError())
    assert runtime.is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert not runtime.is_out_of_memory(RuntimeError("shapes do not fit"))
    assert not runtime.is_out_of_memory(ValueError("can't allocate memory"))

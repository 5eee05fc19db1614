"""The runtime: device, memory and products, and how want of memory is told from a bug."""

import platform
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch

from nmtune import ConfigError
from nmtune.numeric import runtime


@pytest.fixture(autouse=True)
def process_as_it_was() -> Iterator[None]:
    """Other tests of this process expect torch's own settings."""
    n_threads = torch.get_num_threads()
    yield
    torch.set_num_threads(n_threads)
    torch.set_flush_denormal(False)
    torch.set_float32_matmul_precision("highest")


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


def test_float32_products_keep_their_accuracy_whatever_the_processor() -> None:
    runtime.prepare(device="cpu", n_threads=1)
    assert runtime.product_error() < 1e-5


def test_fast_products_are_given_up_where_they_are_not_float32(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runtime, "product_error", lambda: 2e-3)  # as by bfloat16
    runtime.prepare(device="cpu", n_threads=1)
    assert torch.get_float32_matmul_precision() == "highest"


@pytest.mark.parametrize("fault", [OSError, TypeError, AttributeError])
def test_a_c_library_without_mallopt_is_no_obstacle(
    monkeypatch: pytest.MonkeyPatch, fault: type[Exception]
) -> None:
    def refuse(_name: None) -> None:
        raise fault

    monkeypatch.setattr("ctypes.CDLL", refuse)
    assert runtime.prepare(device="cpu", n_threads=1).device == "cpu"


KEEPING = """
import resource, torch
from nmtune.numeric import runtime
runtime.prepare(device="cpu", n_threads=1)
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(4_000_000)  # 16 MB: 3,906 pages
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
for _ in range(20):  # until malloc has settled where the array goes
    faults()
print(faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_freed_memory_is_used_again_without_asking_the_kernel() -> None:
    # In a process of its own: nothing undoes the setting.
    done = subprocess.run(
        [sys.executable, "-c", KEEPING], capture_output=True, text=True, check=True, timeout=120
    )
    assert int(done.stdout) < 100


def test_want_of_memory_is_recognised() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(10**16)
    assert runtime.is_out_of_memory(caught.value)
    assert runtime.is_out_of_memory(MemoryError())
    assert runtime.is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert not runtime.is_out_of_memory(RuntimeError("shapes do not fit"))
    assert not runtime.is_out_of_memory(ValueError("can't allocate memory"))

"""Each wheel works in an environment that holds nothing but what it asks for."""

import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

import nmtune
from tests.distributions.conftest import Install

pytestmark = pytest.mark.slow

KEPT = Path(__file__).parent.parent / "data" / "kept" / "0.1.0"
ABSENT = """
import importlib.util, sys
def absent(*names):
    found = [name for name in names if importlib.util.find_spec(name)]
    assert not found, found
"""
SCIENCE = """
from importlib.metadata import version
import numpy as np, nmtune
assert version("nmtune") == nmtune.__version__
assert not {"torch", "sklearn", "matplotlib", "onnx"} & set(sys.modules)
from nmtune import Head, NMTuneClassifier, Trainer, TuneConfig, evaluate, spectrum
random = np.random.default_rng(0)
y = np.arange(120) % 2
x = (random.normal(size=(120, 6)) + 2 * y[:, None]).astype(np.float32)
model = NMTuneClassifier("linear_probe", random_state=0).fit(x, y)
assert model.score(x, y) > 0.9
trainer = Trainer(x, y, classes=("a", "b"), config=TuneConfig.from_preset("paper", epochs=2))
assert len(list(trainer)) == 2
head = Head.from_bytes(trainer.result().head.to_bytes())
assert evaluate(head.predict_proba(x), y, head.classes).n_rows == 120
assert spectrum(head.transform(x)).effective_rank > 1
"""
WITHOUT_EXTRAS = """
absent("onnx", "onnxruntime", "matplotlib")
for module, extra in (
    ("nmtune.serving.onnx_file", "onnx"),
    ("nmtune.serving.session", "onnx"),
    ("nmtune.plot", "plot"),
):
    try:
        importlib.import_module(module)
    except ImportError as missing:
        assert f"pip install 'nmtune[{extra}]'" in str(missing), missing
    else:
        raise AssertionError(module)
"""
WITH_EXTRAS = """
from nmtune.serving.onnx_file import onnx_bytes, run_onnx
np.testing.assert_allclose(run_onnx(onnx_bytes(head), x), head.predict_proba(x), atol=1e-5)
import matplotlib
matplotlib.use("Agg")
from nmtune import plot
assert len(plot.spectrum(spectrum(x), spectrum(head.transform(x))).lines) == 2
"""


def run(python: Path, code: str) -> None:
    done = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_nmtune_alone(install: Install) -> None:
    python = install("nmtune") / "python"
    absent = 'absent("store", "service", "workers", "providers", "standalone", "nmtune_client")'
    run(python, ABSENT + absent + SCIENCE + WITHOUT_EXTRAS)


def test_nmtune_with_its_extras(install: Install) -> None:
    python = install("nmtune[onnx,plot]") / "python"
    run(python, ABSENT + SCIENCE + WITH_EXTRAS)


def test_the_client_alone(install: Install) -> None:
    programs = install("nmtune-client")
    run(programs / "python", ABSENT + 'absent("nmtune", "service", "torch", "sklearn", "pandas")')
    said = subprocess.run([programs / "nmtune", "--version"], capture_output=True, text=True)
    assert said.stdout == f"nmtune-client {version('nmtune-client')}\n"
    bundle = KEPT / "exports" / "pets-1.zip"
    checked = subprocess.run(
        [programs / "nmtune", "verify", bundle], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stderr
    assert "pets@1" in checked.stdout


def test_the_server_alone(install: Install) -> None:
    programs = install("nmtune-server")
    run(programs / "python", ABSENT + 'absent("nmtune_client", "httpx", "matplotlib", "boto3")')
    said = subprocess.run([programs / "nmtune-server", "--version"], capture_output=True, text=True)
    assert said.stdout == f"nmtune-server {nmtune.__version__}\n"

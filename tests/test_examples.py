"""Every example runs, on the bundled data, and prints what it is there to show."""

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "examples"
HELPERS = {"bundled", "cut_data", "demo", "own_server"}  # tests/journeys does what demo.py does
SHOWN = {
    "choose_a_head": r"chosen by NMTune +9\d\.\d%",
    "correct_labels": r"(?s)\d+ labels are suspected, .*dataset: \d+ rows relabelled",
    "find_wrong_labels": r"90 of 1806 .*\n.*most suspected rows [789]\d% are flipped",
    "more_labels": r"doubling [\d,]+ training rows",
    "take_a_head_home": r"The server and the bundle agree\.",
    "train_by_hand": r"(?s)epoch 6/6 .*ood_hwu +accuracy [78]\d\.\d%",
    "trust_a_prediction": r"test +the set of 90 % holds the true class in 9\d\.\d% of the rows",
}

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""Beside other tests, the threads of these libraries spin while they wait for each other."""


def test_every_example_is_tried() -> None:
    assert {path.stem for path in FOLDER.glob("*.py")} - HELPERS == set(SHOWN)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(SHOWN))
def test_an_example_shows_what_it_is_for(name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(FOLDER / f"{name}.py")],
        cwd=tmp_path,
        env=os.environ | ONE_THREAD,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(SHOWN[name], done.stdout), done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("notebooks/*.ipynb")))
def test_a_notebook_runs_from_top_to_bottom(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(FOLDER), str(ROOT)]))
    for variable, value in ONE_THREAD.items():
        monkeypatch.setenv(variable, value)
    notebook = nbformat.read(FOLDER / f"notebooks/{name}.ipynb", as_version=4)
    for cell in notebook.cells:
        assert not cell.get("outputs"), "commit notebooks without outputs"
    NotebookClient(notebook, timeout=240, resources={"metadata": {"path": tmp_path}}).execute()
    shown = str([cell.get("outputs") for cell in notebook.cells])
    assert "accuracy" in shown

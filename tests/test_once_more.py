"""CI runs up to three failed tests once more, names those that pass, and hides no failure."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.places import ROOT

FIRST_TIME_ONLY = """
from pathlib import Path

def test_first_time_only():
    before = Path("was_here").exists()
    Path("was_here").touch()
    assert before
"""
ALWAYS = """
import pytest

@pytest.mark.parametrize("number", range({n}))
def test_always(number):
    assert False
"""


def once_more(folder: Path, tests: str) -> subprocess.CompletedProcess[str]:
    """What the script says after a run of these tests that failed."""
    (folder / "conftest.py").write_text("from tests.support.run_end import pytest_sessionfinish\n")
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "test_it.py").write_text("def test_sound():\n    pass\n" + tests)
    clean = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
    environment = clean | {"PYTHON": sys.executable, "PYTHONPATH": str(ROOT)}
    first = subprocess.run(
        [sys.executable, "-m", "pytest"],
        cwd=folder,
        env=environment,
        capture_output=True,
        check=False,
    )
    assert first.returncode != 0
    return subprocess.run(
        [str(ROOT / ".ci" / "once-more")],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_test_that_passes_alone_is_named_and_fails_no_run(tmp_path: Path) -> None:
    said = once_more(tmp_path, FIRST_TIME_ONLY)
    assert said.returncode == 0, said.stdout + said.stderr
    assert "1 passed" in said.stdout
    [flaky] = [line for line in said.stdout.splitlines() if line.startswith("FLAKY: ")]
    assert flaky == (
        "FLAKY: test_it.py::test_first_time_only failed beside others and passed alone"
    )


@pytest.mark.parametrize(
    "tests",
    [
        ALWAYS.format(n=1),
        FIRST_TIME_ONLY + ALWAYS.format(n=1),
        ALWAYS.format(n=4),
        "import nothing",
    ],
    ids=["it fails again", "one of two fails again", "more than three failed", "no test ran"],
)
def test_a_real_failure_fails_the_run(tmp_path: Path, tests: str) -> None:
    said = once_more(tmp_path, tests)
    assert said.returncode != 0
    assert "FLAKY" not in said.stdout

"""Prove that the tests notice: break the product in many ways, one at a time.

Usage: `python -m tests.mutants [WORD ...]` (`make mutants`); with words, only mutants whose name
has one. Each is put into a copy of the tree and the tests named beside it must fail; before that,
they must pass. The last column is the first test that failed. Exits with 1 if a mutant lives.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from tests.broken import http_service, science, store_and_workers
from tests.broken.mutant import Mutant

ROOT = Path(__file__).parent.parent
SECONDS = 900
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", ".*_cache", ".hypothesis", "__pycache__", "docs")

MUTANTS = (*science.MUTANTS, *http_service.MUTANTS, *store_and_workers.MUTANTS)


def run(folder: Path, tests: Iterable[str]) -> tuple[int, str]:
    """pytest's exit status and output."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-m", "not slow", "--timeout", "120"]
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider", *tests],
        cwd=folder,
        env=os.environ | {"CI": "true", "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def killer(folder: Path, mutant: Mutant) -> str | None:
    """The test that fails with the mutant in place; None if none does."""
    path = folder / mutant.path
    sound = path.read_text()
    mutant.apply(folder)
    try:
        status, output = run(folder, mutant.tests)
    finally:
        path.write_text(sound)
    if status == 0:
        return None
    failed = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - |$)", output, re.MULTILINE)
    if failed is None or status != 1:
        raise SystemExit(f"{mutant.name}: pytest did not get to its tests:\n{output[-3000:]}")
    return failed[1]


def main(words: list[str]) -> int:
    chosen = [one for one in MUTANTS if not words or any(word in one.name for word in words)]
    n_living = 0
    with tempfile.TemporaryDirectory(prefix="nmtune-mutants-") as name:
        folder = Path(name) / "tree"
        shutil.copytree(ROOT, folder, ignore=LEFT_OUT, symlinks=True)
        tests = dict.fromkeys(test for mutant in chosen for test in mutant.tests)
        status, output = run(folder, tests)
        if status != 0:
            raise SystemExit(f"the tests fail without a mutant:\n{output[-3000:]}")
        for mutant in chosen:
            began = time.monotonic()
            killed_by = killer(folder, mutant)
            n_living += killed_by is None
            ending = "LIVES" if killed_by is None else f"killed by {killed_by}"
            print(f"{mutant.name} ({time.monotonic() - began:.0f} s): {ending}", flush=True)
    return 1 if n_living else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

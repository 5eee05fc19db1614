"""The getting-started page, done as it is written: its Python, its commands, one real server."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import Site

PAGE = Path(__file__).parents[2] / "docs/use/getting-started.md"
NMTUNE = "from nmtune_client._cli.main import main; raise SystemExit(main())"


def blocks(language: str) -> list[str]:
    """The code blocks of the page in that language, in order."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)


def run(code: str, *arguments: str, folder: Path, url: str) -> str:
    """Run Python code in the reader's folder, and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env=os.environ | {"NMTUNE_URL": url},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_page_does_what_it_says(tmp_path: Path) -> None:
    install, start, *commands = [line for block in blocks("sh") for line in block.splitlines()]
    assert install.endswith("pip install nmtune-server nmtune-client")
    assert start == "nmtune-server up"
    make_file, predict = blocks("python")
    site = Site(tmp_path)
    try:
        url = site.start("up").url
        run(make_file, folder=tmp_path, url=url)
        outputs = []
        for command in commands:
            program, *arguments = shlex.split(command)
            assert program == "nmtune"
            outputs.append(run(NMTUNE, *arguments, folder=tmp_path, url=url))
        predicted = run(predict, folder=tmp_path, url=url)
    finally:
        site.close()
    shown = PAGE.read_text().partition("accuracy, %")[2].partition("```")[0]
    candidates = re.findall(r"^[> ] (\w[\w ]*?)  +\d", shown, re.MULTILINE)
    assert len(candidates) == 6
    for name in candidates:
        assert re.search(rf"^[> ] {name} +\d", outputs[0], re.MULTILINE), outputs[0]
    rows = (tmp_path / "predicted.csv").read_text().splitlines()
    assert len(rows) == 601
    assert "probabilities:fox" in rows[0]
    assert re.match(r"\['(cat|dog|fox)' ", predicted)

"""The documentation site builds offline, without a warning, and loads nothing from elsewhere."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
# Every connection but to this machine fails, so that a build that fetches something fails too.
OFFLINE = """
import runpy, socket, sys
def refuse(*_, **__):
    raise OSError("a build of the documentation asks nobody")
socket.getaddrinfo = socket.socket.connect = refuse
sys.argv = ["sphinx", *sys.argv[1:]]
runpy.run_module("sphinx", run_name="__main__")
"""


def test_the_site_builds_offline_and_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OFFLINE, "-q", "-W", "--keep-going", "-n", "-b", "html"]
    folders = ["-d", str(tmp_path / "trees"), str(ROOT / "docs"), str(tmp_path / "html")]
    done = subprocess.run([*command, *folders], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    pages = list((tmp_path / "html").rglob("*.html"))
    assert len(pages) > 30
    loaded = re.compile(r"<(?:script|img|link|iframe)\b[^>]*?(?:src|href)=\"((?:https?:)?//[^\"]+)")
    for page in pages:
        assert not loaded.findall(page.read_text()), page.name


def test_every_page_is_in_the_contents() -> None:
    """Sphinx says it too, but only of pages that it is told to read."""
    for folder in ("use", "run", "reference", "inside", "decisions"):
        contents = (ROOT / "docs" / folder / "index.md").read_text()
        for page in (ROOT / "docs" / folder).glob("*.md"):
            assert page.stem == "index" or re.search(rf"^{page.stem}$", contents, re.M), page

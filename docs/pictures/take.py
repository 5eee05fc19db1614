"""Take the pictures of the README: `make pictures`. Real pages of a real job, on the bundled rows.

Needs Debian's chromium and what the tests need. The pictures are written beside this file.
"""

import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from nmtune_client import Client
from playwright.sync_api import sync_playwright

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parent.parent
sys.path.insert(0, str(ROOT / "examples"))
from own_server import own_server  # noqa: E402

MOST_BYTES: Final = 300_000
PICTURES: Final = {"report": "/ui/jobs/{id}/report", "map": "/ui/jobs/{id}/map"}
SIZE: Final = {"width": 1180, "height": 900}
PATIENCE: Final = 120_000  # milliseconds


def main() -> None:
    """Train, open each page, write its picture."""
    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("This needs chromium: apt-get install --no-install-recommends chromium")
    with tempfile.TemporaryDirectory() as folder, own_server(Path(folder)) as url:
        with Client(url) as client:
            dataset = client.datasets.upload(ROOT / "examples/data/intents.npz", name="intents")
            job = client.jobs.create(dataset=dataset.id, name="intents", alias="prod")
            job.wait()
            while job.map().tsne == "pending":
                time.sleep(2)
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page(viewport=SIZE, color_scheme="light", reduced_motion="reduce")
            page.set_default_timeout(PATIENCE)
            for name, path in PICTURES.items():
                page.goto(url + path.replace("{id}", job.id))
                page.wait_for_load_state("networkidle")
                file = HERE / f"{name}.png"
                page.screenshot(path=file)
                size = file.stat().st_size
                print(f"{file.relative_to(ROOT)}: {size / 1000:.0f} kB")
                if size > MOST_BYTES:
                    raise SystemExit(f"{file.name} is larger than {MOST_BYTES / 1000:.0f} kB")
            browser.close()


if __name__ == "__main__":
    main()

"""A real Chromium for the tests of pages, and what a page complained of."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM: Final = shutil.which("chromium")
PATIENCE: Final = 120_000
"""Milliseconds to wait for whatever a page does: the machine may be busy."""

_ARGUMENTS: Final = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
]


def skip_without_chromium() -> None:
    """Skip the module that calls it where there is none; in CI its tests fail instead."""
    if CHROMIUM is None and not os.environ.get("CI"):
        pytest.skip("Debian's chromium is not installed", allow_module_level=True)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser, closed when the block ends."""
    with sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=CHROMIUM, args=_ARGUMENTS, timeout=PATIENCE)
        yield found
        found.close()


class Watched:
    """A page, and what it complained of and asked for."""

    def __init__(self, browser: Browser, **options: Any) -> None:
        self.context = browser.new_context(**options)
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))

    def barriers(self) -> list[str]:
        """What axe finds."""
        source = (files("axe_playwright_python") / "axe.min.js").read_text()
        self.page.evaluate(source)
        found = self.page.evaluate("axe.run()")
        return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found["violations"]]

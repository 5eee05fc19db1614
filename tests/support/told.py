"""Name a failed test at once in CI: a run that is stopped has then said what failed."""

import os

import pytest


class Teller:
    """Writes a line for each failed test, in the process that writes to the terminal."""

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self._terminal = terminal

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            reason = str(crash.message if crash else report.longrepr).splitlines()[:1]
            where = "" if report.when == "call" else f" ({report.when})"
            self._terminal.write_line(f"\nFAILED {report.nodeid}{where}: {''.join(reason)[:300]}")


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and terminal is not None:
        config.pluginmanager.register(Teller(terminal), "nmtune-teller")

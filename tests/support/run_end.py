"""Leave word in pytest's cache how a run of tests ended, for .ci/once-more."""

import pytest


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if hasattr(session.config, "cache") and not hasattr(session.config, "workerinput"):
        session.config.cache.set("nmtune/exitstatus", int(exitstatus))

"""Start real server processes, and leave logging as it was."""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.standalone.servers import Server, Start
from tests.support.places import ROOT


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """`nmtune-server` configures the root logger of its process, here that of the tests."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    for name in ("alembic", "uvicorn"):
        logging.getLogger(name).setLevel(logging.NOTSET)
    logging.captureWarnings(False)


@pytest.fixture(scope="module")
def start() -> Iterator[Start]:
    """Start `nmtune-server` with arguments and settings; ended with the tests of the module."""
    servers: list[Server] = []

    def start_one(*arguments: str, **settings: object) -> Server:
        environment = {name: v for name, v in os.environ.items() if not name.startswith("NMTUNE_")}
        environment["NMTUNE_MAP_SECONDS"] = "0"
        environment |= {f"NMTUNE_{name.upper()}": str(v) for name, v in settings.items()}
        process = subprocess.Popen(
            [sys.executable, "-m", "standalone", *arguments],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        servers.append(Server(process))
        return servers[-1]

    yield start_one
    for server in servers:
        server.end()

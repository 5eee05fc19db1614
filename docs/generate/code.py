"""Where the code is that the reference pages are made from: the file to change when it moves."""

import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "clients/python")]

from nmtune.errors import NMTuneError  # noqa: E402
from outbound.settings import WebhookSettings  # noqa: E402
from providers.errors import ProviderError  # noqa: E402
from providers.settings import ProviderSettings  # noqa: E402
from service.app import create_app  # noqa: E402
from service.http.errors import STATUSES  # noqa: E402
from service.http.provider_problems import STATUSES as PROVIDER_STATUSES  # noqa: E402
from service.settings import ServiceSettings  # noqa: E402
from standalone.logs import LogSettings  # noqa: E402
from store.errors import StoreError  # noqa: E402
from store.queue import LocalQueue  # noqa: E402
from store.settings import StoreSettings  # noqa: E402
from store.store import Store  # noqa: E402
from workers.settings import WorkerSettings  # noqa: E402

PROJECTS: Final = (ROOT / "clients/python/pyproject.toml", ROOT / "pyproject.toml")

__all__ = [
    "PROJECTS",
    "PROVIDER_STATUSES",
    "ROOT",
    "STATUSES",
    "LocalQueue",
    "LogSettings",
    "NMTuneError",
    "ProviderError",
    "ProviderSettings",
    "ServiceSettings",
    "Store",
    "StoreError",
    "StoreSettings",
    "WebhookSettings",
    "WorkerSettings",
    "create_app",
]

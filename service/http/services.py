"""What lives as long as the application and is given to every request, on `app.state.services`."""

import threading
from dataclasses import dataclass, field
from typing import Final

from anyio import CapacityLimiter

from service.settings import ServiceSettings
from store.queue import Queue
from store.store import Store

N_UNPACKED_AT_ONCE: Final = 2
"""Uploads unpacked at the same time; others wait, so that predictions have threads."""

N_EXPORTED_AT_ONCE: Final = 1
N_ADAPTED_AT_ONCE: Final = 2
"""Each takes seconds of a processor, and a thread that reads need."""
"""Exports made at a time: each takes a core and several times the head's size in memory."""


@dataclass(frozen=True, kw_only=True)
class Services:
    """What every room needs. `PredictServices` and `OperateServices` add what only theirs use."""

    settings: ServiceSettings
    store: Store
    queue: Queue
    stopping: threading.Event = field(default_factory=threading.Event)
    """Ends open event streams and waits once it is set."""
    unpacking: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(N_UNPACKED_AT_ONCE))
    adapting: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(N_ADAPTED_AT_ONCE))
    exporting: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(N_EXPORTED_AT_ONCE))

"""Import what predictions need before the first one asks: as soon as there is a head.

torch and onnxruntime take 250 MB and seconds. A server without heads does not import them; one that
starts with heads imports them before it is ready, and one that gets its first head while that head
waits for its first prediction.
"""

import gc
import logging
import threading
from importlib import import_module
from typing import Final

from store.errors import StoreError
from store.registry import heads
from store.store import Store

logger = logging.getLogger(__name__)

SECONDS: Final = 2.0
"""How often to look for the first head, until there is one."""

CLOSE_SECONDS: Final = 10.0

_MODULES: Final = ("nmtune.heads.head", "nmtune.serving.session")


class Warming:
    """Looks for a head, in the caller's thread and then in its own."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="warming", daemon=True)

    def start(self) -> None:
        """Import if there is a head now, else go on looking in the background. Blocking."""
        if not self._look():
            self._thread.start()

    def close(self) -> None:
        """Stop looking; waits for an import that has begun."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(CLOSE_SECONDS)

    def _watch(self) -> None:
        while not self._stopping.wait(SECONDS):
            if self._look():
                gc.freeze()  # as at the start: collections skip what stays
                return

    def _look(self) -> bool:
        """Whether there is a head; if so, import everything."""
        try:
            with self._store.database.read() as tx:
                if not heads.exist(tx):
                    return False
        except StoreError as error:
            logger.debug("warming.cannot_look reason=%s", error)
            return False
        for name in _MODULES:
            import_module(name)
        logger.info("warming.done")
        return True

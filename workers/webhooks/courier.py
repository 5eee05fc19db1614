"""The courier: a worker's thread that claims due deliveries and sends a few at a time."""

import logging
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from store import failpoints
from store.errors import StoreError
from store.store import Store
from store.webhooks import sending
from store.webhooks.sending import Claimed
from workers.settings import WorkerSettings

if TYPE_CHECKING:
    from outbound.posting import Poster
    from outbound.sockets import Resolve

AT_ONCE: Final = 4
"""Deliveries under way in one process; of an endpoint it is one in all processes together."""

logger = logging.getLogger(__name__)


class Courier:
    """Sends what the outbox holds, until it is stopped. Any number of processes may have one.

    Without `key`, the secret that sealed the endpoints' own, it cannot sign and does nothing.
    """

    def __init__(
        self,
        store: Store,
        *,
        key: bytes | None,
        allowed: frozenset[tuple[str, int]],
        poll_seconds: float,
        resolve: "Resolve | None" = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._store = store
        self._key = key
        self._allowed = allowed
        self._poll_seconds = poll_seconds
        self._resolve = resolve
        self._ssl_context = ssl_context
        self._stopping = threading.Event()
        self._free = threading.BoundedSemaphore(AT_ONCE)
        self._thread = threading.Thread(target=self._run, name="courier", daemon=True)

    def start(self) -> None:
        if self._key is None:
            logger.info("webhooks.off reason=NMTUNE_SECRET_KEY is not set")
            return
        self._poster = self._make_poster()
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="courier")
        self._thread.start()

    def stop(self) -> None:
        """End it, and the deliveries under way, which go back to the queue."""
        self._stopping.set()
        if self._thread.is_alive():
            self._poster.close()
            self._thread.join()
            self._pool.shutdown()

    def _make_poster(self) -> "Poster":
        from outbound import posting, sockets  # an HTTP client, which few workers need

        backend = sockets.GuardedBackend(self._allowed, resolve=self._resolve or sockets.resolve)
        return posting.Poster(backend, ssl_context=self._ssl_context)

    def _run(self) -> None:
        while not self._stopping.is_set():
            if not self._free.acquire(timeout=self._poll_seconds):
                continue
            claimed = self._claim()
            if claimed is None:
                self._free.release()
                self._stopping.wait(self._poll_seconds)
            else:
                self._pool.submit(self._deliver, claimed)

    def _claim(self) -> Claimed | None:
        try:
            with self._store.database.read() as tx:
                if not sending.is_due(tx):
                    return None
            with self._store.database.begin() as tx:
                return sending.claim(tx)
        except StoreError as error:
            logger.warning("webhook.claim_failed reason=%s", error)
        except Exception:
            logger.exception("webhook.claim_error")  # a bug of ours must not end all deliveries
        return None

    def _deliver(self, claimed: Claimed) -> None:
        assert self._key is not None  # noqa: S101  else nothing is claimed
        try:
            if self._stopping.is_set():
                self._give_back(claimed)
                return
            from workers.webhooks.attempt import attempt  # as below

            outcome = attempt(claimed, self._poster, key=self._key, allowed=self._allowed)
            failpoints.reach("webhook.sent")
            if self._stopping.is_set() and not outcome.is_success:
                self._give_back(claimed)
                return
            with self._store.database.begin() as tx:
                sending.record(tx, claimed, outcome)
            logger.info(
                "webhook.attempt delivery_id=%s endpoint_id=%s n=%d status=%s error=%s ms=%s",
                *(claimed.id, claimed.endpoint_id, claimed.n_attempts),
                *(outcome.status, outcome.error, outcome.milliseconds),
            )
        except StoreError as error:  # its lease runs out, and it is sent again
            logger.warning("webhook.record_failed delivery_id=%s reason=%s", claimed.id, error)
        except Exception:
            logger.exception("webhook.error delivery_id=%s", claimed.id)
        finally:
            self._free.release()

    def _give_back(self, claimed: Claimed) -> None:
        with self._store.database.begin() as tx:
            sending.give_back(tx, claimed)


def courier_of(store: Store, settings: WorkerSettings) -> Courier:
    """The courier of a worker."""
    return Courier(
        store,
        key=settings.secret,
        allowed=settings.webhook_hosts,
        poll_seconds=settings.poll_seconds,
    )

"""Make and remove a request's folder off the event loop, whatever happens in between."""

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

from anyio import CancelScope, to_thread

from service.ingest.dataset import prepared
from service.settings import ServiceSettings


@asynccontextmanager
async def workspace(settings: ServiceSettings) -> AsyncIterator[Path]:
    """`prepared.workspace`, made and removed in a thread: unlinking gigabytes takes a while.

    It is removed even if the client leaves or the server stops in between.
    """
    with ExitStack() as stack:
        enter = partial(stack.enter_context, prepared.workspace(settings.data_dir))
        workdir = await to_thread.run_sync(enter)
        try:
            yield workdir
        finally:
            with CancelScope(shield=True):
                await to_thread.run_sync(stack.close)

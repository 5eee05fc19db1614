"""Send the steps of an upload in parts."""

from typing import Any, TypeVar

from nmtune_client._async.concurrency import in_thread, sleep
from nmtune_client._async.sender import AsyncSender
from nmtune_client._datasets.upload import Done, Steps, advance
from nmtune_client._http.errors import NMTuneError

T = TypeVar("T")


async def run(sender: AsyncSender, upload: Steps[T]) -> T:
    """Send the calls one after the other, and return what they make."""
    outcome: Any = None
    while True:
        step = await in_thread(advance, upload, outcome)  # it reads the file
        if isinstance(step, Done):
            made: T = step.value
            return made
        try:
            if isinstance(step, float):
                await sleep(step)
                outcome = None
            else:
                outcome = await sender.send(step)
        except NMTuneError as error:
            outcome = error

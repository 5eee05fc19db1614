"""Send the steps of an upload in parts."""

from typing import Any

from nmtune_client._async.concurrency import in_thread, sleep
from nmtune_client._async.sender import AsyncSender
from nmtune_client._datasets.upload import Steps, advance
from nmtune_client._datasets.values import Dataset
from nmtune_client._http.errors import NMTuneError


async def run(sender: AsyncSender, upload: Steps) -> Dataset:
    """Send the calls one after the other, and return the dataset that they make."""
    outcome: Any = None
    while True:
        step = await in_thread(advance, upload, outcome)  # it reads the file
        if isinstance(step, Dataset):
            return step
        try:
            if isinstance(step, float):
                await sleep(step)
                outcome = None
            else:
                outcome = await sender.send(step)
        except NMTuneError as error:
            outcome = error

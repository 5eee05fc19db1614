# Written by generate_sync.py out of _async/uploads.py: edit that file, then run the script.
"""Send the steps of an upload in parts."""

from typing import Any

from nmtune_client._datasets.upload import Steps, advance
from nmtune_client._datasets.values import Dataset
from nmtune_client._http.errors import NMTuneError
from nmtune_client._sync.concurrency import in_thread, sleep
from nmtune_client._sync.sender import Sender


def run(sender: Sender, upload: Steps) -> Dataset:
    """Send the calls one after the other, and return the dataset that they make."""
    outcome: Any = None
    while True:
        step = in_thread(advance, upload, outcome)  # it reads the file
        if isinstance(step, Dataset):
            return step
        try:
            if isinstance(step, float):
                sleep(step)
                outcome = None
            else:
                outcome = sender.send(step)
        except NMTuneError as error:
            outcome = error

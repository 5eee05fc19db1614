# Written by generate_sync.py out of _async/uploads.py: edit that file, then run the script.
"""Send the steps of an upload in parts."""

from typing import Any, TypeVar

from nmtune_client._datasets.upload import Done, Steps, advance
from nmtune_client._http.errors import NMTuneError
from nmtune_client._sync.concurrency import in_thread, sleep
from nmtune_client._sync.sender import Sender

T = TypeVar("T")


def run(sender: Sender, upload: Steps[T]) -> T:
    """Send the calls one after the other, and return what they make."""
    outcome: Any = None
    while True:
        step = in_thread(advance, upload, outcome)  # it reads the file
        if isinstance(step, Done):
            made: T = step.value
            return made
        try:
            if isinstance(step, float):
                sleep(step)
                outcome = None
            else:
                outcome = sender.send(step)
        except NMTuneError as error:
            outcome = error

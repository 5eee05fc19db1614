"""Home of the full disk: no fault of the sender's and none of ours, and over when there is room."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from store.errors import StorageUnavailable

_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def room_needed() -> Iterator[None]:
    """Raise StorageUnavailable where the block finds the disk full."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise StorageUnavailable(
            "There is no room for the upload: free disk space and send it again."
        ) from error

"""Turn "disk full" into a temporary StorageUnavailable."""

from contextlib import AbstractContextManager

from store.trouble import told_apart


def room_needed() -> AbstractContextManager[None]:
    """Raise StorageUnavailable if the block cannot write because the disk is full or away."""
    return told_apart("There is no room for the upload")

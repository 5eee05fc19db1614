"""The full disk, and its kin: no fault of the sender's and none of ours, over when it is mended."""

from contextlib import AbstractContextManager

from store.trouble import told_apart


def room_needed() -> AbstractContextManager[None]:
    """Raise the StorageUnavailable that it is where the block cannot write to the disk."""
    return told_apart("There is no room for the upload")

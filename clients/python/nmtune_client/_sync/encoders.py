# Written by generate_sync.py out of _async/encoders.py: edit that file, then run the script.
"""`client.encoders`: encoders that run in the server."""

import tempfile
from collections.abc import Callable
from os import PathLike
from pathlib import Path

from nmtune_client._datasets.upload import RESUMABLE_BYTES, in_parts
from nmtune_client._datasets.upload_bar import upload_observer_of
from nmtune_client._encoders.archive import write_archive
from nmtune_client._encoders.calls import (
    MEDIA_TYPE,
    delete_encoder,
    get_encoder,
    list_encoders,
    put_encoder,
)
from nmtune_client._encoders.values import LocalEncoder
from nmtune_client._show.reprs import OfClient
from nmtune_client._sync.concurrency import in_thread
from nmtune_client._sync.sender import Sender
from nmtune_client._sync.uploads import run


class Encoders(OfClient):
    """The encoders that run in the server: yours, the operator's, and `local-minilm`."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    def add(
        self,
        directory: str | PathLike[str],
        *,
        name: str | None = None,
        pooling: str | None = None,
        normalise: bool | None = None,
        prefix: str | None = None,
        max_tokens: int | None = None,
        progress: bool | Callable[[int, int], object] = False,
        resumable_bytes: int = RESUMABLE_BYTES,
    ) -> LocalEncoder:
        """Add the model in a directory, as transformers or sentence-transformers save it.

        It needs config.json, model.safetensors and tokenizer.json, of the types bert, roberta,
        xlm-roberta, mpnet or distilbert. Only these and sentence-transformers' settings are sent.

        name: by default the directory's. pooling (`mean` or `cls`), normalise, prefix (such as
        "query: ") and max_tokens: in place of the model's own settings. The same call again, after
        whatever broke, goes on where it stopped, and an encoder that is there is only returned.
        progress: True for a bar on stderr, or a function of bytes sent and all bytes.
        """
        folder = Path(directory)
        given = {
            "pooling": pooling,
            "normalise": normalise,
            "prefix": prefix,
            "max_tokens": max_tokens,
        }
        choices = {key: value for key, value in given.items() if value is not None}
        known_as = name if name is not None else folder.resolve().name
        with tempfile.TemporaryDirectory(prefix="nmtune-", ignore_cleanup_errors=True) as place:
            path = Path(place) / "encoder.tar"
            in_thread(write_archive, folder, path, choices)
            if path.stat().st_size < resumable_bytes:
                return self._sender.send(put_encoder(known_as, path=path))
            upload = in_parts(
                path,
                kind=MEDIA_TYPE,
                finish=lambda upload_id: put_encoder(known_as, upload_id=upload_id),
                observer=upload_observer_of(progress),
            )
            return run(self._sender, upload)

    def list(self) -> list[LocalEncoder]:
        """Yours by name, then those of everybody."""
        return self._sender.send(list_encoders())

    def get(self, name: str) -> LocalEncoder:
        """One encoder. NotFoundError if there is none of that name."""
        return self._sender.send(get_encoder(name))

    def delete(self, name: str) -> None:
        """Delete one of yours; ConflictError while a head or an unfinished job needs it."""
        self._sender.send(delete_encoder(name))

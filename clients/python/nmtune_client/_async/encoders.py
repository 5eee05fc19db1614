"""`client.encoders`: encoders that run in the server."""

import tempfile
from collections.abc import Callable
from os import PathLike
from pathlib import Path

from nmtune_client._async.concurrency import in_thread
from nmtune_client._async.sender import AsyncSender
from nmtune_client._async.uploads import run
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


class AsyncEncoders(OfClient):
    """The encoders that run in the server: yours, the operator's, and `local-minilm`."""

    def __init__(self, sender: AsyncSender) -> None:
        self._sender = sender

    async def add(
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
            await in_thread(write_archive, folder, path, choices)
            if path.stat().st_size < resumable_bytes:
                return await self._sender.send(put_encoder(known_as, path=path))
            upload = in_parts(
                path,
                kind=MEDIA_TYPE,
                finish=lambda upload_id: put_encoder(known_as, upload_id=upload_id),
                observer=upload_observer_of(progress),
            )
            return await run(self._sender, upload)

    async def list(self) -> list[LocalEncoder]:
        """Yours by name, then those of everybody."""
        return await self._sender.send(list_encoders())

    async def get(self, name: str) -> LocalEncoder:
        """One encoder. NotFoundError if there is none of that name."""
        return await self._sender.send(get_encoder(name))

    async def delete(self, name: str) -> None:
        """Delete one of yours; ConflictError while a head or an unfinished job needs it."""
        await self._sender.send(delete_encoder(name))

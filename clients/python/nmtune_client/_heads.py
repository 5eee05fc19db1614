"""Home of `client.heads`."""

from collections.abc import Iterator
from os import PathLike, fspath
from pathlib import Path

from nmtune_client import _calls
from nmtune_client._comparison import HeadComparison
from nmtune_client._drift import Drift
from nmtune_client._resources import page_size, paged
from nmtune_client._types import Head, HeadVersion
from nmtune_client._wire import Call, Sender

EXPORT_SUFFIXES = {"bundle": ".zip", "onnx": ".onnx", "safetensors": ".safetensors"}


def export(
    name: str, version: int | str, *, form: str, path: str | PathLike[str] | None
) -> tuple[Call[None], Path]:
    """The download of a version, and the file it goes to; ValueError for another format."""
    if form not in EXPORT_SUFFIXES:
        raise ValueError(f"format must be one of {', '.join(EXPORT_SUFFIXES)}, got {form!r}")
    target = Path(fspath(path or f"{name}-{version}{EXPORT_SUFFIXES[form]}"))
    return _calls.export_head_version(name, str(version), form=form), target


class Heads:
    """The registry of tuned heads."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    def list(self, *, limit: int | None = None) -> Iterator[Head]:
        """All heads; pages are fetched as the iterator reaches them."""
        size = page_size(limit)
        return paged(
            self._sender, lambda cursor: _calls.list_heads(cursor=cursor, limit=size), limit
        )

    def get(self, name: str) -> Head:
        """One head with its versions and aliases."""
        return self._sender.send(_calls.get_head(name))

    def version(self, name: str, version: int) -> HeadVersion:
        """One version of a head."""
        return self._sender.send(_calls.get_head_version(name, version))

    def drift(
        self,
        name: str,
        *,
        version: int | None = None,
        alias: str | None = None,
        hours: int | None = None,
    ) -> Drift:
        """Whether rows predicted in the last `hours` (24) still look like the training rows.

        Of the latest version, or of `version` or of the one that `alias` names. The server counts
        rows only if its operator lets it: `Drift.is_recording`.
        """
        return self._sender.send(_calls.get_drift(name, version=version, alias=alias, hours=hours))

    def set_alias(self, name: str, alias: str, version: int) -> None:
        """Let `name@alias` mean `version` from now on."""
        self._sender.send(_calls.set_alias(name, alias, version))

    def delete_alias(self, name: str, alias: str) -> None:
        """Remove an alias; the version that it named stays."""
        self._sender.send(_calls.delete_alias(name, alias))

    def rollback(self, name: str, alias: str, *, expected: int | None = None) -> HeadVersion:
        """Point `name@alias` at the version that it named before; that version.

        expected: only if the alias points at this version now. ConflictError if it does not, or if
        there is nothing to go back to.
        """
        return self._sender.send(_calls.roll_back_alias(name, alias, expected=expected))

    def compare(self, name: str, before: int | str, after: int | str) -> HeadComparison:
        """Two versions, by number or alias, side by side, with a cautious verdict."""
        return self._sender.send(_calls.compare_versions(name, str(before), str(after)))

    def delete(self, name: str, version: int | None = None, *, force: bool = False) -> None:
        """Delete one version, or all of them with None: rows and bytes; numbers are not reused.

        ConflictError while an alias points at it, unless `force`: the alias then goes too.
        """
        if version is None:
            self._sender.send(_calls.delete_head(name, force=force))
        else:
            self._sender.send(_calls.delete_head_version(name, version, force=force))

    def export(
        self,
        name: str,
        version: int | str = "latest",
        *,
        format: str = "bundle",  # noqa: A002  the API's word
        path: str | PathLike[str] | None = None,
    ) -> Path:
        """Write a version, by number or alias, to a file; its path.

        format: bundle (a zip with all of it, a model card and a numpy runner), onnx or safetensors.
        path: by default NAME-VERSION with the format's ending, in this folder. The file is there
        whole or not at all. ServerError with code `export_disagrees`: the server refuses an export
        that would not answer as the head does.
        """
        call, target = export(name, version, form=format, path=path)
        self._sender.download(call, target)
        return target

"""`heads` of an `AsyncClient`: the twin of `Heads`."""

from collections.abc import AsyncIterator, Mapping
from os import PathLike
from pathlib import Path

from nmtune_client import _calls
from nmtune_client._async.resources import paged
from nmtune_client._heads import calls as _head_calls
from nmtune_client._heads.comparison import HeadComparison
from nmtune_client._heads.drift import Drift
from nmtune_client._http.wire import AsyncSender
from nmtune_client._show.reprs import OfClient
from nmtune_client._sync.heads import compared, export, notes
from nmtune_client._sync.resources import page_size
from nmtune_client._types import Head, HeadVersion


class AsyncHeads(OfClient):
    """The registry of tuned heads."""

    def __init__(self, sender: AsyncSender) -> None:
        self._sender = sender

    def list(self, *, limit: int | None = None) -> AsyncIterator[Head]:
        """All heads; pages are fetched as the iterator reaches them."""
        size = page_size(limit)
        return paged(
            self._sender, lambda cursor: _calls.list_heads(cursor=cursor, limit=size), limit
        )

    async def get(self, name: str) -> Head:
        """One head with its versions and aliases."""
        return await self._sender.send(_calls.get_head(name))

    async def version(self, name: str, version: int) -> HeadVersion:
        """One version of a head."""
        return await self._sender.send(_calls.get_head_version(name, version))

    async def update(
        self,
        name: str,
        version: int,
        *,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> HeadVersion:
        """Note a description, or tags in place of all those before, of a version; it as it is then.

        None leaves what is noted, an empty description and no tags remove it.
        """
        call = _head_calls.annotate_head_version(name, version, notes(description, tags))
        return await self._sender.send(call)

    async def drift(
        self,
        name: str,
        *,
        version: int | None = None,
        alias: str | None = None,
        hours: int | None = None,
    ) -> Drift:
        """Whether rows predicted lately still look like the training rows; as `Heads.drift`."""
        call = _head_calls.get_drift(name, version=version, alias=alias, hours=hours)
        return await self._sender.send(call)

    async def set_alias(self, name: str, alias: str, version: int) -> None:
        """Let `name@alias` mean `version` from now on."""
        await self._sender.send(_calls.set_alias(name, alias, version))

    async def delete_alias(self, name: str, alias: str) -> None:
        """Remove an alias; the version that it named stays."""
        await self._sender.send(_head_calls.delete_alias(name, alias))

    async def rollback(
        self, name: str, alias: str, *, expected: int | None = None, from_: int | None = None
    ) -> HeadVersion:
        """Point `name@alias` at the version that it named before; as `Heads.rollback`."""
        return await self._sender.send(
            _head_calls.roll_back_alias(
                name, alias, expected=from_ if expected is None else expected
            )
        )

    async def compare(
        self,
        name: str,
        before: int | str | None = None,
        after: int | str | None = None,
        *,
        from_: int | str | None = None,
        to: int | str | None = None,
    ) -> HeadComparison:
        """Two versions, by number or alias, side by side, with a cautious verdict.

        `from_` and `to` are the API's words for before and after.
        """
        return await self._sender.send(
            _head_calls.compare_versions(name, *compared(before, after, from_, to))
        )

    async def delete(self, name: str, version: int | None = None, *, force: bool = False) -> None:
        """Delete one version, or all of them with None; as `Heads.delete`."""
        if version is None:
            await self._sender.send(_head_calls.delete_head(name, force=force))
        else:
            await self._sender.send(_head_calls.delete_head_version(name, version, force=force))

    async def export(
        self,
        name: str,
        version: int | str = "latest",
        *,
        format: str = "bundle",  # noqa: A002  the API's word
        path: str | PathLike[str] | None = None,
    ) -> Path:
        """Write a version, by number or alias, to a file; as `Heads.export`."""
        call, target = export(name, version, form=format, path=path)
        await self._sender.download(call, target)
        return target

"""Home of `client.heads`."""

from collections.abc import Iterator, Mapping
from os import PathLike, fspath
from pathlib import Path

from nmtune_client import _calls
from nmtune_client._heads import calls as _head_calls
from nmtune_client._heads.comparison import HeadComparison
from nmtune_client._heads.drift import Drift
from nmtune_client._http.wire import Call, Sender
from nmtune_client._show import plain as _text
from nmtune_client._show.reprs import Listing, OfClient
from nmtune_client._sync.resources import page_size, paged
from nmtune_client._types import Head, HeadVersion

HEAD_HEADER = ("head", "ID accuracy", "mean OOD", "encoder", "aliases", "notes", "created")
EXPORT_SUFFIXES = {"bundle": ".zip", "onnx": ".onnx", "safetensors": ".safetensors"}


def export(
    name: str, version: int | str, *, form: str, path: str | PathLike[str] | None
) -> tuple[Call[None], Path]:
    """The download of a version, and the file it goes to; ValueError for another format."""
    if form not in EXPORT_SUFFIXES:
        raise ValueError(f"format must be one of {', '.join(EXPORT_SUFFIXES)}, got {form!r}")
    target = Path(fspath(path or f"{name}-{version}{EXPORT_SUFFIXES[form]}"))
    return _head_calls.export_head_version(name, str(version), form=form), target


def head_row(head: Head) -> tuple[str, ...]:
    """A head and its latest version as a line under `HEAD_HEADER`."""
    aliases = ", ".join(f"{alias} -> {version}" for alias, version in head.aliases.items())
    latest = head.latest
    if latest is None:
        return (str(head), "", "", "", aliases or "-", "", _text.moment(head.created_at))
    return (
        str(latest),
        figure(latest.accuracy),
        figure(latest.mean_ood_accuracy),
        encoder_of(latest),
        aliases or "-",
        notes_of(latest),
        _text.moment(latest.created_at),
    )


def figure(accuracy: float | None) -> str:
    """An accuracy for people; `-` for none."""
    return "-" if accuracy is None else f"{accuracy:.3f}"


def encoder_of(version: HeadVersion) -> str:
    """What embedded the texts, `openai text-embedding-3-small`; `-` for embeddings sent."""
    encoder = version.encoder or {}
    words = [str(encoder[name]) for name in ("provider", "model") if encoder.get(name)]
    return _text.shorten(" ".join(dict.fromkeys(words)) or "-", 40)


def notes_of(version: HeadVersion) -> str:
    """Tags and description in one line."""
    tags = [f"{name}={value}" for name, value in version.tags.items()]
    return _text.shorten(" ".join([*tags, *(version.description or "").split()]), 40)


def notes(description: str | None, tags: Mapping[str, str] | None) -> dict[str, object]:
    """What is to be noted: None leaves a note as it is, an empty description removes it."""
    found: dict[str, object] = {} if description is None else {"description": description or None}
    return found if tags is None else found | {"tags": dict(tags)}


def compared(*given: int | str | None) -> tuple[str, str]:
    """The two versions of a comparison out of before, after and the API's from and to."""
    before, after, from_, to = given
    found = [before if from_ is None else from_, after if to is None else to]
    if None in found or (None not in (before, from_)) or (None not in (after, to)):
        raise ValueError("pass two versions, as in compare('pets', 2, 'prod')")
    return str(found[0]), str(found[1])


class Heads(OfClient):
    """The registry of tuned heads."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    def list(self, *, limit: int | None = None) -> Iterator[Head]:
        """All heads; pages are fetched as the iterator reaches them."""
        size = page_size(limit)
        heads = paged(
            self._sender, lambda cursor: _calls.list_heads(cursor=cursor, limit=size), limit
        )
        return Listing(heads, header=HEAD_HEADER, row=head_row)

    def get(self, name: str) -> Head:
        """One head with its versions and aliases."""
        return self._sender.send(_calls.get_head(name))

    def version(self, name: str, version: int) -> HeadVersion:
        """One version of a head."""
        return self._sender.send(_calls.get_head_version(name, version))

    def update(
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
        return self._sender.send(call)

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
        return self._sender.send(
            _head_calls.get_drift(name, version=version, alias=alias, hours=hours)
        )

    def set_alias(self, name: str, alias: str, version: int) -> None:
        """Let `name@alias` mean `version` from now on."""
        self._sender.send(_calls.set_alias(name, alias, version))

    def delete_alias(self, name: str, alias: str) -> None:
        """Remove an alias; the version that it named stays."""
        self._sender.send(_head_calls.delete_alias(name, alias))

    def rollback(
        self, name: str, alias: str, *, expected: int | None = None, from_: int | None = None
    ) -> HeadVersion:
        """Point `name@alias` at the version that it named before; that version.

        expected (`from_` by the API's word): only if the alias points at this version now.
        ConflictError if it does not, or if there is nothing to go back to.
        """
        return self._sender.send(
            _head_calls.roll_back_alias(
                name, alias, expected=from_ if expected is None else expected
            )
        )

    def compare(
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
        return self._sender.send(
            _head_calls.compare_versions(name, *compared(before, after, from_, to))
        )

    def delete(self, name: str, version: int | None = None, *, force: bool = False) -> None:
        """Delete one version, or all of them with None: rows and bytes; numbers are not reused.

        ConflictError while an alias points at it, unless `force`: the alias then goes too.
        """
        if version is None:
            self._sender.send(_head_calls.delete_head(name, force=force))
        else:
            self._sender.send(_head_calls.delete_head_version(name, version, force=force))

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

"""The arguments of `client.heads`, checked and put as the API has them."""

from collections.abc import Mapping
from os import PathLike, fspath
from pathlib import Path

from nmtune_client._heads import calls
from nmtune_client._http.wire import Call

EXPORT_SUFFIXES = {"bundle": ".zip", "onnx": ".onnx", "safetensors": ".safetensors"}


def export(
    name: str, version: int | str, *, form: str, path: str | PathLike[str] | None
) -> tuple[Call[None], Path]:
    """The download of a version, and the file it goes to; ValueError for another format."""
    if form not in EXPORT_SUFFIXES:
        raise ValueError(f"format must be one of {', '.join(EXPORT_SUFFIXES)}, got {form!r}")
    target = Path(fspath(path or f"{name}-{version}{EXPORT_SUFFIXES[form]}"))
    return calls.export_head_version(name, str(version), form=form), target


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

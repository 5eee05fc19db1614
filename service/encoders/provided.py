"""The encoders that everybody has: `local-minilm`, and those in the operator's directory."""

from pathlib import Path

from providers.errors import ProviderError
from providers.local import minilm
from providers.local.description import Description, describe
from providers.local.shelf import Shelf
from service.encoders.schemas import LocalEncoder
from service.settings import ServiceSettings
from store.embedding import local_encoders
from store.store import Store


def provided(settings: ServiceSettings) -> list[LocalEncoder]:
    """All of them. Blocking: it reads their headers. One that cannot be used says why."""
    shelf = Shelf(settings.encoders_dir)
    return [_minilm(), *(_on_shelf(shelf, name) for name in shelf.names())]


def find(name: str, settings: ServiceSettings) -> LocalEncoder | None:
    """The one of that name."""
    if name == minilm.NAME:
        return _minilm()
    shelf = Shelf(settings.encoders_dir)
    return None if shelf.find(name) is None else _on_shelf(shelf, name)


def is_taken(name: str, settings: ServiceSettings) -> bool:
    """Whether nobody can add an encoder of that name."""
    return name == minilm.NAME or Shelf(settings.encoders_dir).find(name) is not None


def find_local(
    name: str, *, tenant_id: str, store: Store, settings: ServiceSettings
) -> tuple[str, int] | None:
    """The sha256 and width of a local encoder, the operator's first. Raises InvalidEncoder."""
    shelf = Shelf(settings.encoders_dir)
    folder = shelf.find(name)
    if folder is not None:
        description, sha256 = describe(folder), shelf.sha256(name)
        return None if sha256 is None else (sha256, description.n_columns)
    with store.database.read() as tx:
        row = local_encoders.find(tx, tenant_id, name)
    return None if row is None else (row.sha256, row.description["n_columns"])


def _minilm() -> LocalEncoder:
    try:
        minilm.check_installed()
        found = describe(minilm.place())
    except ProviderError as error:
        return LocalEncoder.made(minilm.NAME, "package", {}, problem=str(error))
    return LocalEncoder.made(minilm.NAME, "package", found.to_dict())


def _on_shelf(shelf: Shelf, name: str) -> LocalEncoder:
    folder = shelf.find(name)
    try:
        found = None if folder is None else _described(folder)
        sha256 = shelf.sha256(name)
    except (ProviderError, OSError) as error:
        return LocalEncoder.made(name, "operator", {}, problem=str(error))
    described = {} if found is None else found.to_dict()
    return LocalEncoder.made(name, "operator", described, sha256=sha256)


def _described(folder: Path) -> Description:
    minilm.check_libraries(folder.name)
    return describe(folder)

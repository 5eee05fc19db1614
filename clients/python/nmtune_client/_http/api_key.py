"""The key that is sent to a server: an argument, the environment's, or what `nmtune login` keeps.

Keys are kept in a file of the user's configuration, by the server they are for, and nobody else may
read it.
"""

import json
import os
import re
import stat
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from nmtune_client._http.errors import ConnectionSetupError

KEY_VARIABLE = "NMTUNE_API_KEY"

_SHAPE = re.compile(r"[\x21-\x7e]{1,200}")
_USUAL_PORTS = {"http": 80, "https": 443}


def key_for(base_url: str, given: str | None) -> str | None:
    """The key for a server: `given`, else NMTUNE_API_KEY, else the kept one; None: no key.

    ConnectionSetupError for a key that cannot be one, without showing it.
    """
    if given is not None and not isinstance(given, str):
        raise TypeError(f"api_key must be a string, got {type(given).__name__}")
    if given is not None:
        return _checked(given, "api_key")
    variable = os.environ.get(KEY_VARIABLE)
    if variable:
        return _checked(variable, KEY_VARIABLE)
    kept = _read().get(origin_of(base_url))
    return None if kept is None else _checked(kept, str(place()))


def place() -> Path:
    """The file of kept keys."""
    base = os.environ.get("XDG_CONFIG_HOME")
    folder = Path(base) if base and Path(base).is_absolute() else Path.home() / ".config"
    return folder / "nmtune" / "keys.json"


def keep(base_url: str, key: str) -> Path:
    """Keep a key for a server; the file."""
    _write(_read() | {origin_of(base_url): key})
    return place()


def forget(base_url: str) -> bool:
    """Forget the kept key of a server; whether there was one."""
    kept = _read()
    had = kept.pop(origin_of(base_url), None) is not None
    if had:
        _write(kept)
    return had


def origin_of(base_url: str) -> str:
    """`scheme://host:port`, the same for all ways to write it."""
    parts = urlsplit(base_url)
    port = parts.port or _USUAL_PORTS.get(parts.scheme, 0)
    return f"{parts.scheme}://{(parts.hostname or '').lower()}:{port}"


def _checked(key: str, source: str) -> str:
    key = key.strip()
    if not _SHAPE.fullmatch(key):
        raise ConnectionSetupError(
            f"{source} is no key: it has spaces or characters that no key has, or is too long"
        )
    return key


def _read() -> dict[str, str]:
    """The kept keys. ConnectionSetupError if others can read the file, or nobody can."""
    try:
        path = place()
    except RuntimeError:  # a user without a home
        return {}
    try:
        with path.open(encoding="utf-8") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeError) as error:
        raise ConnectionSetupError(f"{path} cannot be read: {error}") from None
    if mode & 0o077:
        raise ConnectionSetupError(f"{path} holds keys, but others can read it: chmod 600 {path}")
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(one, str) for one in found.values()):
        raise ConnectionSetupError(
            f"{path} does not hold keys: remove it, and `nmtune login` again"
        )
    return found


def _write(kept: dict[str, str]) -> None:
    """Whole or not at all, and from the first byte on for its owner alone."""
    path = place()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    descriptor = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(kept, file, indent=2, sort_keys=True)
        part.replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            part.unlink()
        raise

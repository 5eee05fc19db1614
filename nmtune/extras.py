"""Name the extra of `pip install` that brings a missing package."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """Around imports: a package that is missing is an ImportError that says how to install it."""
    try:
        yield
    except ModuleNotFoundError as missing:
        raise ModuleNotFoundError(
            f"{missing.name} is not installed: pip install 'nmtune[{extra}]'", name=missing.name
        ) from missing

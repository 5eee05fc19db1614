"""Read what options say: times such as 12h, limits such as heads=20, and lists of words."""

import argparse
import re
from typing import Final

NEVER: Final = "never"
MOST_OVERLAP_SECONDS: Final = 7 * 86_400.0

NO_LIMIT: Final = "none"
DEFAULT: Final = "default"

_AMOUNT: Final = re.compile(r"([0-9]{1,16}(?:\.[0-9]{1,6})?)(|KiB|MiB|GiB|TiB|kB|MB|GB|TB)")
_BYTES: Final = {
    "": 1,
    **{f"{unit}iB": 1 << shift for unit, shift in zip("KMGT", (10, 20, 30, 40), strict=True)},
    **{f"{unit}B": 1000**power for unit, power in zip("kMGT", (1, 2, 3, 4), strict=True)},
}
_MOST_SECONDS: Final = 100 * 365 * 86_400.0
_TIME: Final = re.compile(r"([0-9]{1,6})([smhd])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def lifetime(text: str) -> float | None:
    """Read `90d` or `never`, as argparse's `type`: seconds, or None."""
    return None if text == NEVER else duration(text)


def duration(text: str) -> float:
    """Read `30s`, `15m`, `12h` or `90d`, as argparse's `type`: seconds."""
    found = _TIME.fullmatch(text)
    if found is None or not int(found[1]) * _SECONDS[found[2]] <= _MOST_SECONDS:
        raise argparse.ArgumentTypeError(f"write a time such as 12h or 90d, got {text[:40]!r}")
    return float(int(found[1]) * _SECONDS[found[2]])


def overlap(text: str) -> float:
    """Read a time of at most seven days, as argparse's `type`: seconds."""
    seconds = duration(text)
    if seconds > MOST_OVERLAP_SECONDS:
        raise argparse.ArgumentTypeError(f"must be 7d at most, got {text}")
    return seconds


def limit(text: str) -> tuple[str, float | str | None]:
    """Read `heads=20`, `stored_bytes=50GiB`, `heads=none` or `heads=default`, as argparse's `type`.

    The value is None for no limit, DEFAULT for that of the settings.
    """
    name, separator, said = text.partition("=")
    if said in {NO_LIMIT, DEFAULT}:
        return name, None if said == NO_LIMIT else DEFAULT
    found = _AMOUNT.fullmatch(said)
    if not separator or found is None:
        raise argparse.ArgumentTypeError(
            f"write a limit such as heads=20, stored_bytes=50GiB, heads={NO_LIMIT} or "
            f"heads={DEFAULT}, got {text[:60]!r}"
        )
    return name, float(found[1]) * _BYTES[found[2]]


def words(text: str) -> list[str]:
    """Read `read,write`, as argparse's `type`."""
    return [word for word in text.replace(" ", "").split(",") if word]

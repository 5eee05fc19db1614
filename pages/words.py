"""Numbers, times and names as pages write them."""

import math
import re
from datetime import UTC, datetime
from typing import Final, Literal, TypeAlias

Value: TypeAlias = str | int | float | bool | None
Kind: TypeAlias = Literal["text", "count", "percent", "points", "number", "seconds", "p"]
"""What a value is, which decides how it is written: `percent` and `points` are shares of 1."""

NOTHING: Final = "–"
NBSP: Final = "\N{NO-BREAK SPACE}"
MINUS: Final = "\N{MINUS SIGN}"
OOD_PREFIX: Final = "ood/"
ABLATION: Final = "nmtune_without_"

_CANDIDATES: Final = {
    "linear_probe": "linear probe",
    "whitened_probe": "whitened probe",
    "robust_probe": "robust probe",
    "trimmed_probe": "trimmed probe",
    "mlp": "matched MLP",
    "mlp_ensemble": "MLP ensemble",
    "nmtune": "NMTune",
    "published_mlp": "matched MLP, published loop",
    "published_nmtune": "NMTune, published loop",
    "frozen_auto": "auto on frozen embeddings",
    "lora": "LoRA",
    "lora_nmtune": "LoRA + NMTune",
    "full_finetuning": "full fine-tuning",
    "auto": "auto",
}
_PROPER: Final = ("nmtune", "lora", "full_finetuning")
"""What names without an article begin with."""
_UNPRINTABLE: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def clean(text: object) -> str:
    """Any value as text that HTML and XML can hold: what neither can, becomes U+FFFD."""
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", str(text))


def shortened(text: str, most: int) -> str:
    """At most `most` characters, with an ellipsis where something was cut off."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def candidate(name: str) -> str:
    """A candidate's name for people; one that is not known keeps its own."""
    if name.startswith(ABLATION):
        return f"NMTune, no {name.removeprefix(ABLATION)} term"
    return _CANDIDATES.get(name, clean(name))


def the(name: str) -> str:
    """A candidate in a sentence: the linear probe, auto's head, NMTune."""
    if name == "auto":
        return "auto's head"
    if name == "frozen_auto":
        return "auto's head on frozen embeddings"
    return candidate(name) if name.startswith(_PROPER) else f"the {candidate(name)}"


def capital(sentence: str) -> str:
    """A sentence with a capital at its start."""
    return sentence[:1].upper() + sentence[1:]


def split(name: str) -> str:
    """A split's name for people: `ID test`, `OOD sketch`, `OOD mean`."""
    if name.startswith(OOD_PREFIX):
        return f"OOD {clean(name.removeprefix(OOD_PREFIX))}"
    return {"ood_mean": "OOD mean", "ood": "OOD mean"}.get(name, f"ID {clean(name)}")


def in_order(splits: list[str]) -> list[str]:
    """Splits as they are read: in domain first, then the domains, each group as it came."""
    return sorted(splits, key=lambda name: (name.startswith(OOD_PREFIX), name != "test"))


def is_number(value: object) -> bool:
    """Whether `value` is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def count(value: float) -> str:
    """A number of things, such as 4,281."""
    return f"{value:,.0f}".replace("-", MINUS)


def percent(share: float) -> str:
    """A share between 0 and 1, such as 92.3 %."""
    return f"{100 * share:.1f}{NBSP}%".replace("-", MINUS)


def points(difference: float) -> str:
    """A signed difference of two shares in points, such as +1.2."""
    value = round(100 * difference, 1)
    return f"{value:+.1f}".replace("-", MINUS) if value else "0.0"


def number(value: float) -> str:
    """A number with three significant digits or two decimals, whichever is more."""
    size = abs(value)
    if size and (size < 0.01 or size >= 1e6):
        return f"{value:.2e}".replace("-", MINUS)
    digits = 0 if size >= 1000 else 1 if size >= 100 else 2
    return f"{value:,.{digits}f}".replace("-", MINUS)


def p_value(value: float) -> str:
    """A p-value, such as 0.032."""
    return "<" + NBSP + "0.001" if value < 0.001 else f"{value:.3f}"


def seconds(value: float) -> str:
    """A duration, such as 1 min 20 s."""
    if value < 10:
        return f"{value:.2g}{NBSP}s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [(hours, "h"), (minutes, "min"), (rest, "s")]
    told = [f"{amount}{NBSP}{unit}" for amount, unit in parts if amount]
    return " ".join(told[:2])


def size(n_bytes: float) -> str:
    """A number of bytes, such as 2.9 MB."""
    power = min(4, int(math.log10(n_bytes) // 3)) if n_bytes >= 1 else 0
    digits = 1 if power else 0
    unit = ("bytes", "kB", "MB", "GB", "TB")[power]
    return f"{n_bytes / 1000**power:,.{digits}f}{NBSP}{unit}"


def plural(n: int, one: str, many: str = "") -> str:
    """A number with its noun, such as 1 row or 4,281 rows."""
    return f"{count(n)} {one if n == 1 else many or one + 's'}"


def written(value: Value, kind: Kind) -> str:
    """A value as a table shows it; what is not there, or no number where one is due, is a dash."""
    if value is None or value == "":
        return NOTHING
    if kind == "text" or isinstance(value, str | bool):
        return clean(value)
    if not is_number(value):
        return NOTHING
    write = {
        "count": count,
        "percent": percent,
        "points": points,
        "number": number,
        "seconds": seconds,
        "p": p_value,
    }[kind]
    return write(float(value))


def moment(value: object) -> datetime | None:
    """A moment as the API writes it; None for anything else."""
    if isinstance(value, datetime):
        return value
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None


def time(value: datetime | str | None) -> str:
    """A moment in UTC, such as 2026-11-30 23:05 UTC."""
    if value is None:
        return NOTHING
    found = moment(value)
    return clean(value) if found is None else f"{found.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def listed(names: list[str]) -> str:
    """a, b and c."""
    *first, last = names or [""]
    return f"{', '.join(first)} and {last}" if first else last

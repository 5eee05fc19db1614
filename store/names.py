"""The naming rule that tenants, datasets, jobs, heads and aliases share."""

import re
from typing import Final

from store.errors import InvalidName

DEFAULT_TENANT: Final = "default"
"""The only tenant of an installation without keys."""

NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
"""The rule as a regular expression; `is_name` is the check (it also refuses a trailing newline)."""

_NAME = re.compile(NAME_PATTERN)


def is_permanent(tenant_id: str) -> bool:
    """Whether a server without keys acts for this tenant, so that it must always be there."""
    return tenant_id == DEFAULT_TENANT


def is_name(text: str) -> bool:
    """Whether `text` obeys the naming rule."""
    return _NAME.fullmatch(text) is not None


def check_name(kind: str, name: str) -> str:
    """Return `name`, or raise InvalidName saying which `kind` of name is wrong and the rule."""
    if not is_name(name):
        raise InvalidName(
            f"The {kind} name {name[:80]!r} is not allowed: use 1 to 64 letters, digits, '.', '_' "
            "or '-', starting with a letter or digit."
        )
    return name


def check_alias(alias: str) -> str:
    """Return `alias`, or raise InvalidName: the naming rule, not all digits, not 'latest'."""
    check_name("alias", alias)
    if alias.isdigit() or alias == "latest":
        raise InvalidName(
            f"The alias name {alias!r} is not allowed: only digits mean a version number, and "
            "'latest' is always the newest version. Choose a word such as 'prod'."
        )
    return alias

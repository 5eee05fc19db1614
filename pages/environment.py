"""The one Jinja2 environment: everything is escaped, and a name that is not given is an error."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from pages import words

_IMPLIED: Final = re.compile(r"</(?:td|th|tr|tbody|thead|li|dt|dd|option)>\n?")
_PART: Final = 8_000  # characters
_BLANK: Final = re.compile(r"\n\s*\n")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["clean"] = words.clean
    environment.filters["time"] = words.time
    environment.filters["split"] = words.split
    environment.filters["candidate"] = words.candidate
    environment.filters["percent"] = words.percent
    environment.filters["seconds"] = words.seconds
    environment.filters["count"] = words.count
    return environment


def render(template: str, **values: Any) -> str:
    """A template of `pages/templates/` with its values, without the end tags that HTML implies."""
    return "".join(rendered(template, **values))


def rendered(template: str, **values: Any) -> Iterator[str]:
    """The same in parts, as they are made: a browser can begin before the last figure is drawn."""
    parts: list[str] = []
    size = 0
    for part in _environment().get_template(template).generate(**values):
        parts.append(part)
        size += len(part)
        if size > _PART:
            yield _shorter("".join(parts))
            parts, size = [], 0
    yield _shorter("".join(parts))


def _shorter(html: str) -> str:
    return _IMPLIED.sub("", _BLANK.sub("\n", html))

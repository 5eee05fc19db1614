"""The one Jinja2 environment: everything is escaped, and a name that is not given is an error."""

import re
from functools import cache
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from pages import words

_IMPLIED: Final = re.compile(r"</(?:td|th|tr|tbody|thead|li|dt|dd|option)>\n?")
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
    environment.filters["size"] = words.size
    environment.filters["points"] = words.points
    return environment


def render(template: str, **values: Any) -> str:
    """A template of `pages/templates/` with its values, without the end tags that HTML implies."""
    html = _environment().get_template(template).render(**values)
    return _IMPLIED.sub("", _BLANK.sub("\n", html))

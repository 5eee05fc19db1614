"""Try a head: what does it say to this text or vector?"""

import shlex
from collections.abc import Mapping
from typing import Any, Final

from pages import words
from pages.views.shell import Place, page

LEVELS: Final = ("0.8", "0.9", "0.95")
N_SHOWN: Final = 8
"""Classes that are shown, the most probable ones."""


def try_page(head: Mapping[str, Any], place: Place, *, chosen: str | None = None) -> str:
    """The page of a head, as `GET /heads/{name}` answers it.

    chosen: the version or alias to ask first; by default `prod` if there is one, else the latest.
    """
    name = words.clean(head["name"])
    versions = head["versions"]
    latest = versions[0]
    references = [*head["aliases"], *(str(one["version"]) for one in versions)]
    usual = "prod" if "prod" in head["aliases"] else str(latest["version"])
    chosen = chosen if chosen is not None and chosen in references else usual
    number = head["aliases"].get(chosen, chosen)
    version = next((one for one in versions if str(one["version"]) == str(number)), latest)
    encoder = version.get("encoder")
    is_text = encoder is not None
    return page(
        "try.html.jinja",
        place,
        section="heads",
        scripts=["try.js"],
        name=name,
        references=references,
        chosen=chosen,
        is_text=is_text,
        encoder=words.clean(encoder["model"]) if encoder is not None else "",
        n_columns=version["n_columns"],
        n_classes=len(version["classes"]),
        levels=LEVELS,
        n_shown=N_SHOWN,
        curl=_curl(name, chosen, is_text=is_text),
        python=_python(name, chosen, is_text=is_text),
    )


def _curl(name: str, chosen: str, *, is_text: bool) -> str:
    rows = '"texts": ["where is my parcel?"]' if is_text else '"embeddings": [[0.1, 0.2, ...]]'
    body = f'{{"head": "{name}@{chosen}", {rows}, "conformal_level": 0.9, "ood": true}}'
    return f"curl -sS URL/predict -H 'content-type: application/json' -d {shlex.quote(body)}"


def _python(name: str, chosen: str, *, is_text: bool) -> str:
    rows = 'texts=["where is my parcel?"]' if is_text else "[[0.1, 0.2, ...]]"
    return (
        "from nmtune_client import Client\n\n"
        'client = Client("URL")\n'
        f'print(client.predict("{name}@{chosen}", {rows}, conformal_level=0.9, ood=True))'
    )

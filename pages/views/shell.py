"""What every page has: its frame, its files, the way to the service's root."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pages import assets
from pages.environment import render, rendered


@dataclass(frozen=True)
class Place:
    """Where a page is: `root` leads from it to the service's root, such as `../../../`.

    Links are relative, so that they hold under any path that a proxy serves the pages at.
    """

    root: str
    is_admin: bool = False
    """Whether the navigation shows what only administrators may see."""


def page(
    template: str, place: Place, *, scripts: Sequence[str] = (), section: str = "", **values: Any
) -> str:
    """A page that loads its style and its scripts from the service.

    scripts: what it needs besides those of every page. section: where it is in the navigation, such
    as `jobs`.
    """
    return "".join(page_parts(template, place, scripts=scripts, section=section, **values))


def page_parts(
    template: str, place: Place, *, scripts: Sequence[str] = (), section: str = "", **values: Any
) -> Iterator[str]:
    """The same in parts, as they are made."""
    static = f"{place.root}ui/static/{assets.digest()}"
    return rendered(
        template,
        root=place.root,
        is_admin=place.is_admin,
        styles=[f"{static}/{name}" for name in assets.STYLES],
        scripts=[f"{static}/{name}" for name in (*assets.SCRIPTS, *scripts)],
        is_file=False,
        section=section,
        **values,
    )


def one_file(template: str, **values: Any) -> str:
    """A page that is a file of its own: style and scripts inside, a policy names their hashes."""
    style = f"\n{assets.inlined(assets.FILE_STYLES)}\n"
    script = f"\n{assets.inlined(assets.FILE_SCRIPTS)}\n"
    policy = (
        f"default-src 'none'; style-src {assets.csp_hash(style)}; "
        f"script-src {assets.csp_hash(script)}; img-src data:; base-uri 'none'; form-action 'none'"
    )
    return render(template, style=style, script=script, policy=policy, is_file=True, **values)

"""The server's words for a request's fields, put as the options of the command that was given."""

import re
import shlex
from argparse import Namespace
from collections.abc import Mapping
from typing import Final

_OPTIONS: Final[Mapping[str, str]] = {
    "force=true": "--force",
    "merge_similar=true": "--merge-similar",
    "merge_similar": "--merge-similar",
    "ood_domains": "--ood-domains",
    "test_fraction": "--test-fraction",
    "split_seed": "--split-seed",
    "keep_seconds": "--keep",
    "compare": "--no-compare",
    "alias_always": "--alias-always",
    "top_k": "--top-k",
    "abstain_below": "--abstain-below",
    "conformal_level": "--conformal-level",
    "base_url": "--base-url",
}
"""What a message of the API calls a field, and the option that sets it."""

_UNLABELLED: Final = "say ?unlabelled=true"
_PREDICT: Final = "use nmtune predict HEAD FILE --output OUT"

_WORDS: Final = re.compile(
    r"(?<![\w.'\"-])(?:provider\.)?(" + "|".join(map(re.escape, _OPTIONS)) + r")(?![\w])"
)
_QUERY: Final = re.compile(r"\?([a-z_]+)=(\.\.\.|[^\s,;]*[^\s,;.]|)")


def for_command_line(message: str, arguments: Namespace) -> str:
    """`message` of the server, its `?label=...` as `--label COLUMN`, its `force=true` as `--force`.

    A word stays as it is where the command has no such option.
    """

    def option(found: re.Match[str]) -> str:
        words = _OPTIONS[found[1]]
        name = words.removeprefix("--").replace("-", "_")
        return words if hasattr(arguments, name) else found[0]

    def column(found: re.Match[str]) -> str:
        name, value = found.groups()
        shown = " COLUMN" if value == "..." else f" {shlex.quote(value)}" if value else ""
        # `predict` calls the text itself --text, and its column --text-column
        for one in (f"{name}_column", name):
            if hasattr(arguments, one):
                return f"--{one.replace('_', '-')}{shown}"
        return found[0]

    message = message.replace(_UNLABELLED, _PREDICT)
    return _WORDS.sub(option, _QUERY.sub(column, message))

"""What the processes of one server have in common: made once, before they are forked.

A server of one process has the same, and shares it with nobody.
"""

from dataclasses import dataclass, field
from pathlib import Path

from service.access.guesses import Guesses
from service.access.login_links import LoginLinks


@dataclass(frozen=True, kw_only=True)
class Shared:
    """Counts, codes and folders."""

    guesses: Guesses = field(default_factory=Guesses)
    login_links: LoginLinks = field(default_factory=LoginLinks)
    metrics_folder: Path | None = None
    """Where each process counts; None: in its own memory, for there is only one."""
    heads_folder: Path | None = None
    """Where heads are kept as files that each process maps; None: in its own memory."""

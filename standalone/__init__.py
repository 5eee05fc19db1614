"""The roof: wires doors and stones into processes, and has the `nmtune-server` command."""

from typing import Final, Literal, TypeAlias

PROGRAM: Final = "nmtune-server"

LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]
LogFormat: TypeAlias = Literal["text", "json"]

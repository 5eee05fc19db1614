"""Where a person sees something move: a line of a terminal or notebook, or a log."""

import shutil
import sys
from typing import Any, Protocol, TextIO

from nmtune_client._show.plain import cut_to_words

_CLEAR_TO_END = "\x1b[K"


class Live(Protocol):
    """What shows how far something has come."""

    @property
    def width(self) -> int | None:
        """How wide a line may be; None where any is."""

    def show(self, line: str, step: object) -> None:
        """Show `line`; where lines stay, only if `step` is another than that of the last one."""

    def close(self) -> None:
        """Leave the last line standing."""


class TerminalLine:
    """A line of a terminal that is drawn over and over."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._shown = ""

    @property
    def width(self) -> int | None:
        return shutil.get_terminal_size().columns - 1

    def show(self, line: str, step: object) -> None:  # noqa: ARG002  it draws whatever changes
        line = cut_to_words(line, shutil.get_terminal_size().columns - 1)
        if line != self._shown:
            self._stream.write(f"\r{line}{_CLEAR_TO_END}")
            self._stream.flush()
            self._shown = line

    def close(self) -> None:
        if self._shown:
            self._stream.write("\n")
            self._stream.flush()
            self._shown = ""


class NotebookLine:
    """One output of a notebook's cell that is written anew; stderr would be red."""

    width = None

    def __init__(self, display: Any) -> None:
        self._display = display
        self._handle: Any = None
        self._shown = ""

    def show(self, line: str, step: object) -> None:  # noqa: ARG002  it draws whatever changes
        if line == self._shown:
            return
        self._shown = line
        data = {"text/plain": line}
        if self._handle is None:
            self._handle = self._display(data, raw=True, display_id=True)
        else:
            self._handle.update(data, raw=True)

    def close(self) -> None:
        """Nothing: the cell keeps its output."""


class LogLines:
    """A line for each step, where nothing can be drawn over: a file, a pipe, a build's log."""

    width = None

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._step: object = None

    def show(self, line: str, step: object) -> None:
        if step != self._step:
            self._step = step
            self._stream.write(f"{line}\n")
            self._stream.flush()

    def close(self) -> None:
        """Nothing: each line is whole."""


def live(stream: TextIO | None = None) -> Live:
    """What fits the place: a notebook, a terminal, else lines; `stream` is stderr if None."""
    if stream is None and (display := _notebooks_display()) is not None:
        return NotebookLine(display)
    stream = sys.stderr if stream is None else stream
    return TerminalLine(stream) if stream.isatty() else LogLines(stream)


def _notebooks_display() -> Any:
    """IPython's `display` in a notebook's kernel; None elsewhere. Imports nothing that is not."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None or not hasattr(shell, "kernel"):
        return None
    return getattr(sys.modules.get("IPython.display"), "display", None)

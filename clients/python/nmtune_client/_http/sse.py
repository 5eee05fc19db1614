"""Parse `text/event-stream` from bytes as they arrive; no I/O."""

import re
from dataclasses import dataclass

# Not str.splitlines (nor httpx's iter_lines): they also split at U+2028 and the like, which JSON
# text may hold.
_LINE_END = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True, kw_only=True)
class ServerSentEvent:
    """One complete event of a stream."""

    id: str | None
    type: str
    data: str


class Parser:
    """Turns chunks of a stream into events; an event that was cut off never comes out.

    Follows the event-stream section of the HTML standard: comments are skipped, `data` lines are
    joined by a newline, an empty line ends an event, the last id holds until the next one.
    """

    def __init__(self) -> None:
        self._pending = b""
        self._id: str | None = None
        self._type = ""
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """The events that `chunk` completes, in order."""
        text = self._pending + chunk
        # a CR at the very end may be the first half of CRLF: wait for what follows
        held = text[-1:] if text.endswith(b"\r") else b""
        *lines, rest = _LINE_END.split(text[: len(text) - len(held)])
        self._pending = rest + held
        events = (self._line(line.decode("utf-8", "replace")) for line in lines)
        return [event for event in events if event is not None]

    def _line(self, line: str) -> ServerSentEvent | None:
        if not line:
            return self._end()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._type = value
        elif name == "id" and "\0" not in value:
            self._id = value
        return None

    def _end(self) -> ServerSentEvent | None:
        event = ServerSentEvent(
            id=self._id, type=self._type or "message", data="\n".join(self._data)
        )
        has_data = bool(self._data)
        self._type, self._data = "", []
        return event if has_data else None

"""The log format: each record is a line of text or JSON, with the request or job it is about.

A record carries the id of the request or job during which it was written. In JSON a message of the
usual form, `event.name key=%s ...`, becomes its event and its fields. The keys come from the
template, so no value can pass for another field. Passwords in URLs are masked in both forms.
"""

import logging
import math
import re
import time
from datetime import UTC, datetime
from typing import Any, Final, get_args

import structlog
from pydantic_settings import BaseSettings, SettingsConfigDict
from structlog.types import EventDict

from service.http.layers import request_id
from standalone import LogFormat, LogLevel
from workers import job_id

TEXT = "%(asctime)s.%(msecs)03dZ %(levelname)-7s %(name)s [%(about)s] %(message)s"
TIME_FORMAT = "%Y-%m-%dT%H:%M:%S"
FORMATS = get_args(LogFormat)
CHATTY = ("alembic", "uvicorn")  # our own lines replace their INFO

_TEMPLATE = re.compile(r"([a-z_]+\.[a-z_]+)((?: [a-z_0-9]+=%[-+#.0-9]*[a-z])*)")
_FIELD = re.compile(r" ([a-z_0-9]+)=(%[-+#.0-9]*[a-z])")
_URL_PASSWORD = re.compile(r"(://[^/\s:@\"']*:)[^/\s\"']+@")
_SECRET_WORDS = ("password", "passwd", "secret", "token", "api_key", "api-key", "authorization")
_NAMED_SECRET = re.compile(
    rf"(?i)((?:{'|'.join(_SECRET_WORDS)})[\"']?\s*[=:]\s*[\"']?(?:bearer |basic )?)[^\s\"',;&}}\]]+"
)
_FAILING_ROW = re.compile(r"(DETAIL:  ).*?(?=\n\[SQL:|\n\n|\Z)", re.DOTALL)  # PostgreSQL's: values
MASK: Final = "***"


class LogSettings(BaseSettings):
    """Read once, at a door, from `NMTUNE_...` variables."""

    model_config = SettingsConfigDict(env_prefix="NMTUNE_", frozen=True)

    log_level: LogLevel = "info"
    """The least severe records to log."""
    log_format: LogFormat = "text"
    """`text` for people; `json`, one object a line, for programs."""


def configure(settings: LogSettings) -> None:
    """Send all logs of this process to stderr, including those of libraries and Python's warnings.

    Times are UTC.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_json() if settings.log_format == "json" else _text())
    handler.addFilter(_about)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    for name in CHATTY:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    logging.captureWarnings(True)
    # No line shows these, and finding them takes longer than the rest of a line. The switches are
    # those of logging's documentation on optimisation.
    switches = ("logThreads", "logProcesses", "logMultiprocessing", "logAsyncioTasks")
    vars(logging).update(dict.fromkeys(switches, False), _srcfile=None)


def masked(line: str) -> str:
    """`line` without passwords in URLs, values that are named secrets, and database rows."""
    # Few lines have anything to mask: looking for plain words first is ten times as fast.
    if "://" in line:
        line = _URL_PASSWORD.sub(rf"\g<1>{MASK}@", line)
    small = line.lower()
    if any(word in small for word in _SECRET_WORDS):
        line = _NAMED_SECRET.sub(rf"\g<1>{MASK}", line)
    if "DETAIL:" in line:
        line = _FAILING_ROW.sub(rf"\g<1>{MASK}", line)
    return line


def _about(record: logging.LogRecord) -> bool:
    """Add the ids of the thread's request and job; a filter runs in the thread that logs."""
    ids = {"request_id": request_id.current(), "job_id": job_id.current()}
    about = ids["request_id"] or ids["job_id"] or "-"
    vars(record).update(ids, about=about)
    return True


def _text() -> logging.Formatter:
    formatter = _Text(TEXT, TIME_FORMAT)
    formatter.converter = time.gmtime
    return formatter


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        # Later lines (of tracebacks, or of a training's log) carry the id too, and no message can
        # fake a line of its own.
        about = vars(record).get("about", "-")
        return masked(super().format(record)).replace("\n", f"\n[{about}] ")


def _json() -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        pass_foreign_args=True,
        foreign_pre_chain=[
            _origin,
            _fields,
            structlog.processors.format_exc_info,  # only the text: no local variables
            structlog.processors.StackInfoRenderer(),
            _masked_values,
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer(),
        ],
    )


def _origin(_logger: object, _method: str, event: EventDict) -> EventDict:
    record: logging.LogRecord = event["_record"]
    moment = datetime.fromtimestamp(record.created, UTC)
    event["timestamp"] = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    event["level"] = record.levelname.lower()
    event["logger"] = record.name
    for name in ("request_id", "job_id"):
        value = vars(record).get(name)
        if value is not None:
            event[name] = value
    return event


def _fields(_logger: object, _method: str, event: EventDict) -> EventDict:
    values = event.pop("positional_args", ())
    found = _TEMPLATE.fullmatch(str(event["_record"].msg))
    if found is None:
        return event
    fields = _FIELD.findall(found[2])
    if isinstance(values, tuple) and len(fields) == len(values):
        event["event"] = found[1]
        for (name, form), value in zip(fields, values, strict=True):
            event.setdefault(name, _plain(form, value))
    return event


def _masked_values(_logger: object, _method: str, event: EventDict) -> EventDict:
    return {name: masked(v) if isinstance(v, str) else v for name, v in event.items()}


def _plain(form: str, value: Any) -> object:
    """The value for JSON: a number stays a number, rounded as in the text."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return float(form % value) if form[-1] in "fge" else value
    return form % value

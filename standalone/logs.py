"""The home of the log format: one line a record, with time, level, logger and request id."""

import logging
import time

from service.request_id import RequestIdFilter

FORMAT = "%(asctime)s.%(msecs)03dZ %(levelname)-7s %(name)s [%(request_id)s] %(message)s"
TIME_FORMAT = "%Y-%m-%dT%H:%M:%S"
LEVELS = ("debug", "info", "warning", "error")
CHATTY = ("alembic", "uvicorn")  # their INFO says what our own lines say better


def configure(level: str) -> None:
    """Send all logs to stderr from `level` (one of LEVELS) on; times are UTC."""
    formatter = logging.Formatter(FORMAT, TIME_FORMAT)
    formatter.converter = time.gmtime
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    handler.addFilter(RequestIdFilter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in CHATTY:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))

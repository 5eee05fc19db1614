"""Which limit a request counts against, by its method and path.

Everything has a class: a new route is a read or a write without anybody's doing.
"""

import re
from enum import StrEnum
from typing import Final

from service.http.layers.gate import SAFE_METHODS
from service.http.paths import PREDICT, PROBES, is_prediction
from store.access.limits import Limits


class RequestClass(StrEnum):
    """What a key may do so often a second; the value is the name in headers and answers."""

    PREDICT = "predict"
    READ = "read"
    WRITE = "write"
    UPLOAD = "upload"

    @property
    def unit(self) -> str:
        """What is counted."""
        return "rows" if self is RequestClass.PREDICT else "requests"

    def rate_in(self, limits: Limits) -> float | None:
        """What flows into a key's bucket each second; None: no limit."""
        rate: float | None = getattr(limits, _RATES[self])
        return rate


_RATES: Final = {
    RequestClass.PREDICT: "predict_rows_per_second",
    RequestClass.READ: "reads_per_second",
    RequestClass.WRITE: "writes_per_second",
    RequestClass.UPLOAD: "uploads_per_second",
}
_UPLOADS: Final = re.compile(r"/datasets(/[^/]+/rows)?|/uploads(/.*)?")


def class_of(method: str, path: str) -> RequestClass | None:
    """The class of a request; None for probes, which must always be answered."""
    if path == PREDICT:
        return RequestClass.PREDICT
    if method in SAFE_METHODS:
        return None if path in PROBES else RequestClass.READ
    if is_prediction(path):
        return RequestClass.PREDICT
    if _UPLOADS.fullmatch(path) and method != "DELETE":
        return RequestClass.UPLOAD
    return RequestClass.WRITE

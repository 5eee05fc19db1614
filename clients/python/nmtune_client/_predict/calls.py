"""The requests that predict: rows, texts, or a stored dataset as a job."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from nmtune_client._datasets.arrays import Embeddings
from nmtune_client._http.calls import body, params_of, post_headers
from nmtune_client._http.wire import Call, Route
from nmtune_client._jobs.calls import create_job
from nmtune_client._jobs.values import JobData
from nmtune_client._predict.answers import Part, read_part
from nmtune_client._predict.options import BINARY, Options

_PREDICT = Route("POST", "/predict")
_CREATE_PREDICTION = Route("POST", "/predictions")


def predict(head: str, rows: Embeddings, *, options: Options | None = None) -> Call[Part]:
    """Predict for raw little-endian float32 rows (n, d)."""
    asked = options or Options()
    n_rows, n_columns = rows.shape
    return Call(
        route=_PREDICT,
        parse=lambda answer: read_part(answer, asked, n_rows=n_rows),
        params=params_of(head=head) | asked.params,
        headers=post_headers(BINARY) | {"X-Shape": f"{n_rows},{n_columns}", "Accept": asked.accept},
        content=rows.astype("<f4", copy=False).tobytes(),
    )


def predict_texts(head: str, texts: Sequence[str], *, options: Options | None = None) -> Call[Part]:
    """Predict for n texts, which the head's own provider embeds."""
    asked = options or Options()
    return Call(
        route=_PREDICT,
        parse=lambda answer: read_part(answer, asked, n_rows=len(texts)),
        params=asked.params,
        headers=post_headers("application/json") | {"Accept": asked.accept},
        content=body({"head": head, "texts": list(texts)}),
    )


def create_prediction(
    data: Mapping[str, object], *, wait: int | None = None, idempotency_key: str | None = None
) -> Call[JobData]:
    """Submit a prediction of a stored dataset; `wait` as for `create_job`."""
    return replace(
        create_job(data, wait=wait, idempotency_key=idempotency_key), route=_CREATE_PREDICTION
    )

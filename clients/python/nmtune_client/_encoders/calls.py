"""The requests about encoders that run in the server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nmtune_client._encoders.values import LocalEncoder
from nmtune_client._http.calls import nothing, parser
from nmtune_client._http.wire import Answer, Call, Route

MEDIA_TYPE = "application/x-tar"

_PUT = Route("PUT", "/encoders/{encoder_name}")
_LIST = Route("GET", "/encoders")
_GET = Route("GET", "/encoders/{encoder_name}")
_DELETE = Route("DELETE", "/encoders/{encoder_name}")

# The server answers once it has checked each number and tried the encoder.
_READ_SECONDS = 600.0


def put_encoder(
    name: str, *, path: Path | None = None, upload_id: str | None = None
) -> Call[LocalEncoder]:
    """Add an encoder: the archive at `path`, or in a finished upload."""
    return Call(
        route=_PUT,
        ids={"encoder_name": name},
        parse=parser(LocalEncoder.from_json),
        params={} if upload_id is None else {"upload": upload_id},
        headers={} if path is None else {"Content-Type": MEDIA_TYPE},
        file=path,
        extra_read_seconds=_READ_SECONDS,
    )


def list_encoders() -> Call[list[LocalEncoder]]:
    """Your own, then those of everybody."""
    return Call(route=_LIST, parse=lambda answer: list(_listed(answer)))


def get_encoder(name: str) -> Call[LocalEncoder]:
    """One encoder."""
    ids = {"encoder_name": name}
    return Call(route=_GET, ids=ids, parse=parser(LocalEncoder.from_json))


def delete_encoder(name: str) -> Call[None]:
    """Delete an encoder of your own."""
    return Call(route=_DELETE, ids={"encoder_name": name}, parse=nothing)


def _listed(answer: Answer) -> Iterator[LocalEncoder]:
    found: dict[str, Any] = answer.json()
    for one in [*found["items"], *found["provided"]]:
        yield LocalEncoder.from_json(one)

"""Answer inferences of the Open Inference Protocol, which `service.oip.routes` documents."""

import re
from collections.abc import Callable
from functools import partial
from typing import Final
from urllib.parse import parse_qsl

from fastapi.exceptions import RequestValidationError
from starlette.routing import BaseRoute

from service.http.errors import Problem
from service.http.fields import MAX_REFERENCE_CHARACTERS
from service.http.identity import Identity, check_head, identity_of
from service.http.layers.exchange import Answer, Exchange
from service.http.unknown_parameters import unknown_parameter
from service.oip import inference_answer, inference_request
from service.oip.inference_request import LENGTH_HEADER, InferRequest, invalid
from service.predict import rendering
from service.predict.intake import BodyBudget, Door
from service.predict.predictor import Predictor

BINARY: Final = "application/octet-stream"
MANY_ROWS: Final = 64
"""The answer for more rows is written in a thread."""

_PATH: Final = re.compile(r"/v2/models/([^/]+)(?:/versions/([^/]+))?/infer")
_LENGTH: Final = LENGTH_HEADER.lower().encode()


def reference_of(name: str, version: str | None) -> str:
    """The head that the path names. Raises Problem if it names the version twice."""
    if version is None:
        return name
    if "@" in name:
        raise invalid(
            f"Name the version only once: {name.partition('@')[0]} with versions/{version}."
        )
    return f"{name}@{version}"


class InferDoor(Door[InferRequest]):
    """Answers POST /v2/models/{name}/infer, with or without a version."""

    def __init__(
        self, *, predictor: Predictor, bodies: BodyBudget, route: BaseRoute, versions: BaseRoute
    ) -> None:
        """route, versions: the names in the metrics, without a version and with one."""
        super().__init__(predictor=predictor, bodies=bodies)
        self._route = route
        self._versions = versions

    def takes(self, exchange: Exchange) -> bool:
        """Whether it is one of these paths."""
        found = _PATH.fullmatch(exchange.path)
        if found is None:
            return False
        exchange.scope["route"] = self._route if found[2] is None else self._versions
        exchange.scope["path_params"] = {"name": found[1], "version": found[2]}
        return True

    def reader(self, exchange: Exchange) -> tuple[Callable[[bytes], InferRequest], bool]:
        """What parses the body: JSON, or JSON and the bytes of a tensor."""
        _check_head_of(exchange)
        check_head(identity_of(exchange.scope), reference_of(**exchange.scope["path_params"]))
        length = exchange.header(_LENGTH)
        return partial(
            inference_request.read, header_length=length, check_n_rows=self.predictor.check_n_rows
        ), length is None

    async def answered(self, exchange: Exchange, identity: Identity, asked: InferRequest) -> Answer:
        """The answer in the protocol's form."""
        reference = reference_of(**exchange.scope["path_params"])
        found = await self.predictor.answer(
            identity.tenant_id, reference, asked.x, asked.class_shares
        )
        written = await self.beside_if(
            asked.n_rows > MANY_ROWS, partial(inference_answer.write, asked), found
        )
        said = rendering.said_of(found.serving)
        if written.n_json is None:
            return written.body, [(b"content-type", b"application/json"), *said]
        length = (_LENGTH, b"%d" % written.n_json)
        return written.body, [(b"content-type", BINARY.encode()), length, *said]


def _check_head_of(exchange: Exchange) -> None:
    """Raise what is wrong with the request before its body."""
    reference_of(**exchange.scope["path_params"])
    for name, _ in parse_qsl(exchange.scope["query_string"].decode("latin-1"), True):
        raise unknown_parameter(name, ())
    if (exchange.header(b"content-encoding") or "identity").lower() != "identity":
        raise Problem(415, "unsupported_media_type", "Send the body without compression.")
    for name, value in exchange.scope["path_params"].items():
        if value is not None and len(value) > MAX_REFERENCE_CHARACTERS:
            limit = {"max_length": MAX_REFERENCE_CHARACTERS}
            raise RequestValidationError(
                [{"type": "string_too_long", "loc": ("path", name), "msg": "", "ctx": limit}]
            )

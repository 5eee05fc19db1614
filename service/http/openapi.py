"""What /docs shows of problems: the schema of the body, and which routes answer with it."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from service.http.errors import MEDIA_TYPE

REF_TEMPLATE: Final = "#/components/schemas/{model}"
_REF: Final = {"$ref": "#/components/schemas/Problem"}


class ProblemError(BaseModel):
    """One wrong thing in the request."""

    field: str = Field(description="Dotted path or parameter name, such as config.w_covariance.")
    row: int | None = Field(description="0-based, if one row is wrong.")
    column: int | None = Field(description="0-based, if one value is wrong.")
    message: str


class ProblemBody(BaseModel):
    """The body of every answer that is not a success (RFC 9457)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:nmtune:problem:invalid_config",
                    "title": "Invalid config",
                    "status": 422,
                    "detail": "epochs must be a whole number from 1 to 10000, got 0",
                    "code": "invalid_config",
                    "request_id": "req_5f0c6e1b2a9d4e7f8c3b1a20",
                    "errors": [
                        {
                            "field": "config.epochs",
                            "row": None,
                            "column": None,
                            "message": "epochs must be a whole number from 1 to 10000, got 0",
                        }
                    ],
                    "count": 1,
                }
            ]
        }
    )

    type: str
    title: str
    status: int
    detail: str = Field(description="What is wrong and what to do.")
    code: str = Field(description="Stable: programs may rely on it.")
    request_id: str | None
    errors: list[ProblemError] = Field(description="The first 20 wrong things.")
    count: int = Field(description="How many things are wrong in all.")


_MEANINGS: Final[Mapping[int, str]] = {
    400: "The body is not what its Content-Type says, such as broken JSON.",
    403: "A limit is reached; the answer names it and says what to do.",
    404: "It does not exist.",
    406: "The answer has none of the forms that the Accept header asks for.",
    408: "The body arrived too slowly.",
    409: "The present state does not allow it.",
    410: "It is no longer kept.",
    412: "The header Tus-Resumable is missing or names another version than 1.0.0.",
    413: "The body, or the number of rows, is too large.",
    415: "This path does not take that Content-Type.",
    422: "Something in the request is wrong; errors names the field.",
    429: "The key asks too often, the month's quota is used up, or too many predictions wait; "
    "Retry-After says when to try again.",
    500: "A bug in the service, or an export that does not answer as the head; request_id finds it "
    "in the log.",
    503: "Temporarily unavailable: the storage or the database cannot be reached, or a stored file "
    "is damaged.",
}

BODY_STATUSES: Final = (400, 408, 413, 415)
"""The statuses that any request with a body may get."""


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses=` of a route or router for these statuses."""
    return {
        status: {
            "description": _MEANINGS.get(status, HTTPStatus(status).phrase),
            "content": {MEDIA_TYPE: {"schema": _REF}},
        }
        for status in statuses
    }


_SAFE: Final = frozenset({"get", "head", "options"})


class DocumentedAPI(FastAPI):
    """FastAPI behind a front, with an OpenAPI document that holds what `problems` refers to."""

    front: ASGIApp
    """What every request passes first. It calls `route_request`, unless it answers by itself."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        await self.front(scope, receive, send)

    async def route_request(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve what has passed the front."""
        await super().__call__(scope, receive, send)

    def build_middleware_stack(self) -> ASGIApp:
        """FastAPI's layers, without the one that answers a bug with bare text: the front does it
        better."""
        stack = super().build_middleware_stack()
        return stack.app if isinstance(stack, ServerErrorMiddleware) else stack

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document, made once."""
        document = super().openapi()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        if "Problem" not in schemas:
            body = ProblemBody.model_json_schema(ref_template=REF_TEMPLATE)
            schemas.update(body.pop("$defs"))
            schemas["Problem"] = body
            for route in (one for path in document["paths"].values() for one in path.values()):
                for content in route.get("requestBody", {}).get("content", {}).values():
                    # of a body that a route reads itself, with `REF_TEMPLATE`
                    schemas.update(content.get("schema", {}).pop("$defs", {}))
            _name_one_scope(document)
        return document


def _name_one_scope(document: dict[str, Any]) -> None:
    """Of a router's two scopes, for reading and for changing, leave each operation its own."""
    for operations in document["paths"].values():
        for method, operation in operations.items():
            for needs in operation.get("security", ()):
                for scheme, scopes in needs.items():
                    if len(scopes) > 1:
                        needs[scheme] = scopes[:1] if method in _SAFE else scopes[1:]

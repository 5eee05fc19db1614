"""Refuse a query parameter that a route does not know, and name the nearest one that it does.

A misspelt `?lable=species` would otherwise be ignored, and the route would do something else than
was asked. The routes of operators are left out: a probe must not fail over a parameter.
"""

import difflib
from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

from fastapi import Request
from fastapi.routing import APIRoute
from pydantic import BaseModel

from service.http.errors import Problem
from service.http.validation import printable

_NEAR: Final = 0.6
_SHOWN: Final = 20


async def refuse_unknown_parameters(request: Request) -> None:
    """Raise Problem for the first parameter of the query that the route does not take."""
    if not request.scope["query_string"]:
        return
    route = request.scope["route"]
    known = _parameters(route)
    for name in request.query_params:
        if name not in known:
            raise unknown_parameter(name, known)


def unknown_parameter(name: str, known: Iterable[str]) -> Problem:
    """The refusal of the parameter `name`, by a route that takes those `known`."""
    taken = sorted(known)
    near = difflib.get_close_matches(name, taken, n=1, cutoff=_NEAR)
    if near:
        advice = f"did you mean {near[0]}?"
    elif taken:
        advice = f"this path takes {', '.join(taken[:_SHOWN])}."
    else:
        advice = "this path takes none."
    return Problem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "invalid_request",
        f"There is no query parameter {printable(name)!r}: {advice}",
        field=name,
    )


def _parameters(route: APIRoute) -> set[str]:
    """The names of all query parameters of a route: its own, its models' and its dependencies'."""
    names: set[str] = set()
    left = [route.dependant]
    while left:
        dependant = left.pop()
        left += dependant.dependencies
        for parameter in dependant.query_params:
            kind = parameter.field_info.annotation
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                names |= {field.alias or name for name, field in kind.model_fields.items()}
            else:
                names.add(parameter.alias)
    return names

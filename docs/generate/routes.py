"""The page of routes: parameters, fields and answers, from the OpenAPI document."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docs.generate.code import LocalQueue, ServiceSettings, Store, create_app
from docs.generate.text import cell, page, prose, table


def routes_page() -> str:
    """Every route with its parameters, fields and answers, from the OpenAPI document."""
    document = _openapi()
    parts = [
        "The parameters of every route, as `/openapi.json` states them. What holds for all routes: "
        "[the HTTP API](api.md).",
    ]
    by_tag: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            tag = (operation.get("tags") or ["server"])[0]
            by_tag.setdefault(tag, []).extend(_route(f"{method.upper()} {path}", operation))
    for tag, routes in by_tag.items():
        parts += [f"## {tag}", *routes]
    parts += ["## Bodies", *_schemas(document)]
    return page("Routes", *parts)


def _openapi() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        settings = ServiceSettings(data_dir=Path(folder))
        store = Store.open(settings)
        try:
            return create_app(settings, store=store, queue=LocalQueue()).openapi()
        finally:
            store.close()


def _route(title: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"### `{title}`"
    yield prose(operation.get("description") or operation.get("summary", ""))
    for needs in operation.get("security", ()):
        for scopes in needs.values():
            yield f"Needs a key with the scope `{scopes[0]}`, where keys are on."
    parameters = operation.get("parameters", [])
    if parameters:
        rows = [
            [
                f"`{one['name']}`",
                one["in"],
                _values(one["schema"]),
                cell(one.get("description", "")),
            ]
            for one in parameters
        ]
        yield table(["parameter", "in", "values", "what"], rows)
    contents = operation.get("requestBody", {}).get("content", {})
    if contents:
        yield "Body: " + ", ".join(f"`{kind}`{_link(one)}" for kind, one in contents.items()) + "."
    answers = [code for code in operation["responses"] if code[0] in "45"]
    good = [code for code in operation["responses"] if code not in answers]
    yield f"Answers {', '.join(sorted(good))}; refusals {', '.join(sorted(answers)) or 'none'}."


def _link(content: dict[str, Any]) -> str:
    name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
    return f" ([{name}](#{name.lower()}))" if name else ""


def _schemas(document: dict[str, Any]) -> Iterator[str]:
    """The JSON bodies that a route takes, field by field."""
    wanted = {
        one["schema"]["$ref"].rpartition("/")[2]
        for operations in document["paths"].values()
        for operation in operations.values()
        for one in operation.get("requestBody", {}).get("content", {}).values()
        if "$ref" in one.get("schema", {})
    }
    for name in sorted(wanted):
        schema = document["components"]["schemas"][name]
        required = schema.get("required", [])
        rows = [
            [
                f"`{field}`",
                "yes" if field in required else "",
                _values(one),
                cell(one.get("description", "")),
            ]
            for field, one in schema.get("properties", {}).items()
        ]
        yield f"### {name}"
        yield prose(schema.get("description", ""))
        if rows:
            yield table(["field", "required", "values", "what"], rows)


def _values(schema: dict[str, Any]) -> str:
    if "anyOf" in schema or "oneOf" in schema:
        parts = [_values(one) for one in schema.get("anyOf") or schema["oneOf"]]
        return " or ".join(dict.fromkeys(part for part in parts if part))
    if "$ref" in schema:
        return schema["$ref"].rpartition("/")[2]
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{one}`" for one in schema.get("enum", [schema.get("const")]))
    kind = schema.get("type", "any JSON")
    bounds = [
        f"{word} {schema[key]:,}"
        for key, word in (
            ("minimum", "from"),
            ("exclusiveMinimum", "above"),
            ("maximum", "to"),
            ("minLength", "at least"),
            ("maxLength", "at most"),
        )
        if key in schema
    ]
    unit = " characters" if "maxLength" in schema else ""
    of = f" of {_values(schema['items'])}" if kind == "array" and "items" in schema else ""
    return f"{kind}{of} {' '.join(bounds)}{unit}".strip()

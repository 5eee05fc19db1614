"""The page of codes: every `code` of a refusal or of a failed job, from the source."""

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from functools import cache
from http import HTTPStatus
from typing import Any, Final, TypeAlias

from docs.generate.code import (
    PROVIDER_STATUSES,
    ROOT,
    STATUSES,
    NMTuneError,
    ProviderError,
    StoreError,
)
from docs.generate.text import cell, page, table

Codes: TypeAlias = dict[str, dict[str, set[str]]]
WARNINGS: Final = {"texts_maybe_truncated", "texts_truncated"}
"""What a job warns of without failing."""


def codes_page() -> str:
    """Every code with its statuses and the first of its messages."""
    return page(
        "Codes",
        "The `code` of a refusal (`application/problem+json`) and of a failed job's `error` is "
        "stable; the words beside it may change, and … stands for what they fill in. "
        "[Errors](api.md#errors) says what the statuses mean.",
        "## Refusals",
        _code_table(_refusals()),
        "## Failed jobs",
        "A job also fails with a code of its provider, of the storage or of its data above.",
        _code_table(_failures(), with_status=False),
    )


def _code_table(found: Codes, *, with_status: bool = True) -> str:
    rows = [
        [
            f"`{code}`",
            *([", ".join(sorted(one["statuses"]))] if with_status else []),
            cell(" · ".join(sorted(one["words"])[:3])),
        ]
        for code, one in sorted(found.items())
    ]
    return table(["code", *(["status"] if with_status else []), "when"], rows)


def _refusals() -> Codes:
    found: Codes = {}

    def note(code: str, status: object, words: str) -> None:
        entry = found.setdefault(code, {"statuses": set(), "words": set()})
        entry["statuses"] |= {str(status)} if status else set()
        entry["words"] |= {words} if words else set()

    _import_all("nmtune", "providers", "store")
    for base in (NMTuneError, StoreError, ProviderError):
        for cls in _tree(base):
            table = {**STATUSES, **PROVIDER_STATUSES}
            status = next((table[one] for one in cls.__mro__ if one in table), None)
            if status is None and issubclass(cls, ProviderError):
                status = HTTPStatus.BAD_GATEWAY
            if status is not None:
                words = (inspect.getdoc(cls) or "").partition("\n\n")[0]
                note(cls.code, int(status), " ".join(words.split()))
    for call in _calls("service", "Problem"):
        match call.args:
            case [status, ast.Constant(value=str(code)), detail, *_]:
                note(code, _status(status), _words(detail))
    for call in _calls("service", "BadInput"):
        match call.args:
            case [ast.Constant(value=str(code)), message, *_]:
                malformed = any(one.arg == "malformed" for one in call.keywords)
                size = code in ("too_large", "too_many_rows")
                note(code, 413 if size else 400 if malformed else 422, _words(message))
    return found


def _failures() -> Codes:
    found: Codes = {}

    def note(code: str, message: ast.expr) -> None:
        if code not in WARNINGS:
            entry = found.setdefault(code, {"statuses": set(), "words": set()})
            entry["words"] |= {_words(message)} - {""}

    for call in _calls("workers", "Refused"):
        match call.args:
            case [ast.Constant(value=str(code)), message, *_]:
                note(code, message)
    for tree in _sources("workers", "store"):
        for node in ast.walk(tree):
            if isinstance(node, ast.Dict):
                keys = [getattr(one, "value", None) for one in node.keys]
                if {"code", "message"} <= set(keys):
                    code = node.values[keys.index("code")]
                    if isinstance(code, ast.Constant):
                        note(code.value, node.values[keys.index("message")])
    return found


def _import_all(*packages: str) -> None:
    """Import every module, so that every error class is there, whatever was imported before."""
    for package in packages:
        for module in pkgutil.walk_packages([str(ROOT / package)], f"{package}."):
            importlib.import_module(module.name)


def _tree(base: type) -> Iterator[Any]:
    yield base
    for cls in base.__subclasses__():
        if cls.__module__.startswith(base.__module__.partition(".")[0]):  # a test may add its own
            yield from _tree(cls)


def _sources(*folders: str) -> Iterator[ast.Module]:
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield ast.parse(path.read_text())


def _calls(folder: str, name: str) -> Iterator[ast.Call]:
    for tree in _sources(folder):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                called = node.func
                if getattr(called, "id", getattr(called, "attr", None)) == name:
                    yield node


def _status(node: ast.expr) -> int | None:
    match node:
        case ast.Constant(value=int(status)):
            return status
        case ast.Attribute(value=ast.Name(id="HTTPStatus"), attr=name):
            return int(HTTPStatus[name])
    return None


def _words(node: ast.expr) -> str:
    """A message as its text, what it fills in as three dots; nothing if it is all filled in."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            text = "".join(one.value if isinstance(one, ast.Constant) else "…" for one in parts)
            return text if sum(char.isalpha() for char in text) > 20 else ""
        case ast.Name(id=name):
            return _constants().get(name, "")
    return ""


@cache
def _constants() -> dict[str, str]:
    """The texts that modules name at their top."""
    return {
        target.id: node.value.value
        for tree in _sources("service", "workers")
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }

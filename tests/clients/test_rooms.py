"""The rooms of the client: data flows one way between them."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import nmtune_client
import pytest

PACKAGE = Path(str(nmtune_client.__file__)).parent
GENERATED = PACKAGE / "_sync"


def imports(path: Path) -> Iterator[str]:
    """The client's own modules that a file imports anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("nmtune_client"):
            for name in node.names:
                inner = f"{node.module}.{name.name}"
                found = PACKAGE.parent / Path(*inner.split("."))
                is_module = found.with_suffix(".py").is_file() or found.is_dir()
                yield inner if is_module else str(node.module)


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    return ".".join(module.split(".")[:2])


@pytest.mark.parametrize("of", [room_of, str], ids=["rooms", "modules"])
def test_nothing_imports_in_a_circle(of: type) -> None:
    graph: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        here = of(name_of(path))
        graph.setdefault(here, set()).update(of(one) for one in imports(path))
        graph[here].discard(here)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {' -> '.join(error.args[1])}")


def test_only_concurrency_is_written_for_each_colour() -> None:
    by_hand = [
        path.name
        for path in GENERATED.glob("*.py")
        if not path.read_text().startswith("# Written by generate_sync.py")
    ]
    assert sorted(by_hand) == ["__init__.py", "concurrency.py"]


def test_the_rest_awaits_nothing() -> None:
    """What knows no colour is written once."""
    for path in PACKAGE.rglob("*.py"):
        if path.parent.name != "_async":
            kinds = {type(node) for node in ast.walk(ast.parse(path.read_text()))}
            assert not kinds & {ast.AsyncFunctionDef, ast.Await}, path

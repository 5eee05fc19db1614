"""The architecture as a test: who may import whom, and the only home of each third-party owner."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

STONES = {"nmtune", "store", "providers", "outbound"}
MAY_IMPORT: dict[str, set[str]] = {
    "nmtune": set(),
    "outbound": set(),
    "providers": {"outbound"},
    "store": set(),
    "pages": set(),
    "workers": STONES,
    "service": STONES | {"pages"},
    "standalone": {"service", "workers", "store", "migrations"},
    "migrations": {"store"},
    "clients/python/nmtune_client": set(),
}
OURS = {Path(package).name for package in MAY_IMPORT}
ONLY_HOME: dict[str, set[str]] = {
    "torch": {"nmtune"},
    "onnx": {"nmtune"},
    "onnxruntime": {"nmtune"},
    "sklearn": {"nmtune", "clients/python/nmtune_client"},
    "skops": {"nmtune"},
    "matplotlib": {"nmtune"},
    "sqlalchemy": {"store", "migrations"},
    "boto3": {"store"},
    "botocore": {"store"},
    "alembic": {"migrations"},
    "celery": {"workers"},
    "kombu": {"workers"},
    "redis": {"workers", "service"},
    "fastapi": {"service"},
    "starlette": {"service"},
    "uvicorn": {"service", "standalone"},
    "prometheus_client": {"service", "workers", "standalone"},
    "structlog": {"standalone"},
    "pyarrow": {"service", "workers"},
    "httpx": {"clients/python/nmtune_client"},
    "httpcore2": {"outbound", "providers"},
    "jinja2": {"pages"},
    "markupsafe": {"pages"},
    "tokenizers": {"providers"},
    "cryptography": {"outbound"},
    "authlib": {"service"},
    "joserfc": {"service"},
}
SDK_MAY_USE = {"httpx", "numpy"}
SDK_MAY_USE_IF_THERE = {"pandas", "sklearn"}  # to_pandas, in the function; nmtune_client.sklearn
CHILDS_STORE = {"store.bytes", "store.errors", "store.files", "store.trouble"}
"""What a training process may import of the store: files, and nothing that reaches a database."""
OF_THE_PARENT = {"nmtune.errors", "nmtune.vocabulary", "nmtune.version"}
"""What the others may import of the science: names, without numpy and torch."""
FORBIDDEN_NAMES = {"utils", "common", "core", "helpers", "service", "support", "misc"}
MAX_LINES = 400


def modules(package: str) -> Iterator[Path]:
    yield from sorted((ROOT / package).rglob("*.py"))


def imported_roots(path: Path) -> set[str]:
    """First names of all absolute imports of a file, those under TYPE_CHECKING included."""
    roots: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            roots |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            roots.add(node.module.split(".")[0])
    return roots


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_package_imports_only_what_the_table_allows(package: str) -> None:
    allowed = MAY_IMPORT[package] | {Path(package).name}
    files = list(modules(package))
    assert files, f"{package} has no modules"
    for path in files:
        stray = (imported_roots(path) & OURS) - allowed
        assert not stray, f"{path.relative_to(ROOT)} may not import {sorted(stray)}"


def imported_modules(path: Path) -> Iterator[list[str]]:
    """For each import that runs as the file is imported: the names that it may mean."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            yield from ([alias.name] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ([node.module, f"{node.module}.{alias.name}"] for alias in node.names)


def test_a_workers_parent_imports_no_science() -> None:
    """It lives for weeks and mostly waits; its children train (law 5)."""
    for path in modules("workers"):
        if path.parent.name == "child":
            continue
        for names in imported_modules(path):
            science = names[0].split(".")[0] == "nmtune" and not OF_THE_PARENT & set(names)
            child = any(name.startswith("workers.child") for name in names)
            assert not science, f"{path.relative_to(ROOT)} is the parent's and imports {names}"
            assert not child, f"{path.relative_to(ROOT)} is the parent's and imports {names}"


def test_a_workers_child_reaches_no_database() -> None:
    """It sees one folder and no keys, so a fault in it can spoil no row (law 5)."""
    for path in modules("workers/child"):
        for names in imported_modules(path):
            if names[0].split(".")[0] == "store":
                allowed = any(name.startswith(tuple(CHILDS_STORE)) for name in names)
                assert allowed, f"{path.relative_to(ROOT)} imports {names}"


def rooms(folder: str) -> dict[str, set[str]]:
    """Which rooms (folders and modules) right below a folder each one imports, anywhere in it."""
    home = ".".join(Path(folder).parts[-1:] if "/python/" in folder else Path(folder).parts)
    room_of = {}
    for path in modules(folder):
        below = path.relative_to(ROOT / folder).with_suffix("").parts
        room_of[".".join((home, *below)).removesuffix(".__init__")] = below[0]
    found: dict[str, set[str]] = {room: set() for room in room_of.values()}
    for path in modules(folder):
        room = path.relative_to(ROOT / folder).with_suffix("").parts[0]
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Import | ast.ImportFrom):
                continue
            names = [alias.name for alias in node.names]
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{name}" for name in names] + [str(node.module)]
            found[room] |= {room_of[name] for name in names if name in room_of}
    return {room: others - {room, "__init__"} for room, others in found.items()}


@pytest.mark.parametrize("folder", [*MAY_IMPORT, "service/ingest", "store/bytes"])
def test_rooms_make_no_circle(folder: str) -> None:
    below = rooms(folder)
    while leaves := {room for room, others in below.items() if not others}:
        below = {room: others - leaves for room, others in below.items() if room not in leaves}
    assert not below, f"these import each other: {below}"


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_third_party_owners_have_one_home(package: str) -> None:
    for path in modules(package):
        for owner in imported_roots(path) & ONLY_HOME.keys():
            homes = sorted(ONLY_HOME[owner])
            assert package in homes, f"{path.relative_to(ROOT)}: {owner} belongs in {homes}"


def test_only_the_plots_import_matplotlib() -> None:
    """It is an extra: all else of the science works without it."""
    homes = {path.parent for path in modules("nmtune") if "matplotlib" in imported_roots(path)}
    assert homes == {ROOT / "nmtune" / "plot"}


def test_client_needs_httpx_and_numpy_alone() -> None:
    for path in modules("clients/python/nmtune_client"):
        third_party = imported_roots(path) - set(sys.stdlib_module_names) - {"nmtune_client"}
        assert third_party <= SDK_MAY_USE | SDK_MAY_USE_IF_THERE, (
            f"{path.relative_to(ROOT)}: {sorted(third_party)}"
        )


@pytest.mark.parametrize("package", [*MAY_IMPORT, "tests"])
def test_modules_are_small_named_and_documented(package: str) -> None:
    for path in modules(package):
        source = path.read_text()
        assert len(source.splitlines()) <= MAX_LINES, f"{path} is over {MAX_LINES} lines: split it"
        assert path.stem not in FORBIDDEN_NAMES, f"{path}: a name that says nothing"
        if "versions" not in path.parts:
            docstring = ast.get_docstring(ast.parse(source))
            assert docstring, f"{path.relative_to(ROOT)} does not say what it is for"


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_nothing_unpickles(package: str) -> None:
    """Embeddings and heads are safetensors; a pickle is code from whoever wrote it (law 3)."""
    for path in modules(package):
        assert not imported_roots(path) & {"pickle", "joblib", "dill", "cloudpickle", "shelve"}
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                assert ast.unparse(node.func) not in {"torch.load", "torch.save"}, path
            if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                assert isinstance(node.value, ast.Constant), path
                assert node.value.value is False, path


@pytest.mark.parametrize("package", ["store", "service", "workers"])
def test_only_with_blocks_commit(package: str) -> None:
    """Store functions never commit: the caller's `with database.begin()` is the transaction."""
    for path in modules(package):
        if path == ROOT / "store" / "database" / "connection.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute):
                assert node.attr != "commit", f"{path.relative_to(ROOT)}:{node.lineno} commits"


def test_one_module_says_who_asks() -> None:
    """A door that named the tenant itself would ignore keys (law 11)."""
    naming = [
        path.relative_to(ROOT).as_posix()
        for package in MAY_IMPORT
        for path in modules(package)
        if "DEFAULT_TENANT" in path.read_text()
    ]
    assert naming == ["store/names.py", "service/http/identity.py"]

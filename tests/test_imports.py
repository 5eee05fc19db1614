"""The architecture as a test: who may import whom, and the only home of each third-party owner."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

STONES = {"nmtune", "store", "providers"}
MAY_IMPORT: dict[str, set[str]] = {
    "nmtune": set(),
    "providers": set(),
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
    "sklearn": {"nmtune"},
    "sqlalchemy": {"store", "migrations"},
    "boto3": {"store"},
    "botocore": {"store"},
    "alembic": {"migrations"},
    "celery": {"workers"},
    "kombu": {"workers"},
    "redis": {"workers"},
    "fastapi": {"service"},
    "starlette": {"service"},
    "uvicorn": {"service", "standalone"},
    "prometheus_client": {"service", "workers", "standalone"},
    "structlog": {"standalone"},
    "pyarrow": {"service", "workers"},
    "httpx": {"clients/python/nmtune_client"},
    "httpcore2": {"providers"},
    "jinja2": {"pages"},
    "markupsafe": {"pages"},
    "tokenizers": {"providers"},
    "cryptography": {"providers"},
}
SDK_MAY_USE = {"httpx", "numpy"}
SDK_MAY_USE_IF_THERE = {"pandas"}  # Prediction.to_pandas, in the function
CHILD = {
    *("train", "recipe", "training", "prediction", "output_file", "progress", "publication"),
    *("findings", "trust", "report", "comparison", "correlation", "verdict", "wording"),
    "abstention",
}
"""The modules of `workers` that a training process alone imports."""
OF_THE_PARENT = {"nmtune.errors", "nmtune.methods", "nmtune.version"}
"""What the others may import of the science: names, without numpy and torch."""
FORBIDDEN_NAMES = {"utils", "common", "core", "helpers", "service"}
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


def test_a_workers_parent_imports_no_science() -> None:
    """It lives for weeks and mostly waits; its children train (law 5)."""
    for path in modules("workers"):
        if path.stem in CHILD:
            continue
        for node in ast.parse(path.read_text()).body:  # what is imported as the module is
            names = [alias.name for alias in getattr(node, "names", ())]
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module, *(f"{node.module}.{name}" for name in names)]
            if not isinstance(node, ast.Import | ast.ImportFrom):
                continue
            if any(name in OF_THE_PARENT for name in names):
                continue
            stray = [name for name in names if name.split(".")[0] == "nmtune"]
            stray += [name for name in names if name in {f"workers.{one}" for one in CHILD}]
            assert not stray, f"{path.relative_to(ROOT)} is the parent's and imports {stray}"


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_third_party_owners_have_one_home(package: str) -> None:
    for path in modules(package):
        for owner in imported_roots(path) & ONLY_HOME.keys():
            homes = sorted(ONLY_HOME[owner])
            assert package in homes, f"{path.relative_to(ROOT)}: {owner} belongs in {homes}"


def test_client_needs_httpx_and_numpy_alone() -> None:
    for path in modules("clients/python/nmtune_client"):
        third_party = imported_roots(path) - set(sys.stdlib_module_names) - {"nmtune_client"}
        assert third_party <= SDK_MAY_USE | SDK_MAY_USE_IF_THERE, (
            f"{path.relative_to(ROOT)}: {sorted(third_party)}"
        )


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_modules_are_small_named_and_documented(package: str) -> None:
    for path in modules(package):
        source = path.read_text()
        assert len(source.splitlines()) <= MAX_LINES, f"{path} is over {MAX_LINES} lines: split it"
        assert path.stem not in FORBIDDEN_NAMES, f"{path}: a name that says nothing"
        if "versions" not in path.parts:
            docstring = ast.get_docstring(ast.parse(source))
            assert docstring, f"{path.relative_to(ROOT)} does not say what it is the home of"


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
        if path == ROOT / "store" / "database.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute):
                assert node.attr != "commit", f"{path.relative_to(ROOT)}:{node.lineno} commits"

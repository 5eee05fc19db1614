"""The public names of nmtune: each is there when it is asked for, and its function or class."""

import ast
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import nmtune

SOURCE = Path(nmtune.__file__)


@pytest.mark.parametrize("name", nmtune.__all__)
def test_every_public_name_is_there_and_no_module(name: str) -> None:
    assert not isinstance(getattr(nmtune, name), ModuleType)
    assert name in dir(nmtune)


def test_types_and_table_name_the_same_homes() -> None:
    """What mypy and editors read under TYPE_CHECKING is what `__getattr__` imports."""
    tree = ast.parse(SOURCE.read_text())
    [block] = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {
        alias.name: (node.module or "").removeprefix("nmtune.")
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == nmtune._HOMES
    assert sorted({*seen, "__version__"}) == sorted(nmtune.__all__)


def test_a_public_function_is_not_hidden_by_a_module() -> None:
    """Whichever of the two a new process imports first."""
    for first in ("import nmtune.study.spectrum, nmtune.study.learning_curve", "import nmtune"):
        code = f"""{first}
import nmtune, nmtune.study.class_spectra
from nmtune import class_spectra, learning_curve, spectrum
from nmtune.study.spectrum import spectrum as same
assert spectrum is same is nmtune.spectrum
assert callable(class_spectra) and callable(learning_curve)
"""
        subprocess.run([sys.executable, "-c", code], check=True, cwd=SOURCE.parent.parent)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"nmtune.*Trainr"):
        _ = nmtune.Trainr
    assert not hasattr(nmtune, "rubbish")

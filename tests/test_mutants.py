"""Each mutant of `make mutants` still fits the module that it is made of."""

import ast
import shutil
from pathlib import Path

import pytest

from tests.mutants import MUTANTS, ROOT, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_is_another_module_that_can_be_read(mutant: Mutant, tmp_path: Path) -> None:
    path = tmp_path / mutant.path
    path.parent.mkdir(parents=True)
    shutil.copyfile(ROOT / mutant.path, path)
    mutant.apply(tmp_path)
    sound, changed = ((root / mutant.path).read_text() for root in (ROOT, tmp_path))
    assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(sound))
    for test in mutant.tests:
        assert (ROOT / test).exists()

"""Every public name of nmtune is documented as numpydoc has it, with an example that runs."""

import doctest
import inspect
from typing import Any

import pytest

import nmtune

RESULTS = {
    "AutoFit", "Candidates", "Choice", "ClassMetrics", "ClassSpectra", "ClassSpectrum",
    "Comparison", "EpochReport", "Evaluation", "Fit", "HeldOut", "LabelErrors", "LabelOutlook",
    "LearningPoint", "NMTuneLoss", "NearDuplicates", "Spectrum", "Verdict",
}  # fmt: skip
"""What a function gives back: the example is that function's."""
PUBLIC = [
    name
    for name in nmtune.__all__
    if callable(value := getattr(nmtune, name))
    and not (inspect.isclass(value) and issubclass(value, Exception))
]


def own(name: str) -> Any:
    """The public name without what wraps it: doctest and inspect look at the function itself."""
    return inspect.unwrap(getattr(nmtune, name))


@pytest.mark.parametrize("name", sorted(set(PUBLIC) - RESULTS))
def test_the_example_of_a_public_name_runs(name: str) -> None:
    value = own(name)
    module = inspect.getmodule(value)
    assert module is not None
    found = doctest.DocTestFinder(recurse=False).find(value, name, module, vars(module).copy())
    examples = [one for one in found if one.examples]
    assert examples, f"{name} has no example"
    said: list[str] = []
    for one in examples:
        result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(one, out=said.append)
        assert result.failed == 0, "".join(said)


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_a_public_name_has_numpydocs_sections(name: str) -> None:
    text = inspect.getdoc(own(name)) or ""
    section = "Attributes" if name in RESULTS else "Examples"
    assert f"{section}\n{'-' * len(section)}\n" in text
    assert not any(google in text for google in ("Args:\n", "Raises:\n", "Attributes:\n"))
    if inspect.isfunction(own(name)):
        for parameter in inspect.signature(own(name)).parameters:
            assert f"{parameter}" in text.partition("Parameters\n")[2], parameter

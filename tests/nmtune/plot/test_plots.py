"""What the plots draw is what they were given: read back from the artists."""

import doctest
import importlib
import json
import pkgutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba

import nmtune
from nmtune import LearningPoint, evaluate, plot
from nmtune.errors import DataError

ROOT = Path(__file__).parents[3]
SERVICE = ROOT / "tests" / "data" / "kept" / "0.1.0" / "service"
CLASSES = ["cat", "dog", "owl"]


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    """A real report, as the service gives it."""
    answers = json.loads((SERVICE / "expected.json").read_text())["answers"]
    [found] = [answer for route, answer in answers.items() if route.endswith("/report")]
    assert isinstance(found, dict)
    return found


@pytest.fixture(scope="module")
def evaluation() -> Any:
    random = np.random.default_rng(0)
    y = random.integers(3, size=200)
    logits = 2 * np.eye(3)[y] + random.normal(size=(200, 3))
    odds = np.exp(logits)
    return evaluate(odds / odds.sum(axis=1, keepdims=True), y, CLASSES)


def xy(ax: Axes, index: int) -> list[tuple[float, float]]:
    line = ax.lines[index]
    return list(zip(line.get_xdata(), line.get_ydata(), strict=True))  # type: ignore[arg-type]


def words(labels: list[Any]) -> list[str]:
    return [label.get_text() for label in labels]


def legend(ax: Axes) -> list[str]:
    found = ax.get_legend()
    assert found is not None
    return words(found.get_texts())


def test_a_spectrum_shows_the_shares_of_both(report: dict[str, Any]) -> None:
    x = np.random.default_rng(0).normal(size=(300, 5)) * [8, 4, 2, 1, 1]
    before, after = nmtune.spectrum(x), nmtune.spectrum(x / [8, 4, 2, 1, 1])
    ax = plot.spectrum(before, after)
    values = before.singular_values
    assert xy(ax, 0) == list(zip(range(1, 6), values / values.sum(), strict=True))
    assert ax.get_yscale() == "log"
    assert legend(ax) == [
        f"before (effective rank {before.effective_rank:.1f})",
        f"after (effective rank {after.effective_rank:.1f})",
    ]
    spectra = report["spectra"]
    of_report = plot.spectrum(spectra["raw"]["test"], spectra["tuned"]["test"], labels=("a", "b"))
    raw = np.array(spectra["raw"]["test"]["singular_values"])
    np.testing.assert_allclose(of_report.lines[0].get_ydata(), raw / raw.sum())
    assert legend(of_report)[1].startswith("b (effective rank")


def test_a_spectrum_leaves_out_what_a_logarithm_cannot_show() -> None:
    x = np.zeros((20, 3))
    x[:, 0] = 1
    ax = plot.spectrum(nmtune.spectrum(x))
    assert [at for at, _ in xy(ax, 0)] == [1]
    assert len(plot.spectrum(nmtune.spectrum(np.zeros((4, 2)))).lines[0].get_xdata()) == 0


def test_reliability_shows_the_bins_with_rows(evaluation: Any) -> None:
    ax = plot.reliability(evaluation, label="raw")
    bins = [one for one in evaluation.reliability if one.n_rows]
    assert xy(ax, 0) == [(0, 0), (1, 1)]
    assert xy(ax, 1) == [(one.mean_confidence, one.accuracy) for one in bins]
    shares = np.array([one.n_rows for one in bins]) / 200
    sizes = ax.collections[0].get_sizes()
    np.testing.assert_allclose(sizes, 10 + 110 * shares)
    assert legend(ax) == ["perfectly calibrated", f"raw, ECE {evaluation.ece:.3f}"]
    assert (ax.get_xlim(), ax.get_ylim()) == ((0, 1), (0, 1))


def test_reliability_of_several_heads_has_one_diagonal(
    evaluation: Any, report: dict[str, Any]
) -> None:
    ax = plot.reliability(evaluation, label="mine")
    metrics = report["candidates"]["linear_probe"]["metrics"]["test"]
    assert plot.reliability(metrics, label="probe", ax=ax) is ax
    assert [text.partition(",")[0] for text in legend(ax)] == [
        "perfectly calibrated",
        "mine",
        "probe",
    ]
    assert len(plt.get_fignums()) == 1


def test_confusion_shows_true_classes_downwards(evaluation: Any) -> None:
    ax = plot.confusion(evaluation)
    matrix = evaluation.confusion_matrix
    np.testing.assert_array_equal(ax.images[0].get_array(), matrix)
    assert words(ax.get_xticklabels()) == words(ax.get_yticklabels()) == CLASSES
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted class", "true class")
    numbers = {text.get_position(): text.get_text() for text in ax.texts}
    assert numbers == {(c, r): str(matrix[r, c]) for r in range(3) for c in range(3)}
    shares = plot.confusion(evaluation, normalise=True).images[0].get_array()
    np.testing.assert_allclose(np.asarray(shares).sum(axis=1), 1)


def test_confusion_of_many_classes_shows_the_most_frequent() -> None:
    y = np.repeat(np.arange(120), 3)
    probabilities = np.eye(120)[y]
    probabilities[:2] = np.eye(120)[7]  # two rows of class 0 are taken for class 7
    probabilities[3] = np.eye(120)[8]
    found = evaluate(probabilities, y, [f"c{index}" for index in range(120)])
    assert found.confusion_matrix is None
    ax = plot.confusion(found)
    assert [bar.get_width() for bar in ax.patches] == [2, 1]  # type: ignore[attr-defined]
    assert words(ax.get_yticklabels()) == ["c0 as c7", "c1 as c8"]
    assert ax.yaxis_inverted()
    shares = plot.confusion(found, normalise=True).patches
    assert [bar.get_width() for bar in shares] == [2 / 3, 1 / 3]  # type: ignore[attr-defined]


def test_a_forest_shows_differences_intervals_and_findings(report: dict[str, Any]) -> None:
    compared = report["comparison"][:6]
    ax = plot.forest(compared)
    assert len(ax.containers) == 6
    for place, (one, row) in enumerate(zip(ax.containers, compared, strict=True)):
        line, _, [bar] = one
        assert line.get_xdata() == pytest.approx([100 * row["accuracy_difference"]])
        assert line.get_ydata() == [place]
        [ends] = bar.get_segments()
        np.testing.assert_allclose(ends[:, 0], 100 * np.array(row["interval"]))
    first = compared[0]
    expected = f"{first['candidate']} against {first['baseline']}, {first['split']}"
    assert words(ax.get_yticklabels())[0] == expected
    assert words(ax.get_yticklabels())[2].endswith(", mean of ood")
    assert ax.get_ylim() == (5.5, -0.5)  # the first on top
    assert set(legend(ax)) == {row["finding"].replace("_", " ") for row in compared}


@pytest.mark.parametrize(
    ("finding", "colour", "is_filled"),
    [
        ("gain", "tab:blue", True),
        ("probable_gain", "tab:blue", False),
        ("unclear", "0.5", True),
        ("probable_loss", "tab:red", False),
        ("loss", "tab:red", True),
    ],
)
def test_a_forest_tells_clear_from_probable(finding: str, colour: str, is_filled: bool) -> None:
    row = {"split": "test", "candidate": "a", "baseline": "b", "accuracy_difference": 0.01}
    ax = plot.forest([row | {"interval": [-0.01, 0.03], "finding": finding}])
    [line, *_] = ax.containers[0]
    assert line.get_color() == colour
    inside = colour if is_filled else "white"
    assert to_rgba(line.get_markerfacecolor()) == to_rgba(inside)


def test_a_learning_curve_shows_means_and_bands(report: dict[str, Any]) -> None:
    points = [
        LearningPoint(
            fraction=share, n_rows=n, accuracies={"test": (a, a + 0.1), "ood/x": (a - 0.2, a - 0.1)}
        )
        for share, n, a in ((0.5, 50, 0.7), (1.0, 100, 0.85))
    ]
    ax = plot.learning_curve(points)
    np.testing.assert_allclose(xy(ax, 0), [(50, 0.75), (100, 0.9)])
    np.testing.assert_allclose(xy(ax, 1), [(50, 0.55), (100, 0.7)])
    assert legend(ax) == ["test", "ood/x"]
    heights = ax.collections[0].get_paths()[0].vertices[:, 1]
    deviation = np.std([0.85, 0.95], ddof=1)
    assert heights.max() == pytest.approx(0.9 + deviation)
    one_seed = [LearningPoint(fraction=1.0, n_rows=9, accuracies={"test": (0.5,)})]
    assert not plot.learning_curve(one_seed).collections
    found = report["findings"]["learning_curve"]["points"]
    of_report = plot.learning_curve(found)
    assert [at for at, _ in xy(of_report, 0)] == [point["n_rows"] for point in found]


def test_every_plot_draws_on_the_axes_it_is_given_and_can_be_saved(
    report: dict[str, Any], evaluation: Any, tmp_path: Path
) -> None:
    figure, places = plt.subplots(1, 5, figsize=(25, 5))
    raw = report["spectra"]["raw"]["test"]
    points = report["findings"]["learning_curve"]["points"]
    drawn = [
        plot.spectrum(raw, ax=places[0]),
        plot.reliability(evaluation, ax=places[1]),
        plot.confusion(evaluation, ax=places[2]),
        plot.forest(report["comparison"], ax=places[3]),
        plot.learning_curve(points, ax=places[4]),
    ]
    assert drawn == list(places)
    assert plt.get_fignums() == [figure.number]
    figure.savefig(tmp_path / "all.png")
    assert (tmp_path / "all.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("draw", "field"),
    [
        (lambda: plot.spectrum(np.ones((3, 2))), "before"),
        (lambda: plot.reliability({"ece": 0.1}), "evaluation"),
        (lambda: plot.confusion(None), "evaluation"),
        (lambda: plot.forest([]), "comparisons"),
        (lambda: plot.forest([{"split": "test"}]), "comparisons[0]"),
        (lambda: plot.learning_curve([]), "points"),
        (lambda: plot.learning_curve([{"n_rows": 3}]), "points[0]"),
    ],
    ids=["array", "half", "none", "empty", "other", "no points", "half a point"],
)
def test_what_cannot_be_plotted_is_named(draw: Any, field: str) -> None:
    with pytest.raises(DataError) as refused:
        draw()
    assert refused.value.field == field
    assert not plt.get_fignums()


def test_the_examples_run() -> None:
    n_tried = 0
    for module in pkgutil.iter_modules(plot.__path__, "nmtune.plot."):
        found = doctest.testmod(importlib.import_module(module.name))
        assert found.failed == 0
        n_tried += found.attempted
    assert n_tried >= 5 * 3


def test_matplotlib_waits_until_it_is_asked_for() -> None:
    code = """
import sys
from nmtune import *
assert "torch" in sys.modules
assert "matplotlib" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)

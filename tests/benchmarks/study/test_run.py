"""A whole study, much smaller: it runs, goes on where it was left, and writes its page."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.study import __main__ as study
from benchmarks.study import cells, pictures, texts
from benchmarks.study.noise import confusions
from benchmarks.study.results import OtherStudyError, Store
from benchmarks.study.running import Clock, results_of
from benchmarks.study.sizes import CPU, GPU, SIZES, TINY, Size, Steps
from benchmarks.study.task import TRAIN, Rows, Task

BRIEF = Steps(epochs=1, batch_size=256, learning_rate=4e-3)
SMALL = replace(
    TINY,
    n_seeds=2,
    levels=(0.3,),
    kinds=("uniform",),
    widths=(8, 16, 8),
    models_at_a_time=2,
    rows_of_a_class=4,
    downstream_rows=72,
    head_epochs=2,
    rank=2,
    pretraining=BRIEF,
    lora=BRIEF,
    full=BRIEF,
)


def run(out: Path, *more: str) -> None:
    study.main(["--size", "tiny", "--out", str(out), "--workers", "1", *more])


def read(out: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SIZES, "tiny", SMALL)
    whole = texts.read()
    few = {at: pairs if at[1] == TRAIN else pairs[:120] for at, pairs in whole.items()}
    monkeypatch.setattr(texts, "read", lambda: few)


@pytest.mark.slow
def test_a_study_that_was_cut_off_ends_with_the_same_results(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path / "whole")
    assert "Does noise of at most 10% help in domain?" in capsys.readouterr().out
    whole = read(tmp_path / "whole")
    assert [(one["seed"], one["kind"], one["level"]) for one in whole] == [
        (0, "clean", 0.0),
        (0, "uniform", 0.3),
        (1, "clean", 0.0),
        (1, "uniform", 0.3),
    ]
    assert all(set(one["methods"]) == set(cells.METHODS) for one in whole)
    assert whole[1]["realised"] == pytest.approx(0.3, abs=0.1)
    kept = tmp_path / "whole/results.jsonl"
    first, second, third, _ = kept.read_text().splitlines()
    kept.write_text("\n".join([first, second, third[:100]]))  # killed while it wrote
    run(tmp_path / "whole")
    assert read(tmp_path / "whole") == whole

    page = tmp_path / "page.md"
    page.write_text("<!-- study-tiny:start -->\nold\n<!-- study-tiny:stop -->\n")
    run(tmp_path / "whole", "--write", str(page), "--pictures", str(tmp_path))
    text = page.read_text()
    assert "| LoRA + NMTune | OOD |" in text
    assert re.search(r"\| labels made wrong \|  \| 0\.0 \| [23]\d\.\d \|", text)
    for name in ("accuracy", "spectra", "forecast"):
        drawn = (tmp_path / f"study-tiny-{name}.svg").read_text()
        assert drawn.startswith("<svg ")
        assert "nan" not in drawn


def test_without_time_nothing_is_started(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="nothing to report"):
        run(tmp_path, "--budget", "0")
    assert "4 cells are left: run the same command again" in capsys.readouterr().out


def test_a_budget_leaves_room_for_the_longest_group(lines_of: Callable[..., Any]) -> None:
    clock = Clock(100)
    assert clock.has_time
    clock.took(99.9)
    clock.took(1)
    assert clock.has_time is (clock.seconds <= 0.1)
    clock.took(101)
    assert not clock.has_time
    task = Task(pretraining={}, downstream={}, n_pretraining_classes=1, classes=())
    groups = [cells.cells_of(SMALL)]
    found: Any = None
    assert list(results_of(SMALL, task, found, groups, clock, workers=1)) == []


def test_results_of_other_settings_are_not_mixed(tmp_path: Path) -> None:
    Store(tmp_path, SMALL).append([{"study": SMALL.digest, "seed": 0, "kind": "clean", "level": 0}])
    more_seeds = replace(SMALL, n_seeds=5, models_at_a_time=1)
    assert len(Store(tmp_path, more_seeds).missing(cells.cells_of(more_seeds))) == 9
    with pytest.raises(OtherStudyError, match="name another folder with --out"):
        Store(tmp_path, replace(SMALL, rank=3)).lines()


def test_pictures_without_a_folder_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="name their folder"):
        study.main(["--size", "cpu", "--out", str(tmp_path)])
    with pytest.raises(SystemExit, match=r"tiny-imagenet-200 is missing"):
        study.main(["--size", "cpu", "--out", str(tmp_path), "--data", str(tmp_path)])


@pytest.mark.parametrize("size", [CPU, GPU])
def test_pictures_go_the_same_way(size: Size) -> None:
    small = replace(
        size,
        widths=(8,) * len(size.widths),
        pretraining=replace(BRIEF, batch_size=16),
        lora=replace(BRIEF, batch_size=16),
        full=replace(BRIEF, batch_size=16),
        head_epochs=1,
        rank=2,
    )
    random = torch.Generator().manual_seed(0)

    def rows(n: int) -> Rows:
        x = torch.randint(256, (n, 3, 32, 32), generator=random, dtype=torch.uint8)
        return Rows(x, torch.arange(n) % 3)

    test = rows(12)
    task = Task(
        pretraining={"train": rows(32), "test": rows(12)},
        downstream={"train": rows(32), "test": test, **pictures.corrupted(test)},
        n_pretraining_classes=3,
        classes=("a", "b", "c"),
    )
    encoder = cells.encoder_of(small, task)
    found = confusions(encoder, task.pretraining[TRAIN], n_classes=3, steps=small.pretraining)
    (line,) = cells.run(small, task, cells.cells_of(small)[1:2], found)
    assert set(line["methods"]) == set(cells.METHODS)
    assert set(line["methods"]["full"]["accuracy"]) == {"test", *pictures.corrupted(test)}

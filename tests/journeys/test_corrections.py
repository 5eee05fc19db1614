"""From wrong labels to a better head: train, look at suspects, correct, train again, compare."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nmtune_client import Client, ValidationError
from nmtune_client._cli.main import main

from tests.support.processes import Process

pytestmark = pytest.mark.slow

N_ROWS, N_COLUMNS, N_WRONG = 600, 12, 60
CLASSES = np.array(["cat", "dog", "owl"])


@pytest.fixture
def table(tmp_path: Path) -> tuple[Path, list[str]]:
    """A file of well-parted blobs, a fifth of them to test; the true label of each row."""
    random = np.random.default_rng(11)
    centres = random.normal(size=(3, N_COLUMNS)) * 2
    y = np.arange(N_ROWS) % 3
    x = (centres[y] + random.normal(size=(N_ROWS, N_COLUMNS))).astype(np.float32)
    given = y.copy()
    wrong = random.choice(N_ROWS * 4 // 5, N_WRONG, replace=False)
    given[wrong] = (given[wrong] + 1) % 3
    path = tmp_path / "pets.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["label", "id", "split", *(f"dim_{at}" for at in range(N_COLUMNS))])
        for row in range(N_ROWS):
            split = "train" if row < N_ROWS * 4 // 5 else "test"
            writer.writerow([CLASSES[given[row]], f"T-{row}", split, *x[row].tolist()])
    return path, CLASSES[y].tolist()


def trained(client: Client, dataset: Any) -> Any:
    return client.jobs.create(name="mended", dataset=dataset, method="linear_probe").wait(300)


def test_correct_by_the_sdk_and_compare(client: Client, table: tuple[Path, list[str]]) -> None:
    path, truth = table
    dataset = client.datasets.upload(path)
    suspects = trained(client, dataset).report().suspects
    assert len(suspects) >= N_WRONG // 2
    looked_at = [one for one in suspects if truth[one.file_row] == one.suggested]
    child = dataset.correct(looked_at, note="the suspects that Ada looked at")
    assert child.parent_id == dataset.id
    assert child.lineage is not None
    assert (child.lineage.n_relabelled, child.lineage.n_dropped) == (len(looked_at), 0)
    assert child.lineage.note == "the suspects that Ada looked at"
    mended = {row.file_row: row.label for row in child.rows("train")}
    assert all(mended[one.file_row] == one.suggested for one in looked_at)
    assert client.datasets.get(dataset.id) == dataset
    assert [one.id for one in client.datasets.list(parent_id=dataset.id)] == [child.id]

    assert len(trained(client, child).report().suspects) < len(suspects)
    found = client.heads.compare("mended", 1, 2)
    assert found.dataset_revision == {
        "n_revisions": 1,
        "n_relabelled": len(looked_at),
        "n_dropped": 0,
        "n_added": 0,
        "notes": ["the suspects that Ada looked at"],
    }
    assert f"dataset: {len(looked_at)} rows relabelled" in str(found)


def test_append_by_the_sdk(client: Client, table: tuple[Path, list[str]]) -> None:
    dataset = client.datasets.upload(table[0])
    x = np.eye(2, N_COLUMNS, dtype=np.float32)
    inline = dataset.append(embeddings=x, labels=["cat", "emu"], note="two more")
    assert (inline.n_rows, inline.classes) == (N_ROWS + 2, ("cat", "dog", "emu", "owl"))
    arrays = {"test_x": x, "test_y": np.array(["cat", "dog"])}
    of_arrays = inline.append(arrays)
    assert [split.n_rows for split in of_arrays.splits] == [482, 122]
    in_parts = dataset.append(table[0], resumable_bytes=1, name="twice")
    assert (in_parts.n_rows, in_parts.name) == (2 * N_ROWS, "twice")
    (last,) = in_parts.rows("test", rows=[239])
    assert (last.file_row, last.id) == (2 * N_ROWS - 1, f"T-{N_ROWS - 1}")
    with pytest.raises(ValidationError, match="the dataset has 12"):
        dataset.append(embeddings=[[1.0, 2.0]], labels=["cat"])
    listed = list(dataset.rows(limit=230))
    assert [row.file_row for row in listed] == list(range(230))


def test_correct_and_append_by_the_command(
    house: Process,
    client: Client,
    table: tuple[Path, list[str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    dataset = client.datasets.upload(table[0])

    def nmtune(*words: object) -> str:
        assert main(["--url", house.url, *map(str, words)]) == 0
        return capsys.readouterr().out

    file = tmp_path / "corrections.csv"
    file.write_text("split,row,file_row,id,label,drop\ntrain,0,,,emu,\n,,1,,,1\n,,,T-2,,yes\n")
    shown = nmtune("datasets", "correct", dataset.id, file, "--note", "by Ada")
    assert f"made from  {dataset.id}: 1 relabelled, 2 left out, by Ada" in shown
    (child,) = client.datasets.list(parent_id=dataset.id)
    assert (child.n_rows, child.classes) == (N_ROWS - 2, ("cat", "dog", "emu", "owl"))
    rows = nmtune("datasets", "rows", child.id, "--split", "train", "--rows", "0,1")
    assert rows.splitlines()[0].split() == ["split", "row", "file", "row", "id", "label", "text"]
    assert [line.split()[:5] for line in rows.splitlines()[1:]] == [
        ["train", "0", "0", "T-0", "emu"],
        ["train", "1", "3", "T-3", dict(_labels(table[0]))["T-3"]],
    ]
    listed = json.loads(nmtune("datasets", "rows", child.id, "--limit", "3", "--json"))
    assert [row["file_row"] for row in listed] == [0, 3, 4]
    appended = json.loads(nmtune("datasets", "append", child.id, table[0], "--json"))
    assert (appended["n_rows"], appended["parent_id"]) == (2 * N_ROWS - 2, child.id)


def _labels(path: Path) -> list[tuple[str, str]]:
    with path.open(newline="") as file:
        return [(line["id"], line["label"]) for line in csv.DictReader(file)]

"""Heads, exports, databases and artifacts of earlier versions load, and say what they said.

`tests/data/kept/README.md` tells what each file is; `tests/keep_files.py` made them.
"""

import json
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnxruntime
import pyarrow.parquet as pq
import pytest
from nmtune_client._cli.main import main
from safetensors.numpy import load

import migrations
from nmtune import Head
from tests.keep_files import KEPT, LEVEL, SECRET, TEXTS
from tests.support.processes import Process, Site

VERSIONS = sorted(path.name for path in KEPT.iterdir() if path.is_dir())
ATOL = 1e-6
"""On the machine that made the files they are the same to the bit; others round otherwise."""


@pytest.fixture(scope="module", params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_there_is_a_kept_set(version: str) -> None:
    names = {path.name for path in (KEPT / version).iterdir()}
    assert names == {"head", "service", "exports"}


def test_a_head_loads_with_all_that_it_carries(version: str) -> None:
    data = (KEPT / version / "head" / "head.safetensors").read_bytes()
    head = Head.from_bytes(data)
    transforms = [config.transform for config in head.configs]
    assert transforms == ["none", "whiten", "hidden", "mlp", "residual_mlp"]
    assert (head.classes, head.temperature) == (("cat", "dog", "owl"), 1.25)
    before, after = load(data), load(head.to_bytes())
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        np.testing.assert_array_equal(after[name], tensor, err_msg=name)


def test_a_head_says_what_it_said(version: str) -> None:
    head = Head.from_bytes((KEPT / version / "head" / "head.safetensors").read_bytes())
    expected = np.load(KEPT / version / "head" / "expected.npz")
    x, self_test, knowledge = expected["x"], head.self_test, head.knowledge
    probabilities = head.predict_proba(x)
    np.testing.assert_allclose(probabilities, expected["probabilities"], rtol=0, atol=ATOL)
    np.testing.assert_allclose(head.transform(x), expected["tuned"], rtol=1e-5, atol=1e-5)
    assert self_test is not None
    np.testing.assert_allclose(head.predict_proba(self_test.x), self_test.probabilities, atol=ATOL)
    assert knowledge is not None
    assert knowledge.ood is not None
    assert knowledge.conformal is not None
    assert knowledge.ood.threshold == expected["ood_threshold"]
    np.testing.assert_allclose(knowledge.ood.score(x), expected["ood_scores"], rtol=1e-4)
    sets = knowledge.conformal.sets(probabilities, LEVEL)
    np.testing.assert_array_equal(sets, expected["conformal_sets"])
    sums = knowledge.row_summary.sums(x, probabilities.argmax(axis=1))
    np.testing.assert_allclose(sums, expected["drift_sums"], rtol=1e-9, atol=1e-9)


def test_exported_heads_answer_as_the_service_did(version: str) -> None:
    expected = np.load(KEPT / version / "service" / "expected.npz")
    exports = KEPT / version / "exports"
    head = Head.from_bytes((exports / "pets-1.safetensors").read_bytes())
    session = onnxruntime.InferenceSession(
        exports / "pets-1.onnx", providers=["CPUExecutionProvider"]
    )
    [asked] = session.get_inputs()
    found = session.run(["probabilities"], {asked.name: expected["x"]})[0]
    for probabilities in (head.predict_proba(expected["x"]), found):
        np.testing.assert_allclose(probabilities, expected["probabilities"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("number", [1, 2])
def test_a_bundle_verifies_and_its_own_runner_runs(
    version: str, number: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = KEPT / version / "exports" / f"pets-{number}.zip"
    assert main(["verify", str(path)]) == 0
    assert "ONNX" in capsys.readouterr().out
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path)
    folder = tmp_path / f"pets-{number}"
    check = np.load(folder / "check.npz")
    np.save(tmp_path / "rows.npy", check["x"])
    told = subprocess.run(
        [sys.executable, "-I", "run.py", str(tmp_path / "rows.npy")],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    assert told[0].split("\t") == ["label", "cat", "dog", "owl"]
    numbers = np.array([line.split("\t")[1:] for line in told[1:]], np.float64)
    np.testing.assert_allclose(numbers, check["probabilities"], rtol=0, atol=1e-5)


class Upgraded:
    """The present service on a copy of a kept database, and what the earlier one answered."""

    def __init__(self, process: Process, kept: Path) -> None:
        self.client = process.client
        self.http = httpx.Client(base_url=process.url or "", timeout=60)
        self.expected: dict[str, Any] = json.loads((kept / "expected.json").read_text())
        self.arrays = np.load(kept / "expected.npz")


@pytest.fixture(scope="module")
def upgraded(version: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upgraded]:
    kept = KEPT / version / "service"
    site = Site(tmp_path_factory.mktemp("kept"))
    site.data_dir.mkdir()
    shutil.copytree(kept / "artifacts", site.data_dir / "artifacts")
    shutil.copyfile(kept / "nmtune.db", site.data_dir / "nmtune.db")
    try:
        service = Upgraded(site.start(NMTUNE_SECRET_KEY=SECRET), kept)
        with service.http, closing(sqlite3.connect(site.data_dir / "nmtune.db")) as database:
            [revision] = database.execute("SELECT version_num FROM alembic_version").fetchone()
            assert revision == migrations.head_revision()
            yield service
    finally:
        site.close()
    assert not site.complaints()


def missing(before: Any, after: Any, place: str = "") -> list[str]:
    """What an answer of before held and the answer of now does not; now may hold more."""
    if isinstance(before, dict) and isinstance(after, dict):
        return [
            found
            for name, value in before.items()
            for found in missing(value, after.get(name), f"{place}.{name}")
        ]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return [
            found
            for at, (one, other) in enumerate(zip(before, after, strict=True))
            for found in missing(one, other, f"{place}[{at}]")
        ]
    return [] if before == after else [f"{place}: {before!r} -> {after!r}"]


@pytest.mark.slow
def test_the_service_answers_as_before(upgraded: Upgraded) -> None:
    assert len(upgraded.expected["answers"]) == 4
    for route, before in upgraded.expected["answers"].items():
        assert not missing(before, upgraded.http.get(route).raise_for_status().json(), route)
    report = upgraded.client.jobs.get(upgraded.expected["job"]).report()
    assert report.verdict.summary in " ".join(str(report).split())
    told = upgraded.http.get(
        f"/jobs/{upgraded.expected['job']}/events", headers={"accept": "text/event-stream"}
    ).text
    types = [line[7:] for line in told.splitlines() if line.startswith("event: ")]
    assert types == upgraded.expected["events"]


@pytest.mark.slow
def test_the_service_predicts_as_before(upgraded: Upgraded, tmp_path: Path) -> None:
    predicted = upgraded.client.predict("pets@prod", upgraded.arrays["x"])
    assert predicted.head_version == 1
    np.testing.assert_allclose(
        predicted.probabilities, upgraded.arrays["probabilities"], rtol=0, atol=ATOL
    )
    path = upgraded.client.jobs.output(upgraded.expected["predicting"], tmp_path / "out.parquet")
    table = pq.read_table(path)
    assert table["id"].to_pylist() == [f"u-{at}" for at in range(len(upgraded.arrays["x"]))]
    found = np.array(table["probabilities"].to_pylist(), np.float32)
    np.testing.assert_array_equal(found, upgraded.arrays["output"])
    texts = upgraded.client.predict("intents", texts=list(TEXTS))
    assert texts.labels.tolist() == ["alarm", "play_music"]
    np.testing.assert_allclose(texts.probabilities, upgraded.arrays["of_texts"], atol=1e-4)


@pytest.mark.slow
def test_the_service_goes_on_with_what_was_begun(upgraded: Upgraded) -> None:
    """A job that waited is trained, an upload goes on, an alias goes back, a key is there."""
    job = upgraded.client.jobs.get(upgraded.expected["queued"]).wait(timeout=120)
    assert job.report().metrics("linear_probe", "test")["accuracy"] > 0.5
    begun = upgraded.expected["upload"]
    place, tus = f"/uploads/{begun['id']}", {"Tus-Resumable": "1.0.0"}
    held = upgraded.http.head(place, headers=tus).headers
    assert int(held["upload-offset"]) == begun["received_bytes"]
    rest = upgraded.http.patch(
        place,
        headers=tus | {"Upload-Offset": "1000", "Content-Type": "application/offset+octet-stream"},
        content=bytes(begun["size_bytes"] - begun["received_bytes"]),
    )
    assert rest.headers["upload-offset"] == str(begun["size_bytes"])
    assert upgraded.client.provider_keys.list() == ["https://api.openai.com"]
    assert upgraded.client.heads.get("pets").aliases == {"prod": 1}
    upgraded.client.heads.set_alias("pets", "prod", 2)
    assert upgraded.client.heads.rollback("pets", "prod").version == 1

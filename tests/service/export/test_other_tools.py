"""An export is loaded by the tool that it is for, and answers there as the served head."""

import io
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from huggingface_hub import ModelCard

from nmtune import Head, TuneConfig
from nmtune.serving import sklearn_file
from service.export import exports, run
from store.store import Store
from tests.service.export.test_exports import CONFIGS, Rows, trained_head
from tests.service.in_process import CLASSES, InProcess, assert_problem, publish
from tests.support.files.arrays import npy


@pytest.fixture(scope="module")
def blend(rows: Rows) -> Head:
    names = ("none, standardise", "whiten, rms", "bottlenecks, none", "residual_mlp, standardise")
    heads = [trained_head(rows, CONFIGS[name]).calibrated(0.5) for name in names]
    return Head.blend(heads, [0.1, 0.2, 0.3, 0.4]).calibrated(0.7).with_self_test(rows[0][::4])


@pytest.fixture
def served(client: InProcess, store: Store, blend: Head, rows: Rows) -> Any:
    """The probabilities that the service gives for the rows, after publishing the blend."""
    publish(store, blend.to_bytes(), alias="prod")
    x = rows[0].astype(np.float32)
    answer = client.post(
        "/predict?head=pets", content=npy(x), headers={"content-type": "application/x-npy"}
    )
    return np.array(answer.json()["probabilities"])


def exported(client: InProcess, form: str) -> bytes:
    answer = client.get(f"/heads/pets/versions/1/export?format={form}")
    assert answer.status_code == 200, answer.text
    return answer.content


def unpacked(content: bytes, folder: Path, name: str) -> Path:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert {member.partition("/")[0] for member in archive.namelist()} == {name}
        archive.extractall(folder)
    return folder / name


MLFLOW = """
import json, logging, sys
import numpy as np
import mlflow
from fastapi.testclient import TestClient
from mlflow.pyfunc import scoring_server

model = mlflow.pyfunc.load_model(sys.argv[1])
x = np.load(sys.argv[2])
loaded = model.predict(x)
refused = []
for wrong in (x[:, :2], np.full_like(x, np.nan)):
    try:
        model.predict(wrong)
    except Exception as error:
        refused.append(str(error))
with TestClient(scoring_server.init(model)) as client:
    answer = client.post("/invocations", json={"inputs": x.tolist()})
served = answer.json()["predictions"]
print(json.dumps({
    "loaded": loaded.to_dict("list"), "served": served, "refused": refused,
    "metadata": model.metadata.metadata, "schema": str(model.metadata.get_output_schema()),
    "ours": sorted({"torch", "nmtune", "service"} & set(sys.modules)),
}))
"""


@pytest.mark.slow
def test_mlflow_loads_and_serves_the_model(
    client: InProcess, blend: Head, rows: Rows, served: Any, tmp_path: Path
) -> None:
    folder = unpacked(exported(client, "mlflow"), tmp_path, "pets-1-mlflow")
    np.save(tmp_path / "x.npy", rows[0].astype(np.float32))
    done = subprocess.run(
        [sys.executable, "-c", MLFLOW, folder, tmp_path / "x.npy"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["loaded"]["label"] == blend.predict(rows[0])
    np.testing.assert_allclose(found["loaded"]["probabilities"], served, atol=1e-5)
    assert [row["label"] for row in found["served"]] == blend.predict(rows[0])
    np.testing.assert_allclose([row["probabilities"] for row in found["served"]], served, atol=1e-5)
    assert "rows of 3" in found["refused"][0] or "(-1, 3)" in found["refused"][0]
    assert "row 0 has a value that is not finite" in found["refused"][1]
    assert found["metadata"]["classes"] == list(CLASSES)
    assert found["metadata"]["head"] == "pets@1"
    assert found["ours"] == []


def test_the_skops_file_needs_numpy_and_scikit_learn_alone(
    client: InProcess, blend: Head, rows: Rows, served: Any
) -> None:
    """Each class that it asks for is theirs, and none is one that skops has to be told to trust."""
    content = exported(client, "sklearn")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        schema = archive.read("schema.json").decode()
    modules = {name.partition(".")[0] for name in re.findall(r'"__module__": "([^"]+)"', schema)}
    assert {"sklearn"} < modules <= {"sklearn", "numpy", "builtins"}
    assert skops.io.get_untrusted_types(data=content) == []
    estimator = skops.io.loads(content, trusted=[])
    assert estimator.classes_.tolist() == sorted(CLASSES)
    order = [CLASSES.index(name) for name in sorted(CLASSES)]
    found = estimator.predict_proba(rows[0].astype(np.float32))
    np.testing.assert_allclose(found, served[:, order], atol=1e-5)


FAR = {"whiten, standardise", "residual_mlp, standardise", "none, standardise"}
"""Their mean lies many deviations away from 0, which a first step of a pipeline takes off."""


@pytest.mark.parametrize("classes", [("dog", "cat"), ("b", "é z", "a", "c")])
def test_every_kind_of_head_is_an_estimator_of_scikit_learns_own_classes(
    classes: tuple[str, ...],
) -> None:
    random = np.random.default_rng(0)
    y = np.arange(80) % len(classes)
    x = (random.normal(size=(80, 4)) + 2 * np.eye(4)[y]).astype(np.float32)
    for name, config in CONFIGS.items():
        for far in (0, 500) if name in FAR else (0,):
            moved = x + np.float32(far)
            head = _trained(moved, y, classes, config).calibrated(0.8)
            data = sklearn_file.skops_bytes(head)
            assert skops.io.get_untrusted_types(data=data) == []
            found = sklearn_file.run_skops(data, moved, head.classes)
            np.testing.assert_allclose(found, head.predict_proba(moved), atol=1e-5)
            estimator = skops.io.loads(data)
            assert estimator.predict(moved).tolist() == head.predict(moved)
            assert estimator.classes_.tolist() == sorted(classes)


def _trained(x: Any, y: Any, classes: tuple[str, ...], config: TuneConfig) -> Head:
    from nmtune import Trainer

    trainer = Trainer(x, y, classes=classes, config=config)
    assert list(trainer)
    return trainer.result().head


def test_the_hubs_folder_has_a_card_and_no_row_of_the_data(
    client: InProcess, blend: Head, rows: Rows, served: Any, tmp_path: Path
) -> None:
    folder = unpacked(exported(client, "hf"), tmp_path, "pets-1-hf")
    card = ModelCard.load(folder / "README.md")
    assert card.data.library_name == "nmtune"
    assert card.data.model_name == "pets"
    (result,) = card.data.eval_results
    assert (result.metric_type, result.metric_value) == ("accuracy", 1)
    assert result.dataset_split == "test"
    assert "check.npz" not in card.text
    assert not (folder / "check.npz").exists()
    data = (folder / "head.safetensors").read_bytes()
    assert data != blend.to_bytes()
    head = Head.from_bytes(data)
    assert head.self_test is None
    assert head.knowledge is None
    x = rows[0].astype(np.float32)
    np.testing.assert_allclose(head.predict_proba(x), served, atol=1e-5)
    np.testing.assert_allclose(run.Head(data).predict_proba(x), served, atol=1e-5)
    by_onnx = exports.run_onnx((folder / "model.onnx").read_bytes(), x)
    np.testing.assert_allclose(by_onnx, served, atol=1e-5)


def test_mlflows_folder_holds_no_row_of_the_data(client: InProcess, served: Any) -> None:
    with zipfile.ZipFile(io.BytesIO(exported(client, "mlflow"))) as archive:
        head = Head.from_bytes(archive.read("pets-1-mlflow/data/head.safetensors"))
        card = archive.read("pets-1-mlflow/README.md").decode()
    assert head.self_test is None
    assert "mlflow models serve -m pets-1-mlflow" in card


def test_an_estimator_that_disagrees_is_refused(
    client: InProcess, served: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sklearn_file, "_outputs", lambda scores: scores[:, :1] - scores[:, 1:])
    answer = client.get("/heads/pets/versions/1/export?format=sklearn")
    assert_problem(answer, 500, "export_disagrees")

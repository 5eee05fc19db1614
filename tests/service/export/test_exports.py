"""An export answers as the served head does, or is refused."""

import base64
import hashlib
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import nmtune_client
import numpy as np
import pytest
import yaml

from nmtune import Head, Trainer, TuneConfig
from nmtune.serving.onnx_file import run_onnx
from nmtune.trust.self_test import SelfTest
from service.export import exports, run
from service.export.agreement import check_rows
from store.store import Store
from tests.service.in_process import (
    CLASSES,
    InProcess,
    add_job,
    assert_problem,
    claim,
    publish,
    succeed,
)
from tests.support.files.arrays import npy

Rows = tuple[np.ndarray, np.ndarray]


CONFIGS: dict[str, TuneConfig] = {
    f"{transform}, {scaling}": TuneConfig.from_preset(preset, scaling=scaling, **more)
    for transform, preset, more in [
        ("none", "linear_probe", {"l2": 1.0}),
        ("whiten", "whitened_probe", {"l2": 1.0}),
        ("hidden", "mlp_ensemble", {"epochs": 2, "hidden_width": 4}),
        ("bottlenecks", "folded_nmtune", {"epochs": 2, "hidden_width": 4}),
        ("mlp", "paper", {"epochs": 2}),
        ("residual_mlp", "reference", {"epochs": 2}),
    ]
    for scaling in ("none", "rms", "standardise")
    if (transform, scaling) != ("none", "none")  # refused by the config
}
MEMBERS = [
    "README.md",
    "config.json",
    "metrics.json",
    "report.json",
    "report.html",
    "run.py",
    "head.safetensors",
    "model.onnx",
    "check.npz",
]


def trained_head(rows: Rows, config: TuneConfig) -> Head:
    trainer = Trainer(*rows, classes=CLASSES, config=config)
    assert list(trainer)
    return trainer.result().head


@pytest.fixture(scope="module")
def blend(rows: Rows) -> Head:
    names = ("none, standardise", "whiten, rms", "hidden, none", "residual_mlp, standardise")
    heads = [trained_head(rows, CONFIGS[name]).calibrated(0.5) for name in names]
    return Head.blend(heads, [0.1, 0.2, 0.3, 0.4]).calibrated(0.7).with_self_test(rows[0][::4])


def members(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}


def assert_says_the_same(data: bytes, head: Head, x: np.ndarray) -> None:
    expected = head.predict_proba(x)
    by_numpy = run.Head(data).predict_proba(x)
    np.testing.assert_allclose(by_numpy, expected, atol=1e-5)
    assert (by_numpy.argmax(axis=1) == expected.argmax(axis=1)).all()


@pytest.mark.parametrize("name", CONFIGS)
def test_the_numpy_runner_and_onnx_answer_as_every_kind_of_head(name: str, rows: Rows) -> None:
    head = trained_head(rows, CONFIGS[name]).calibrated(0.8)
    assert_says_the_same(head.to_bytes(), head, rows[0])
    x = rows[0].astype(np.float32)
    found = run_onnx(exports.onnx_bytes(head), x)
    np.testing.assert_allclose(found, head.predict_proba(x), atol=1e-5)


def test_a_blend_goes_out_in_each_form_and_answers_as_served(
    client: InProcess, store: Store, blend: Head, rows: Rows
) -> None:
    data = blend.to_bytes()
    publish(store, data, alias="prod")
    x = rows[0].astype(np.float32)
    expected = client.post(
        "/predict?head=pets", content=npy(x), headers={"content-type": "application/x-npy"}
    ).json()["probabilities"]
    path = "/heads/pets/versions/1/export?format="
    assert client.get(f"{path}safetensors").content == data
    np.testing.assert_allclose(run_onnx(client.get(f"{path}onnx").content, x), expected, atol=1e-5)
    files = members(client.get(f"{path}bundle").content)
    assert list(files) == ["MANIFEST.json", *MEMBERS]
    assert files["head.safetensors"] == data
    np.testing.assert_allclose(run_onnx(files["model.onnx"], x), expected, atol=1e-5)
    check = np.load(io.BytesIO(files["check.npz"]))
    np.testing.assert_array_equal(check["x"], rows[0][::4].astype(np.float32))


def test_the_answer_names_the_version_the_file_and_its_hash(
    client: InProcess, store: Store, trained: bytes
) -> None:
    publish(store, trained, alias="prod")
    publish(store, trained)
    by_alias = client.get("/heads/pets/versions/prod/export")
    assert by_alias.headers["x-nmtune-head"] == "pets@1"
    assert by_alias.headers["content-type"] == "application/zip"
    assert by_alias.headers["content-disposition"] == 'attachment; filename="pets-1.zip"'
    digest = base64.b64encode(hashlib.sha256(by_alias.content).digest()).decode()
    assert by_alias.headers["repr-digest"] == f"sha-256=:{digest}:"
    latest = client.get("/heads/pets/versions/latest/export?format=onnx")
    assert latest.headers["x-nmtune-head"] == "pets@2"
    assert_problem(client.get("/heads/pets/versions/9/export"), 404, "not_found")
    wrong = client.get("/heads/pets/versions/1/export?format=pickle")
    assert_problem(wrong, 422, "invalid_request", "format")
    assert_problem(
        client.get("/heads/pets/versions/a%20b/export"), 422, "invalid_request", "version"
    )


def test_the_same_head_gives_the_same_bytes_whatever_its_aliases(
    client: InProcess, store: Store, blend: Head
) -> None:
    publish(store, blend.to_bytes())
    first = client.get("/heads/pets/versions/1/export").content
    client.put("/heads/pets/aliases/prod", json={"version": 1})
    assert client.get("/heads/pets/versions/1/export").content == first


def test_the_manifest_names_every_file_by_size_and_hash(
    client: InProcess, store: Store, trained: bytes
) -> None:
    publish(store, trained)
    files = members(client.get("/heads/pets/versions/1/export").content)
    manifest = json.loads(files.pop("MANIFEST.json"))
    assert (manifest["format"], manifest["version"]) == ("nmtune-bundle", 1)
    assert manifest["head"] == {
        "name": "pets",
        "version": 1,
        "sha256": hashlib.sha256(trained).hexdigest(),
    }
    assert manifest["files"] == {
        name: {"sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)}
        for name, content in files.items()
    }
    config = json.loads(files["config.json"])
    assert config["classes"] == list(CLASSES)
    assert config["lineage"]["dataset_sha256"] == hashlib.sha256(b"dataset").hexdigest()
    assert config["check"]["rows"] == "seeded random"
    assert "worker" not in config["lineage"]["machine"]


def test_the_bundles_runner_needs_numpy_alone(
    client: InProcess, store: Store, blend: Head, rows: Rows, tmp_path: Path
) -> None:
    """In a process of its own, without our packages on its path, on the files as they lie there."""
    publish(store, blend.to_bytes())
    for name, content in members(client.get("/heads/pets/versions/1/export").content).items():
        (tmp_path / name).write_bytes(content)
    np.save(tmp_path / "new.npy", rows[0])
    program = (
        "import sys; from run import main; code = main(['new.npy']);"
        "ours = {'torch', 'nmtune', 'safetensors', 'onnx'} & set(sys.modules);"
        "sys.exit(code or bool(ours))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    header, *lines = done.stdout.splitlines()
    assert header.split("\t") == ["label", *CLASSES]
    assert [line.split("\t")[0] for line in lines] == blend.predict(rows[0])
    told = np.array([[float(cell) for cell in line.split("\t")[1:]] for line in lines])
    np.testing.assert_allclose(told, blend.predict_proba(rows[0]), atol=1e-5)


def test_the_runner_refuses_what_cannot_be_right(
    trained: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head = run.Head(trained)
    for x, words in [
        ([1.0, 2.0, 3.0], "rows of 3 numbers"),
        ([[1.0, 2.0]], "rows of 3 numbers"),
        ([[1.0, 2.0, float("nan")]], "row 0"),
        ([[0.0, 0.0, 0.0], [1e300, 0.0, 0.0]], "row 1"),
    ]:
        with pytest.raises(ValueError, match=words):
            head.predict_proba(x)
    assert run.main([]) == 2
    assert run.main([str(tmp_path / "none.npy")]) == 2
    assert "none.npy" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--help"], 0, "usage: run.py"),
        (["-h"], 0, ".npy file"),
        (["--frobnicate"], 2, "usage: run.py"),
        (["x.npy", "--what"], 2, "unrecognized arguments: --what"),
        (["a", "b", "c"], 2, "unrecognized arguments: c"),
        ([], 2, "required: embeddings"),
    ],
)
def test_the_runner_has_a_normal_command_line(
    arguments: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run.main(arguments) == code
    said = capsys.readouterr()
    assert says in (said.err if code else said.out)


def test_a_bundle_unpacks_into_a_folder_of_its_own(
    client: InProcess, store: Store, blend: Head
) -> None:
    publish(store, blend.to_bytes())
    content = client.get("/heads/pets/versions/1/export").content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert {name.partition("/")[0] for name in archive.namelist()} == {"pets-1"}


def test_a_damaged_head_is_a_clear_error_to_the_runner(trained: bytes) -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(trained)
        for at in rng.integers(0, 600, size=3):
            damaged[at] = rng.integers(0, 256)
        for data in (bytes(damaged), trained[: rng.integers(0, len(trained))]):
            try:
                found = run.Head(data).predict_proba([[0.1, 0.2, 0.3]])
            except ValueError:
                continue
            assert np.isfinite(found).all()


def test_the_client_has_the_very_runner() -> None:
    clients = Path(str(nmtune_client.__file__)).with_name("_heads") / "runner.py"
    assert clients.read_bytes() == exports.runner_source()


def test_a_head_that_no_longer_says_what_it_said_is_not_exported(
    client: InProcess, store: Store, rows: Rows, trained: bytes
) -> None:
    """Its stored probabilities are another head's."""
    head = Head.from_bytes(trained)
    x = rows[0][:3].astype(np.float32)
    false = SelfTest(x=x, probabilities=head.predict_proba(x)[::-1].copy() * 0 + 0.5)
    liar = Head(head.members, classes=head.classes, temperature=head.temperature, self_test=false)
    publish(store, liar.to_bytes())
    for form in ("safetensors", "onnx", "bundle"):
        response = client.get(f"/heads/pets/versions/1/export?format={form}")
        problem = assert_problem(response, 500, "export_disagrees")
        assert "differs by" in problem["detail"]


@pytest.mark.parametrize(
    ("form", "engine"), [("onnx", "run_onnx"), ("bundle", "run_onnx"), ("bundle", "runner")]
)
def test_an_export_whose_engine_disagrees_is_refused(
    client: InProcess,
    store: Store,
    trained: bytes,
    monkeypatch: pytest.MonkeyPatch,
    form: str,
    engine: str,
) -> None:
    """A fault is put into the engine, as a wrong release of it would be: BatchNorm's constant."""
    publish(store, trained)

    def wrong(_: bytes, x: np.ndarray) -> np.ndarray:
        return np.tile(np.float32([0.25, 0.75]), (len(x), 1))

    if engine == "run_onnx":
        monkeypatch.setattr(exports, "run_onnx", wrong)
    else:
        monkeypatch.setattr(run, "_linear", lambda x, t, name: x @ t[f"{name}.weight"].T + 1)
    response = client.get(f"/heads/pets/versions/1/export?format={form}")
    assert_problem(response, 500, "export_disagrees")


def test_a_lost_or_damaged_head_is_not_exported(
    client: InProcess, store: Store, trained: bytes
) -> None:
    publish(store, trained)
    path = store.artifacts.open_path("default", hashlib.sha256(trained).hexdigest())
    path.chmod(0o600)
    path.write_bytes(trained[:-1])
    assert_problem(client.get("/heads/pets/versions/1/export"), 503, "artifact_corrupt")
    path.unlink()
    assert_problem(client.get("/heads/pets/versions/1/export"), 503, "artifact_missing")


def test_check_rows_are_the_stored_ones_or_of_the_heads_scale(blend: Head, rows: Rows) -> None:
    assert check_rows(blend).are_stored
    far = (rows[0] * 100 + 1000, rows[1])
    head = trained_head(far, CONFIGS["none, standardise"])
    check = check_rows(head)
    assert not check.are_stored
    np.testing.assert_allclose(check.x.mean(), far[0].mean(), rtol=0.1)
    np.testing.assert_array_equal(check.x, check_rows(head).x)


REPORT: dict[str, Any] = {
    "dataset": {"name": "pets: a|b"},
    "verdict": {"summary": "Use the linear probe.", "sentences": ["It is as good."]},
}


def test_the_card_is_what_the_hub_reads_and_people_need(
    client: InProcess, store: Store, blend: Head
) -> None:
    job = claim(store, add_job(store))
    succeed(store, job, blend.to_bytes(), report=json.dumps(REPORT).encode())
    files = members(client.get("/heads/pets/versions/1/export").content)
    text = files["README.md"].decode()
    _, front, prose = text.split("---\n", 2)
    card = yaml.safe_load(front)
    assert "license" not in card
    assert "# license: state one" in front
    (result,) = card["model-index"][0]["results"]
    assert result["dataset"]["name"] == "pets: a|b"
    assert result["dataset"]["split"] == "test"
    assert result["metrics"] == [{"type": "accuracy", "value": 1.0, "name": "Accuracy"}]
    for words in (
        "**Use the linear probe.**",
        "It is as good.",
        "## Intended use",
        "## Limits",
        "hold 10 embeddings from the dataset",
        hashlib.sha256(b"dataset").hexdigest(),
    ):
        assert words in prose
    assert json.loads(files["report.json"]) == REPORT


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("none.npy", "cannot be read: No such file or directory"),
        ("rows.npz", "is not an .npy file: write the rows with numpy.save"),
        ("rows.jsonl", "is not an .npy file: write the rows with numpy.save"),
        ("empty.npy", "is not an .npy file: write the rows with numpy.save"),
    ],
)
def test_the_runner_says_what_it_takes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, says: str
) -> None:
    np.savez(tmp_path / "rows.npz", x=np.ones((2, 2)))
    (tmp_path / "rows.jsonl").write_text('{"embedding": [1, 2]}\n')
    (tmp_path / "empty.npy").touch()
    assert run.main([str(tmp_path / name)]) == 2
    assert capsys.readouterr().err == f"run.py: {tmp_path / name} {says}\n"

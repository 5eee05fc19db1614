"""Bundles are checked offline, and nothing in one that somebody else made is run or unpacked."""

import hashlib
import io
import json
import struct
import sys
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nmtune_client import verify_bundle
from nmtune_client._cli.main import main

from nmtune import Head, Trainer, TuneConfig
from service.export import exports
from service.export.agreement import check_rows
from store.registry.heads import HeadVersion

Files = dict[str, bytes]


@pytest.fixture(scope="module")
def files() -> Files:
    """The files of a true bundle, the manifest first."""
    rng = np.random.default_rng(0)
    y = np.arange(40) % 3
    x = (rng.normal(size=(3, 8))[y] + rng.normal(size=(40, 8))).astype(np.float32)
    config = TuneConfig.from_preset("reference", epochs=2, batch_size=8)
    trainer = Trainer(x, y, classes=("a", "b", "c"), config=config)
    assert list(trainer)
    head = trainer.result().head.with_self_test(x[:10])
    data = head.to_bytes()
    version = HeadVersion(
        tenant_id="default",
        name="pets",
        version=3,
        job_id="job_1",
        dataset_id="ds_1",
        sha256=hashlib.sha256(data).hexdigest(),
        size_bytes=len(data),
        method="nmtune",
        n_columns=8,
        classes=["a", "b", "c"],
        n_parameters=head.n_parameters,
        config=config.to_dict(),
        metrics={},
        encoder=None,
        dataset_sha256=None,
        lineage={},
        created_at=datetime.now(UTC),
        aliases=(),
    )
    made = exports._bundle(version, head, data, check_rows(head), lambda: b"{}")
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        return {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}


@pytest.fixture
def write(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Writes a bundle of these files; the manifest is made to fit them unless told otherwise."""

    def make(
        files: Files, *, fit: bool = True, head: bytes | None = None, folder: str = "pets-3/"
    ) -> Path:
        files = dict(files)
        if fit:
            manifest = json.loads(files["MANIFEST.json"])
            manifest["files"] = {
                name: {"sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data)}
                for name, data in files.items()
                if name != "MANIFEST.json"
            }
            if head is not None:
                manifest["head"]["sha256"] = hashlib.sha256(head).hexdigest()
            files["MANIFEST.json"] = json.dumps(manifest).encode()
        path = tmp_path / "pets-3.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in files.items():
                archive.writestr(f"{folder}{name}", data)
        return path

    yield make
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left in ([], ["pets-3.zip"]), "something was unpacked"


def problems(path: Path) -> str:
    report = verify_bundle(path)
    assert not report.is_good
    return "; ".join(report.problems)


def test_a_true_bundle_is_found_good(files: Files, write: Callable[..., Path]) -> None:
    report = verify_bundle(write(files, fit=False))
    assert report.is_good
    assert report.head == "pets@3"
    assert len(report.checks) == 5
    assert "numpy runner says of 10 rows" in report.checks[3]
    assert "onnxruntime" in report.checks[4]
    assert report.skipped == []
    without = verify_bundle(write(files, fit=False), onnx=False)
    assert without.skipped == ["ONNX was not run, as asked"]


def test_a_bundle_of_an_older_server_has_no_folder(
    files: Files, write: Callable[..., Path]
) -> None:
    assert verify_bundle(write(files, folder="")).is_good


@pytest.mark.parametrize("name", ["other/evil.py", "evil.py", "pets-3/deep/evil.py", "pets-3/../x"])
def test_all_files_are_in_the_one_folder(
    files: Files, write: Callable[..., Path], name: str
) -> None:
    path = write(files)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, b"import os")
    assert "not a plain file name" in problems(path)


@pytest.mark.parametrize("folder", ["../", "/", "a/b/", "C:/", "..\\/"])
def test_a_folder_that_leads_elsewhere_is_refused(
    files: Files, write: Callable[..., Path], folder: str
) -> None:
    assert "not a plain file name" in problems(write(files, folder=folder))


def test_without_onnxruntime_onnx_is_said_to_be_unchecked(
    files: Files, write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    report = verify_bundle(write(files))
    assert report.is_good
    assert report.skipped == ["ONNX was not run: onnxruntime is not installed"]


def test_any_changed_file_is_found(files: Files, write: Callable[..., Path]) -> None:
    for name in files:
        if name != "MANIFEST.json":
            at = len(files[name]) // 2
            changed = files[name][:at] + bytes([files[name][at] ^ 1]) + files[name][at + 1 :]
            assert f"{name} does not have the sha256" in problems(
                write(files | {name: changed}, fit=False)
            )


def test_files_that_came_or_went_are_found(files: Files, write: Callable[..., Path]) -> None:
    more = files | {"setup.py": b"import os"}
    assert "differ in setup.py" in problems(write(more, fit=False))
    fewer = {name: data for name, data in files.items() if name != "report.json"}
    assert "differ in report.json" in problems(write(fewer, fit=False))
    lacking = {name: data for name, data in files.items() if name != "model.onnx"}
    assert "lacks model.onnx" in problems(write(lacking))
    headless = {name: data for name, data in files.items() if name != "MANIFEST.json"}
    assert "no MANIFEST.json" in problems(write(headless, fit=False))


def test_another_runner_is_named_and_never_run(
    files: Files, write: Callable[..., Path], tmp_path: Path
) -> None:
    witness = tmp_path.parent / "it-ran"
    hostile = f"open({str(witness)!r}, 'w')\n".encode() + files["run.py"]
    assert "was not run" in problems(write(files | {"run.py": hostile}))
    assert not witness.exists()


def test_the_runner_of_an_earlier_version_is_known(
    files: Files, write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = files["run.py"] + b"# as it was\n"
    path = write(files | {"run.py": earlier}, folder="")
    assert "run.py is not the runner" in str(verify_bundle(path).problems)
    known = frozenset({hashlib.sha256(earlier).hexdigest()})
    monkeypatch.setattr("nmtune_client._heads.bundle._EARLIER_RUNNERS", known)
    report = verify_bundle(path)
    assert report.problems == []
    assert "run.py is the runner of an earlier version, byte for byte" in report.checks


def test_another_head_or_other_answers_are_found(files: Files, write: Callable[..., Path]) -> None:
    head = Head.from_bytes(files["head.safetensors"])
    other = head.calibrated(head.temperature * 1.01).to_bytes()
    swapped = files | {"head.safetensors": other}
    assert "not the head that the manifest names" in problems(write(swapped))
    assert "numpy runner does not say" in problems(write(swapped, head=other))
    onnx = exports.onnx_bytes(head.calibrated(head.temperature * 1.01))
    assert "ONNX by onnxruntime" in problems(write(files | {"model.onnx": onnx}))
    assert "does not run" in problems(write(files | {"model.onnx": b"no model"}))
    elsewhere = files["model.onnx"] + b"\x0a\x08location"
    assert "from other files, and was not run" in problems(write(files | {"model.onnx": elsewhere}))


@pytest.mark.parametrize(
    "name",
    ["../evil.py", "/etc/passwd", "a/b", "..\\evil", "C:evil", "folder/", ".hidden", "x" * 200],
)
def test_names_that_lead_elsewhere_are_refused(
    files: Files, write: Callable[..., Path], name: str
) -> None:
    assert "not a plain file name" in problems(write(files | {name: b""}))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_is_there_twice_is_refused(files: Files, write: Callable[..., Path]) -> None:
    path = write(files)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("pets-3/run.py", b"import os")
    assert "run.py is in it more than once" in problems(path)


def test_bombs_are_not_unpacked(files: Files, write: Callable[..., Path]) -> None:
    many = files | {f"f{number}": b"" for number in range(200)}
    assert "has at most 100" in problems(write(many))
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", bytes(300 << 20))
    assert "too large" in problems(write(files | {"check.npz": inner.getvalue()}))
    huge = b"\x93NUMPY\x01\x00" + struct.pack("<H", 118)
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 8), }"
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        for name in ("x.npy", "probabilities.npy"):
            archive.writestr(name, huge + header.ljust(117).encode() + b"\n")
    assert problems(write(files | {"check.npz": inner.getvalue()}))


def test_what_is_no_bundle_is_said_to_be_none(tmp_path: Path) -> None:
    path = tmp_path / "no.zip"
    path.write_bytes(b"PK\x03\x04 but no zip")
    assert "not a bundle" in problems(path)
    for content in (b"[]", b"{}", b'{"format": "nmtune-bundle", "version": 2}', b"\xff"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("MANIFEST.json", content)
        assert problems(path)


def test_damaged_bundles_never_escape_as_another_error(
    files: Files, write: Callable[..., Path]
) -> None:
    whole = write(files).read_bytes()
    path = write(files)
    rng = np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(whole)
        for at in rng.integers(0, len(whole), size=20):
            damaged[at] = rng.integers(0, 256)
        path.write_bytes(bytes(damaged))
        assert problems(path)
        path.write_bytes(whole[: rng.integers(0, len(whole))])
        assert problems(path)


def test_the_command_says_what_it_checked_and_ends_with_0_or_1(
    files: Files, write: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(files)
    assert main(["verify", str(path)]) == 0
    out = capsys.readouterr().out
    assert out.count("\nok ") == 5
    assert "not signed" in out
    assert main(["verify", str(path), "--json", "--no-onnx"]) == 0
    assert json.loads(capsys.readouterr().out)["is_good"] is True
    write(files | {"run.py": b"x"})
    assert main(["verify", str(path)]) == 1
    captured = capsys.readouterr()
    assert "WRONG run.py is not the runner" in captured.out
    assert "Traceback" not in captured.err
    assert main(["verify", str(path.with_name("none.zip"))]) == 2


def test_a_bundle_of_a_later_server_asks_for_a_newer_client(
    files: Files, write: Callable[..., Path]
) -> None:
    manifest: dict[str, Any] = json.loads(files["MANIFEST.json"])
    manifest["version"] = 2
    later = files | {"MANIFEST.json": json.dumps(manifest).encode()}
    assert "newer client" in problems(write(later, fit=False))

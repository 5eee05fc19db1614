"""Check an exported bundle offline: nothing in it is run, and nothing is unpacked.

A bundle may come from anybody. Its files are read in memory under bounds, its runner is compared
with this client's own copy, and that copy is what runs.
"""

import hashlib
import importlib
import io
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nmtune_client._heads import runner
from nmtune_client._http.errors import NMTuneError

MANIFEST: Final = "MANIFEST.json"
NEEDED: Final = ("head.safetensors", "model.onnx", "run.py", "check.npz", "config.json")
TOLERANCE: Final = 1e-5

MOST_FILES: Final = 100
MOST_BYTES: Final = 8 * 1024**3
_MOST_MANIFEST_BYTES: Final = 1 << 20
_MOST_CHECK_BYTES: Final = 1 << 28
_CHUNK_BYTES: Final = 1 << 20

_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# In an ONNX file: the key under which a tensor names another file that has its values.
_ONNX_LOCATION: Final = b"\x0a\x08location"


class BundleError(NMTuneError):
    """A bundle is damaged, or does not do what it says; `report` has all that was found."""

    def __init__(self, report: "BundleReport") -> None:
        super().__init__("; ".join(report.problems))
        self.report = report


@dataclass(kw_only=True)
class BundleReport:
    """What was checked of a bundle and held, what did not, and what could not be checked."""

    head: str | None = None
    """The version that the bundle says it is, such as `pets@3`."""
    checks: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Whether nothing was found wrong."""
        return not self.problems


def verify_bundle(path: str | PathLike[str], *, onnx: bool = True) -> BundleReport:
    """Check an exported bundle: files against manifest, runner, and its answers on `check.npz`.

    onnx: also run `model.onnx`, if onnxruntime is installed. Nothing shows who made the bundle: the
    manifest is not signed. Raises OSError for a file that cannot be read; what is wrong with a
    bundle is in the report.
    """
    report = BundleReport()
    try:
        with zipfile.ZipFile(path) as archive:
            entries = _entries(archive)
            manifest = _manifest(archive, entries)
            report.head = _head_name(manifest)
            files = _files(archive, entries, manifest)
        report.checks.append(f"{len(manifest['files'])} files are those of {MANIFEST}")
        _check_head(files, manifest, report)
        _check_runner(files["run.py"], report)
        x, expected = _check_rows(files["check.npz"])
        _check_numpy(files["head.safetensors"], x, expected, report)
        if onnx:
            _check_onnx(files["model.onnx"], x, expected, report)
        else:
            report.skipped.append("ONNX was not run, as asked")
    except (
        *(zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, RuntimeError),
        *(ValueError, LookupError, TypeError, AttributeError, ArithmeticError, EOFError),
        *(MemoryError, zlib.error, struct.error),
    ) as error:
        report.problems.append(_words(error))
    return report


def _words(error: Exception) -> str:
    if isinstance(error, ValueError):
        return str(error)
    if isinstance(error, MemoryError):
        return "checking it needs more memory than this machine has"
    return f"it is not a bundle, or is damaged ({type(error).__name__}: {error})"


def _entries(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The files by their names in the bundle's one folder; ValueError unless all are plain."""
    entries = archive.infolist()
    if len(entries) > MOST_FILES:
        raise ValueError(f"it has {len(entries)} files; a bundle has at most {MOST_FILES}")
    # bundles of older servers have no folder
    folder, slash, _ = entries[0].filename.partition("/") if entries else ("", "", "")
    folder = f"{folder}/" if slash and _PLAIN_NAME.fullmatch(folder) else ""
    found: dict[str, zipfile.ZipInfo] = {}
    for entry in entries:
        name = entry.filename.removeprefix(folder)
        if not entry.filename.startswith(folder) or _PLAIN_NAME.fullmatch(name) is None:
            raise ValueError(f"{entry.filename[:80]!r} is not a plain file name: do not unpack it")
        if name in found:
            raise ValueError(f"{name} is in it more than once: do not unpack it")
        if entry.compress_type not in _PACKINGS or entry.flag_bits & 1:
            raise ValueError(f"{name} is encrypted or packed in an unknown way")
        found[name] = entry
    return found


def _manifest(archive: zipfile.ZipFile, entries: Mapping[str, zipfile.ZipInfo]) -> dict[str, Any]:
    """The manifest, which names all files."""
    names = list(entries)
    if MANIFEST not in entries:
        raise ValueError(f"it has no {MANIFEST}: is it a bundle of `nmtune heads export`?")
    if entries[MANIFEST].file_size > _MOST_MANIFEST_BYTES:
        raise ValueError(f"{MANIFEST} is too large to be one")
    found = json.loads(archive.read(entries[MANIFEST]))
    if (found.get("format"), found.get("version")) != ("nmtune-bundle", 1):
        raise ValueError(f"{MANIFEST} is not of version 1: is there a newer client?")
    listed = set(found["files"])
    if listed != set(names) - {MANIFEST}:
        odd = sorted(listed ^ (set(names) - {MANIFEST}))
        raise ValueError(f"files and {MANIFEST} differ in {', '.join(odd[:5])}")
    missing = [name for name in NEEDED if name not in listed]
    if missing:
        raise ValueError(f"it lacks {', '.join(missing)}")
    manifest: dict[str, Any] = found
    return manifest


def _head_name(manifest: Mapping[str, Any]) -> str:
    head = manifest["head"]
    return f"{str(head['name'])[:64]}@{int(head['version'])}"


def _files(
    archive: zipfile.ZipFile, entries: Mapping[str, zipfile.ZipInfo], manifest: Mapping[str, Any]
) -> dict[str, bytes]:
    """The files that are looked into; all of them have the size and hash of the manifest."""
    if sum(entry.file_size for entry in entries.values()) > MOST_BYTES:
        raise ValueError(f"it is larger than {MOST_BYTES >> 30} GiB")
    kept = {}
    for name, listed in manifest["files"].items():
        if entries[name].file_size != listed["size_bytes"]:
            raise ValueError(f"{name} does not have the size that {MANIFEST} says")
        digest, parts = hashlib.sha256(), []
        with archive.open(entries[name]) as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
                if name in NEEDED:
                    parts.append(chunk)
        if digest.hexdigest() != listed["sha256"]:
            raise ValueError(f"{name} does not have the sha256 that {MANIFEST} says")
        if name in NEEDED:
            kept[name] = b"".join(parts)
    return kept


def _check_head(
    files: Mapping[str, bytes], manifest: Mapping[str, Any], report: BundleReport
) -> None:
    digest = hashlib.sha256(files["head.safetensors"]).hexdigest()
    if manifest["head"]["sha256"] == digest:
        report.checks.append(f"the head is the registry's {report.head}, sha256 {digest}")
    else:
        report.problems.append("head.safetensors is not the head that the manifest names")


_EARLIER_RUNNERS = frozenset(
    {
        "e58579c70df93ac562a7320477147d813a659e61bc1f3900e7f7dfa04b8ac05b",
        "358e7fe83325b13f403bd37f18e5d24580b1c4c123125235227ea15137572256",
        "edd091ecc0253d19a3f3fb84d1e242f779cc50c2ed84d4d35174847e2e381ce4",
    }
)
"""The sha256 of each runner that earlier servers put into bundles; the rows are tried by ours."""


def _check_runner(source: bytes, report: BundleReport) -> None:
    if source == runner_source():
        report.checks.append("run.py is the runner that this client knows, byte for byte")
    elif hashlib.sha256(source).hexdigest() in _EARLIER_RUNNERS:
        report.checks.append("run.py is the runner of an earlier version, byte for byte")
    else:
        report.problems.append(
            "run.py is not the runner that this client knows, and was not run: it is of another "
            "version or was changed. Read it before you run it, or update the client"
        )


def runner_source() -> bytes:
    """The runner that this client knows."""
    return Path(runner.__file__).read_bytes()


def _check_rows(data: bytes) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    with zipfile.ZipFile(io.BytesIO(data)) as inner:
        if sum(entry.file_size for entry in inner.infolist()) > _MOST_CHECK_BYTES:
            raise ValueError("check.npz is too large to be one")
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        x, expected = arrays["x"], arrays["probabilities"]
    is_float = x.dtype == np.float32 and expected.dtype == np.float32
    if not is_float or x.ndim != 2 or expected.ndim != 2 or not 1 <= len(x) == len(expected):
        raise ValueError("check.npz does not hold rows and their probabilities")
    return x, expected


def _check_numpy(
    head: bytes, x: NDArray[np.float32], expected: NDArray[np.float32], report: BundleReport
) -> None:
    _compare("the numpy runner", runner.Head(head).predict_proba(x), expected, report)


def _check_onnx(
    model: bytes, x: NDArray[np.float32], expected: NDArray[np.float32], report: BundleReport
) -> None:
    if _ONNX_LOCATION in model:
        report.problems.append("model.onnx takes values from other files, and was not run")
        return
    try:
        # By name: this client needs no onnxruntime.
        onnxruntime = importlib.import_module("onnxruntime")
    except ImportError:
        report.skipped.append("ONNX was not run: onnxruntime is not installed")
        return
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        (found,) = session.run(["probabilities"], {"embeddings": x})
    except Exception as error:  # noqa: BLE001  onnxruntime's errors have no common base
        report.problems.append(f"model.onnx does not run: {str(error)[:200]}")
        return
    _compare(f"ONNX by onnxruntime {onnxruntime.__version__}", np.asarray(found), expected, report)


def _compare(
    what: str, found: NDArray[Any], expected: NDArray[np.float32], report: BundleReport
) -> None:
    """The rule of the server: 1e-5, and the same class unless the two best are that close."""
    if found.shape != expected.shape:
        report.problems.append(f"{what} gives the shape {found.shape}, not {expected.shape}")
        return
    error = float(np.abs(found - expected).max())
    best = np.sort(expected, axis=1)
    is_clear = best[:, -1] - best[:, -2 if best.shape[1] > 1 else -1] > TOLERANCE
    differs = (found.argmax(axis=1) != expected.argmax(axis=1)) & is_clear
    if not error <= TOLERANCE or differs.any():
        report.problems.append(
            f"{what} does not say of check.npz what the head said: a probability differs by "
            f"{error:.2g}, {int(differs.sum())} rows get another class"
        )
    else:
        report.checks.append(
            f"{what} says of {len(found)} rows what the head said (largest difference {error:.1g})"
        )

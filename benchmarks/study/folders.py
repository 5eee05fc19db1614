"""Read standard folders of pictures: Tiny-ImageNet, CIFAR-10 in three layouts, and class folders.

Every picture becomes 3 x 32 x 32 bytes. Pictures of another size are scaled with an area filter.
"""

import io
import pickle  # only CIFAR's own files, and only arrays out of them: see _ArraysOnly
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.study.task import TEST, TRAIN, DataMissingError, Rows

SIDE: Final = 32
_SUFFIXES: Final = {".jpg", ".jpeg", ".png"}
_MAX_PIXELS: Final = 4096 * 4096

Bytes = NDArray[np.uint8]


def tiny_imagenet(
    folder: Path, *, n_classes: int | None, rows_of_a_class: int | None
) -> dict[str, Rows]:
    """`train` and `test` (its labelled `val`), of the first classes of `wnids.txt`."""
    names = _lines(folder / "wnids.txt")[:n_classes]
    index = {name: number for number, name in enumerate(names)}
    train = [
        (path, index[name])
        for name in names
        for path in _pictures(folder / "train" / name / "images")[:rows_of_a_class]
    ]
    places = folder / "val/images"
    test = []
    for line in _lines(folder / "val/val_annotations.txt"):
        name, label, *_ = line.split("\t")
        if label in index:
            test.append((places / name, index[label]))
    return {TRAIN: rows_of(train), TEST: rows_of(test)}


def cifar10(
    folder: Path, *, rows_of_a_class: int | None = None
) -> tuple[dict[str, Rows], tuple[str, ...]]:
    """`train` and `test`, and the classes' names.

    rows_of_a_class: of class folders no more than so many are read, the first by name.

    Layouts: `cifar-10-batches-py` (torchvision's), `cifar-10-batches-bin`, and `train/CLASS/*.png`
    beside `test/CLASS/*.png`.
    """
    if (folder / "cifar-10-batches-py").is_dir():
        return _python_batches(folder / "cifar-10-batches-py")
    if (folder / "cifar-10-batches-bin").is_dir():
        return _binary_batches(folder / "cifar-10-batches-bin")
    names = _subfolders(folder / "train")
    found = {
        split: class_folders(folder / split, names, rows_of_a_class) for split in (TRAIN, TEST)
    }
    return found, tuple(names)


def class_folders(folder: Path, names: Sequence[str], rows_of_a_class: int | None = None) -> Rows:
    """The pictures of `folder/CLASS/`, for the classes that have a folder."""
    listed = [
        (path, number)
        for number, name in enumerate(names)
        if (folder / name).is_dir()
        for path in _pictures(folder / name)[:rows_of_a_class]
    ]
    if not listed:
        raise DataMissingError(
            f"{folder} has no picture in a folder of a class: {', '.join(names)}"
        )
    return rows_of(listed)


def rows_of(listed: Sequence[tuple[Path, int]]) -> Rows:
    """Pictures (n, 3, 32, 32) uint8 with their classes."""
    x = np.stack([picture(path) for path, _ in listed])
    return Rows(torch.from_numpy(x), torch.tensor([label for _, label in listed]))


def picture(path: Path) -> Bytes:
    """(3, 32, 32) of one file. Raises DataMissingError that names the file if it cannot be read."""
    try:
        from PIL import Image
    except ModuleNotFoundError:
        raise DataMissingError("pictures need Pillow: pip install --group study") from None
    try:
        with Image.open(path, formats=("JPEG", "PNG")) as opened:
            if opened.width * opened.height > _MAX_PIXELS:
                raise DataMissingError(f"{path} has more than {_MAX_PIXELS:,} pixels")
            image = opened.convert("RGB")
            if image.size != (SIDE, SIDE):
                image = image.resize((SIDE, SIDE), Image.Resampling.BOX)
    except (OSError, ValueError, SyntaxError) as wrong:
        raise DataMissingError(f"{path} is no readable JPEG or PNG picture: {wrong}") from None
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))


class _ArraysOnly(pickle.Unpickler):
    """CIFAR's python version is pickled: take arrays and plain values, and call nothing else."""

    _ALLOWED: Final = {
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("_codecs", "encode"),
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in self._ALLOWED:
            return super().find_class(module.replace("numpy.core", "numpy._core"), name)
        raise DataMissingError(f"a CIFAR file asks for {module}.{name}: it is not the standard one")


def _unpickled(path: Path) -> Mapping[bytes, Any]:
    try:
        found = _ArraysOnly(io.BytesIO(_read(path)), encoding="bytes").load()
    except (pickle.UnpicklingError, EOFError, ValueError, AttributeError, IndexError) as wrong:
        raise DataMissingError(f"{path} is no CIFAR batch: {wrong}") from None
    if not isinstance(found, dict):
        raise DataMissingError(f"{path} is no CIFAR batch: it holds no table")
    return found


def _python_batches(folder: Path) -> tuple[dict[str, Rows], tuple[str, ...]]:
    def read(names: Iterable[str]) -> Rows:
        batches = [_unpickled(folder / name) for name in names]
        try:
            data = np.concatenate([np.asarray(one[b"data"], np.uint8) for one in batches])
            labels = [int(label) for one in batches for label in one[b"labels"]]
        except (KeyError, TypeError, ValueError) as wrong:
            raise DataMissingError(
                f"{folder} has a batch without data or labels: {wrong}"
            ) from None
        return Rows(torch.from_numpy(data.reshape(-1, 3, SIDE, SIDE)), torch.tensor(labels))

    names = _unpickled(folder / "batches.meta")[b"label_names"]
    found = {TRAIN: read(f"data_batch_{n}" for n in range(1, 6)), TEST: read(["test_batch"])}
    return found, tuple(name.decode() for name in names)


def _binary_batches(folder: Path) -> tuple[dict[str, Rows], tuple[str, ...]]:
    def read(names: Iterable[str]) -> Rows:
        raw = np.frombuffer(b"".join(_read(folder / name) for name in names), np.uint8)
        width = 1 + 3 * SIDE * SIDE
        if len(raw) == 0 or len(raw) % width:
            raise DataMissingError(f"{folder}: a batch is not whole records of {width} bytes")
        records = raw.reshape(-1, width)
        x = torch.from_numpy(records[:, 1:].reshape(-1, 3, SIDE, SIDE).copy())
        return Rows(x, torch.from_numpy(records[:, 0].astype(np.int64)))

    names = _lines(folder / "batches.meta.txt")
    train = read(f"data_batch_{n}.bin" for n in range(1, 6))
    return {TRAIN: train, TEST: read(["test_batch.bin"])}, tuple(names)


def _pictures(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise DataMissingError(f"{folder} is missing")
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)
    if not found:
        raise DataMissingError(f"{folder} has no JPEG or PNG picture")
    return found


def _subfolders(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise DataMissingError(f"{folder} is missing")
    return sorted(path.name for path in folder.iterdir() if path.is_dir())


def _lines(path: Path) -> list[str]:
    return [line for line in _read(path).decode("utf-8", "replace").splitlines() if line.strip()]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        raise DataMissingError(f"{path} cannot be read") from None

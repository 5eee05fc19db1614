"""Folders of pictures are read in every standard layout, and what is wrong in one is named."""

import io
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.study import folders, pictures
from benchmarks.study.task import DataMissingError, Rows

Image = pytest.importorskip("PIL.Image")
CLASSES = ("cat", "dog", "frog")


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def pixels() -> np.ndarray:
    """(6, 32, 32, 3): two pictures for each of three classes."""
    return np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)


def as_folders(root: Path, pixels: np.ndarray) -> None:
    for split in ("train", "test"):
        for index, one in enumerate(pixels):
            save(root / split / CLASSES[index % 3] / f"{index}.png", one)


def as_python(root: Path, pixels: np.ndarray) -> None:
    folder = root / "cifar-10-batches-py"
    folder.mkdir()
    batch = {b"data": flat(pixels), b"labels": [index % 3 for index in range(len(pixels))]}
    for n in range(1, 6):
        own = slice(n - 1, None if n == 5 else n)
        part = {name: values[own] for name, values in batch.items()}
        (folder / f"data_batch_{n}").write_bytes(pickle.dumps(part, protocol=2))
    (folder / "test_batch").write_bytes(pickle.dumps(batch, protocol=2))
    names = {b"label_names": [name.encode() for name in CLASSES]}
    (folder / "batches.meta").write_bytes(pickle.dumps(names, protocol=2))


def as_binary(root: Path, pixels: np.ndarray) -> None:
    folder = root / "cifar-10-batches-bin"
    folder.mkdir()
    labels = (np.arange(len(pixels)) % 3).astype(np.uint8)[:, None]
    records = np.concatenate([labels, flat(pixels)], axis=1)
    for n in range(1, 6):
        own = records[n - 1 : None if n == 5 else n]
        (folder / f"data_batch_{n}.bin").write_bytes(own.tobytes())
    (folder / "test_batch.bin").write_bytes(records.tobytes())
    (folder / "batches.meta.txt").write_text("\n".join(CLASSES) + "\n\n")


def flat(pixels: np.ndarray) -> np.ndarray:
    return pixels.transpose(0, 3, 1, 2).reshape(len(pixels), -1)


@pytest.mark.parametrize("write", [as_folders, as_python, as_binary])
def test_cifar_is_the_same_in_every_layout(
    write: Callable[[Path, np.ndarray], None], tmp_path: Path, pixels: np.ndarray
) -> None:
    write(tmp_path, pixels)
    found, classes = folders.cifar10(tmp_path)
    assert classes == CLASSES
    wanted = torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy())
    for split in ("train", "test"):
        order = torch.argsort(found[split].y, stable=True)
        assert torch.equal(found[split].x[order], wanted[[0, 3, 1, 4, 2, 5]])
        assert sorted(found[split].y.tolist()) == [0, 0, 1, 1, 2, 2]


def test_a_pickle_that_calls_something_is_refused(tmp_path: Path, pixels: np.ndarray) -> None:
    as_python(tmp_path, pixels)
    ran = tmp_path / "ran"

    class Hostile:
        def __reduce__(self) -> tuple[object, tuple[str, ...]]:
            return open, (str(ran), "w")

    path = tmp_path / "cifar-10-batches-py/test_batch"
    path.write_bytes(pickle.dumps({b"data": Hostile()}))
    with pytest.raises(DataMissingError, match="it is not the standard one"):
        folders.cifar10(tmp_path)
    assert not ran.exists()


def tiny_imagenet(root: Path, pixels: np.ndarray) -> None:
    (root / "val").mkdir(parents=True)
    (root / "wnids.txt").write_text("n02\nn01\nn03\n")
    for name, one in zip(("n02", "n01", "n03"), pixels, strict=False):
        save(root / "train" / name / "images" / f"{name}_0.JPEG", one)
        save(root / "train" / name / "images" / f"{name}_1.JPEG", one)
        save(root / "val/images" / f"val_{name}.JPEG", one)
    lines = [f"val_{name}.JPEG\t{name}\t0\t0\t62\t62\n" for name in ("n01", "n02", "n03")]
    (root / "val/val_annotations.txt").write_text("".join(lines))


def test_tiny_imagenet_is_numbered_by_its_list(tmp_path: Path, pixels: np.ndarray) -> None:
    tiny_imagenet(tmp_path, pixels)
    found = folders.tiny_imagenet(tmp_path, n_classes=2, rows_of_a_class=1)
    assert found["train"].y.tolist() == [0, 1]
    assert found["test"].y.tolist() == [1, 0]
    assert torch.equal(found["test"].x[1], found["train"].x[0])


def test_pictures_of_another_size_or_mode_are_brought_to_32_by_32(tmp_path: Path) -> None:
    for name, pixels in {"large": np.zeros((64, 64, 3)), "grey": np.zeros((32, 32))}.items():
        pixels[:32] = 200
        save(tmp_path / f"{name}.png", pixels.astype(np.uint8))
    large = folders.picture(tmp_path / "large.png")
    assert large.shape == (3, 32, 32)
    assert (large[:, :16] == 200).all()
    assert (large[:, 16:] == 0).all()
    assert (folders.picture(tmp_path / "grey.png") == 200).all()


def test_what_is_wrong_is_named(tmp_path: Path, pixels: np.ndarray) -> None:
    with pytest.raises(DataMissingError, match=r"wnids.txt cannot be read"):
        folders.tiny_imagenet(tmp_path, n_classes=None, rows_of_a_class=None)
    as_folders(tmp_path, pixels)
    (tmp_path / "test/dog/4.png").write_bytes(b"GIF89a no picture")
    with pytest.raises(DataMissingError, match=r"test/dog/4.png is no readable JPEG or PNG"):
        folders.cifar10(tmp_path)
    stream = io.BytesIO()
    Image.fromarray(pixels[0]).save(stream, "PNG")
    (tmp_path / "test/dog/4.png").write_bytes(stream.getvalue()[:200])
    with pytest.raises(DataMissingError, match=r"4.png is no readable"):
        folders.cifar10(tmp_path)


def test_a_broken_binary_batch_is_named(tmp_path: Path, pixels: np.ndarray) -> None:
    as_binary(tmp_path, pixels)
    (tmp_path / "cifar-10-batches-bin/test_batch.bin").write_bytes(b"\0" * 100)
    with pytest.raises(DataMissingError, match="not whole records of 3073 bytes"):
        folders.cifar10(tmp_path)


def test_corruptions_are_the_same_each_time_and_keep_the_classes() -> None:
    random = torch.Generator().manual_seed(0)
    x = torch.randint(256, (9, 3, 32, 32), generator=random, dtype=torch.uint8)
    rows = Rows(x, torch.arange(9))
    first, second = pictures.corrupted(rows), pictures.corrupted(rows)
    assert set(first) == {f"ood_{name}" for name in pictures.CORRUPTIONS}
    for name, one in first.items():
        assert torch.equal(one.x, second[name].x)
        assert torch.equal(one.y, rows.y)


@pytest.mark.parametrize("name", pictures.CORRUPTIONS)
def test_a_stronger_corruption_changes_a_picture_more(name: str) -> None:
    places = torch.linspace(0, 6, 32)
    smooth = 0.5 + 0.25 * torch.sin(places)[:, None] * torch.cos(2 * places)
    grain = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    x = 0.7 * smooth + 0.3 * grain
    change = pictures.CORRUPTIONS[name]
    moved = [
        float((change(x, strength, torch.Generator().manual_seed(0)) - x).square().mean())
        for strength in pictures.STRENGTHS
    ]
    assert 0 < moved[0] < moved[1] < moved[2] < 0.1

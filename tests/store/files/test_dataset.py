"""Dataset files: what is written is what any safetensors reader sees; damage is a clean error."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file, save

from store.errors import InvalidDatasetFile, StorageUnavailable
from store.files.dataset import DatasetFile, DatasetWriter

CLASSES = ["Katze", "chien", "鳥", 'quote"d']
SPLITS = [("train", 7), ("test", 3), ("ood/art_painting", 5)]


def arrays(n_columns: int, dtype: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    random = np.random.default_rng(0)
    return {
        name: (
            random.standard_normal((n_rows, n_columns)).astype(dtype),
            random.integers(0, len(CLASSES), n_rows),
        )
        for name, n_rows in SPLITS
    }


def write(path: Path, data: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    first = next(iter(data.values()))[0]
    with DatasetWriter(
        path, classes=CLASSES, n_columns=first.shape[1], dtype=first.dtype, splits=SPLITS
    ) as writer:
        for name, (x, y) in data.items():
            writer.x(name)[:] = x
            writer.y(name)[:] = y


@pytest.fixture
def good(tmp_path: Path) -> bytes:
    write(tmp_path / "good", arrays(5, "float16"))
    return (tmp_path / "good").read_bytes()


def reopened(tmp_path: Path, content: bytes) -> DatasetFile:
    path = tmp_path / "changed"
    path.write_bytes(content)
    return DatasetFile.open(path)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("n_columns", [1, 3, 16])
def test_reads_back_what_was_written(tmp_path: Path, dtype: str, n_columns: int) -> None:
    data = arrays(n_columns, dtype)
    write(tmp_path / "d", data)
    opened = DatasetFile.open(tmp_path / "d")
    assert opened.classes == tuple(CLASSES)
    assert opened.n_columns == n_columns
    assert opened.dtype == dtype
    assert list(opened.splits) == [name for name, _ in SPLITS]
    for name, (x, y) in data.items():
        split = opened.splits[name]
        assert split.x.dtype == dtype
        assert split.x.flags.aligned
        assert split.y.flags.aligned
        assert not split.x.flags.writeable
        np.testing.assert_array_equal(split.x, x)
        np.testing.assert_array_equal(split.y, y)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_the_safetensors_library_reads_equal_arrays(tmp_path: Path, dtype: str) -> None:
    data = arrays(3, dtype)
    write(tmp_path / "d", data)
    loaded = load_file(tmp_path / "d")
    assert len(loaded) == 2 * len(SPLITS)
    for name, (x, y) in data.items():
        np.testing.assert_array_equal(loaded[f"{name}/x"], x)
        np.testing.assert_array_equal(loaded[f"{name}/y"], y)
    with safe_open(tmp_path / "d", framework="numpy") as file:
        metadata = file.metadata()
    assert metadata["format"] == "nmtune-dataset"
    assert metadata["version"] == "1"
    assert json.loads(metadata["classes"]) == CLASSES


def test_reads_what_the_safetensors_library_wrote(tmp_path: Path) -> None:
    content = save(
        {"train/x": np.ones((2, 3), np.float32), "train/y": np.array([0, 1])},
        metadata={"format": "nmtune-dataset", "version": "1", "classes": '["a", "b"]'},
    )
    assert reopened(tmp_path, content).splits["train"].y.tolist() == [0, 1]


def test_the_same_arrays_make_the_same_bytes(tmp_path: Path) -> None:
    for name in "ab":
        write(tmp_path / name, arrays(4, "float32"))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_pages_given_back_keep_their_bytes(tmp_path: Path) -> None:
    with DatasetWriter(
        tmp_path / "d", classes=["a", "b"], n_columns=2, dtype="f4", splits=[("train", 2)]
    ) as writer:
        writer.x("train")[0] = [1, 2]
        writer.release()
        writer.x("train")[1] = [3, 4]
        writer.y("train")[:] = [0, 1]
        writer.release()
    assert DatasetFile.open(tmp_path / "d").splits["train"].x.tolist() == [[1, 2], [3, 4]]


def test_a_failed_writing_leaves_no_file(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match="stop"),
        DatasetWriter(
            tmp_path / "d", classes=["a", "b"], n_columns=2, dtype="f4", splits=[("train", 2)]
        ),
    ):
        raise RuntimeError("stop")
    assert not list(tmp_path.iterdir())


def test_no_room_is_an_error_and_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable, match="disk space"):
        DatasetWriter(
            tmp_path / "d", classes=["a", "b"], n_columns=2**20, dtype="f4", splits=[("t", 2**38)]
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "wrong",
    [
        {"dtype": "float64"},
        {"n_columns": 0},
        {"splits": []},
        {"splits": [("train", 0)]},
        {"splits": [("train", 1), ("train", 1)]},
    ],
)
def test_a_layout_that_cannot_be_is_refused(tmp_path: Path, wrong: dict[str, object]) -> None:
    layout: dict[str, object] = {
        "classes": ["a", "b"],
        "n_columns": 1,
        "dtype": "float32",
        "splits": [("train", 1)],
    }
    with pytest.raises(ValueError, match=r"must|at least"):
        DatasetWriter(tmp_path / "d", **(layout | wrong))  # type: ignore[arg-type]  # on purpose
    assert not list(tmp_path.iterdir())


def with_header(good: bytes, change: object) -> bytes:
    """The same file with its parsed header passed through `change`."""
    length = int.from_bytes(good[:8], "little")
    header = json.loads(good[8 : 8 + length])
    changed = change(header) or header  # type: ignore[operator]  # a callable
    text = json.dumps(changed).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + good[8 + length :]


def made_of(x_at: tuple[int, int], y_at: tuple[int, int], size: int) -> bytes:
    """A file of one float16 row and its label at places of our choice."""
    metadata = {"format": "nmtune-dataset", "version": "1", "classes": '["a", "b"]'}
    n_columns = (x_at[1] - x_at[0]) // 2
    header = {
        "__metadata__": metadata,
        "train/x": {"dtype": "F16", "shape": [1, n_columns], "data_offsets": x_at},
        "train/y": {"dtype": "I64", "shape": [1], "data_offsets": y_at},
    }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + bytes(size)


def test_places_in_any_order_without_gaps_are_read(tmp_path: Path) -> None:
    for x_at, y_at in [((0, 8), (8, 16)), ((8, 16), (0, 8))]:
        assert reopened(tmp_path, made_of(x_at, y_at, 16)).splits["train"].x.shape == (1, 4)


def classes(value: str) -> object:
    return lambda header: header["__metadata__"].__setitem__("classes", value)


DAMAGED = {
    "empty": lambda _: b"",
    "only a length": lambda good: good[:8],
    "not ours": lambda _: b"PK\x03\x04" + bytes(400),
    "header longer than the file": lambda good: (1 << 60).to_bytes(8, "little") + good[8:],
    "header length off by one": lambda good: (
        (int.from_bytes(good[:8], "little") + 1).to_bytes(8, "little") + good[8:]
    ),
    "truncated": lambda good: good[:-1],
    "trailing": lambda good: good + b"\0",
    "header is a list": lambda good: with_header(good, lambda _: [1]),
    "header is deep": lambda _: (80_000).to_bytes(8, "little") + b"[" * 80_000 + b"]" * 80_000,
    "no metadata": lambda good: with_header(good, lambda h: h.pop("__metadata__") and None),
    "other version": lambda good: good.replace(b'"version":"1"', b'"version":"2"'),
    "classes no JSON": lambda good: with_header(good, classes("[")),
    "classes no list": lambda good: with_header(good, classes('"ab"')),
    "classes repeated": lambda good: with_header(good, classes('["a", "a", "b", "c"]')),
    "classes too few for the labels": lambda good: with_header(good, classes('["a"]')),
    "huge shape": lambda good: with_header(good, lambda h: h["train/x"].update(shape=[1 << 62, 4])),
    "shape True": lambda good: with_header(good, lambda h: h["train/x"].update(shape=[True, 35])),
    "negative": lambda good: with_header(good, lambda h: h["train/x"].update(shape=[-7, -5])),
    "one dimension": lambda good: with_header(good, lambda h: h["train/x"].update(shape=[35])),
    "turned": lambda good: with_header(good, lambda h: h["train/x"].update(shape=[5, 7])),
    "other dtype": lambda good: with_header(good, lambda h: h["train/x"].update(dtype="BF16")),
    "dtype a list": lambda good: with_header(good, lambda h: h["train/x"].update(dtype=["F16"])),
    "no labels": lambda good: with_header(good, lambda h: h.pop("train/y") and None),
    "stray tensor": lambda good: with_header(good, lambda h: h.update(z=h.pop("test/x"))),
    "overlap": lambda good: with_header(
        good, lambda h: h["test/y"].update(data_offsets=h["train/y"]["data_offsets"])
    ),
    "gap": lambda _: made_of((0, 8), (16, 24), 24),
    "gap at the start": lambda _: made_of((8, 16), (16, 24), 24),
    "partial overlap": lambda _: made_of((4, 12), (0, 8), 12),
    "not aligned": lambda _: made_of((0, 6), (6, 14), 14),
    "key twice": lambda good: good.replace(b'"test/x"', b'"train/x"').replace(
        b'"test/y"', b'"train/y"'
    ),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_is_an_invalid_dataset_file(tmp_path: Path, good: bytes, name: str) -> None:
    damaged = DAMAGED[name](good)
    assert damaged != good
    with pytest.raises(InvalidDatasetFile) as caught:
        reopened(tmp_path, damaged)
    assert caught.value.code == "invalid_dataset_file"


def test_a_missing_file_is_an_invalid_dataset_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidDatasetFile):
        DatasetFile.open(tmp_path / "nothing")


@pytest.mark.parametrize("label", [-1, len(CLASSES)])
def test_a_label_without_class_is_an_invalid_dataset_file(tmp_path: Path, label: int) -> None:
    data = arrays(2, "float32")
    data["test"][1][1] = label
    write(tmp_path / "d", data)
    with pytest.raises(InvalidDatasetFile, match="'test'"):
        DatasetFile.open(tmp_path / "d")


FUZZ = settings(
    max_examples=150,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def check_contract(tmp_path: Path, content: bytes) -> None:
    try:
        opened = reopened(tmp_path, content)
    except InvalidDatasetFile:
        return
    for split in opened.splits.values():
        assert split.x.shape == (len(split.y), opened.n_columns)
        assert split.y.max() < len(opened.classes)
        assert split.x.nbytes <= len(content)


@FUZZ
@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=5))
def test_any_changed_byte_reads_or_is_refused(
    tmp_path: Path, good: bytes, changes: list[tuple[int, int]]
) -> None:
    content = bytearray(good)
    for place, value in changes:
        content[place % len(content)] = value
    check_contract(tmp_path, bytes(content))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
ENTRY = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F16", "F32", "I64"]) | JSON,
        "shape": st.lists(st.integers(-1, 9), max_size=3) | JSON,
        "data_offsets": st.lists(st.integers(-1, 99), max_size=3) | JSON,
    }
)


@FUZZ
@given(
    st.dictionaries(st.sampled_from(["a/x", "a/y", "b/x", "b/y", "c"]), ENTRY, max_size=4),
    JSON | st.just('["a","b"]'),
    st.binary(max_size=80),
)
@example({}, '["a","b"]', b"")
def test_any_header_reads_or_is_refused(
    tmp_path: Path, entries: dict[str, object], names: object, data: bytes
) -> None:
    metadata = {"format": "nmtune-dataset", "version": "1", "classes": names}
    text = json.dumps({"__metadata__": metadata, **entries}).encode()
    text += b" " * (-len(text) % 8)
    check_contract(tmp_path, len(text).to_bytes(8, "little") + text + data)

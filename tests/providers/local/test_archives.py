"""An encoder in a tar file, whoever packed it."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from providers.errors import InvalidEncoder
from providers.local import files
from providers.local.directory import read_encoder
from tests.support import encoders


def test_an_archive_is_the_encoder_that_its_directory_is(tmp_path: Path) -> None:
    """Ours has the same bytes for the same files; any other tar file leads to the same."""
    folder = encoders.write(tmp_path / "model")
    (folder / "README.md").write_text("not ours to read")
    parts = files.find(folder)
    (tmp_path / "ours.tar").write_bytes(b"".join(files.pack(parts)))
    with tarfile.open(tmp_path / "theirs.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        tar.add(folder, "./a-model")
    with tarfile.open(tmp_path / "ours.tar") as tar:
        assert tar.getnames() == sorted(files.REQUIRED)
    one = read_encoder(folder)
    for name in ("ours.tar", "theirs.tar"):
        other = read_encoder(tmp_path / name)
        assert files.sha256(other.files) == files.sha256(parts)
        for tensor in one.tensors:
            np.testing.assert_array_equal(one.tensors[tensor], other.tensors[tensor])


def archive(*entries: tuple[str, bytes], kind: bytes = tarfile.REGTYPE) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in entries:
            info = tarfile.TarInfo(name)
            info.size, info.type = len(content), kind
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"PK\x03\x04" + bytes(2000), "no tar file"),
        (b"", "config.json is missing"),
        (archive(("../../config.json", b"{}")), "config.json is missing"),
        (archive(("config.json", b"{}"), kind=tarfile.SYMTYPE), "config.json is missing"),
        (archive(("config.json", b"{}"), ("config.json", b"{}")), "twice"),
        (archive(("config.json", bytes(5000)))[:3000], "damaged"),
        (archive(*[(f"{place}", b"") for place in range(10_001)]), "more than 10,000"),
    ],
    ids=["zip", "empty", "outside", "link", "twice", "cut", "many"],
)
def test_hostile_archives_are_refused(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "model.tar").write_bytes(data)
    with pytest.raises(InvalidEncoder, match=message):
        read_encoder(tmp_path / "model.tar")

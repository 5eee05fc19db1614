"""Make .npy and .npz bytes, honest and hostile."""

import io
import struct
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np


def npy(array: Any, **arguments: Any) -> bytes:
    """`array` as numpy itself writes it."""
    file = io.BytesIO()
    np.save(file, array, **arguments)
    return file.getvalue()


def forged_npy(
    shape: str = "(4, 4)",
    *,
    dtype: str = "'<f4'",
    fortran: str = "False",
    data: bytes = bytes(64),
    version: int = 1,
    header: str | None = None,
    header_bytes: int | None = None,
) -> bytes:
    """A .npy that claims what it likes; `header` replaces the whole dictionary."""
    text = header or f"{{'descr': {dtype}, 'fortran_order': {fortran}, 'shape': {shape}, }}"
    encoded = text.encode("latin-1") + b"\n"
    length = len(encoded) if header_bytes is None else header_bytes
    size = struct.pack("<H", length & 0xFFFF) if version == 1 else struct.pack("<I", length)
    return b"\x93NUMPY" + bytes([version, 0]) + size + encoded + data


def npz(arrays: Mapping[str, Any], *, compressed: bool = True) -> bytes:
    """`arrays` as numpy.savez writes them; bytes are taken as finished .npy content."""
    file = io.BytesIO()
    method = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, array in arrays.items():
            content = array if isinstance(array, bytes) else npy(array)
            archive.writestr(f"{name}.npy", content)
    return file.getvalue()


def clouds(n_rows: int = 20, n_columns: int = 3, *, seed: int = 0) -> dict[str, Any]:
    """A whole honest file: two classes of float16 rows in train, test and one domain."""
    rng = np.random.default_rng(seed)
    arrays: dict[str, Any] = {"class_names": np.array(["cat", "dog"])}
    for split in ("train", "test", "ood_sketch"):
        y = np.arange(n_rows) % 2
        x = rng.standard_normal((n_rows, n_columns)) + y[:, None]
        arrays |= {f"{split}_x": x.astype(np.float16), f"{split}_y": y}
    return arrays


def zeros_member(n_bytes: int) -> bytes:
    """A zip with a float32 train_x of `n_bytes` zeros: about a thousandth of that in size."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("train_x.npy", "w", force_zip64=True) as member:
            member.write(forged_npy(f"({n_bytes // 4096}, 1024)", data=b""))
            for _ in range(n_bytes >> 20):
                member.write(bytes(1 << 20))
        archive.writestr("train_y.npy", npy(np.arange(n_bytes // 4096) % 2))
    return file.getvalue()

"""Files that a service must survive, each with the code that it is refused with."""

import io
import zipfile
from typing import Any

import numpy as np

from tests.support.files.arrays import clouds, forged_npy, npy, npz


class _Code:
    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("unpickled",))


def objects() -> bytes:
    array = np.empty((1, 1), object)
    array[0, 0] = _Code()
    return npy(array, allow_pickle=True)  # written, never read


PLAIN = "'descr': '<f4', 'fortran_order': False, 'shape': "
HOSTILE_NPY: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "truncated"),
    "magic alone": (b"\x93NUMPY", "truncated"),
    "a zip": (b"PK\x03\x04" + bytes(100), "not_npy"),
    "version 4": (forged_npy(version=4), "npy_version"),
    "pickled objects": (objects(), "npy_dtype"),
    "40 GB claimed": (forged_npy("(10000000000,)"), "npy_shape"),
    "40 GB claimed, two dimensions": (forged_npy("(10000000000, 1)"), "too_large"),
    "2**62 rows": (forged_npy("(4611686018427387904, 4)"), "too_large"),
    "product wraps to 0": (forged_npy("(4294967296, 4294967296)"), "too_large"),
    "4000 digits": (forged_npy(f"({'9' * 2000}, {'9' * 2000})"), "too_large"),
    "rows within limits, bytes not": (forged_npy("(4000000, 16000)"), "truncated"),
    "negative": (forged_npy("(-1, 4)"), "npy_shape"),
    "no columns": (forged_npy("(1000000000, 0)", data=b""), "npy_shape"),
    "scalar": (forged_npy("()"), "npy_shape"),
    "boolean size": (forged_npy("(True, 4)"), "npy_header"),
    "float size": (forged_npy("(4.0, 4)"), "npy_header"),
    "list as shape": (forged_npy("[4, 4]"), "npy_header"),
    "three dimensions": (forged_npy("(2, 2, 4)"), "npy_shape"),
    "65 dimensions": (forged_npy("(" + "1," * 65 + ")"), "npy_shape"),
    "one dimension": (forged_npy("(16,)"), "npy_shape"),
    "void": (forged_npy(dtype="'|V2147483647'"), "npy_dtype"),
    "sub-array": (forged_npy(dtype="('<f4', (100000, 100000))"), "npy_dtype"),
    "structured": (forged_npy(dtype="[('a','<f4'),('b','<i8')]"), "npy_dtype"),
    "complex": (forged_npy(dtype="'<c16'"), "npy_dtype"),
    "time": (forged_npy(dtype="'<M8[ns]'"), "npy_dtype"),
    "long double": (forged_npy(dtype="'<f16'"), "npy_dtype"),
    "integers": (forged_npy(dtype="'<i4'"), "npy_dtype"),
    "strings": (forged_npy(dtype="'<U1'"), "npy_dtype"),
    "strings of no width": (forged_npy(dtype="'<U0'"), "npy_dtype"),
    "booleans": (forged_npy(dtype="'|b1'"), "npy_dtype"),
    "byte strings": (forged_npy(dtype="'|S4'"), "npy_dtype"),
    "native order": (forged_npy(dtype="'=f4'"), "npy_dtype"),
    "fortran_order a number": (forged_npy(fortran="1"), "npy_header"),
    "a key too many": (forged_npy(header="{" + PLAIN + "(4, 4), 'x': 1}"), "npy_header"),
    "a key too few": (forged_npy(header="{'descr': '<f4', 'shape': (4, 4)}"), "npy_header"),
    "header no dictionary": (forged_npy(header="[1, 2, 3]"), "npy_header"),
    "header is code": (forged_npy(header="__import__('os').system('true')"), "npy_header"),
    "header with escapes": (forged_npy(header="{'\\x64escr': '<f4'}"), "npy_header"),
    "header with NUL": (forged_npy(header="{" + PLAIN + "(4, 4)}\0"), "npy_header"),
    "header 4 GiB": (forged_npy(version=2, header_bytes=0xFFFFFFFF), "npy_header"),
    "header beyond 4096": (forged_npy(header="{" + PLAIN + "(4, 4)}" + " " * 5000), "npy_header"),
    "4000 parentheses": (forged_npy(header="{" + PLAIN + "(" * 4000), "npy_header"),
    "2000 pairs of parentheses": (forged_npy(header="(" * 2000 + ")" * 2000), "npy_header"),
    "2000 pairs of brackets": (forged_npy(header="[" * 2000 + "]" * 2000), "npy_header"),
    "4+1+1+...": (forged_npy(header="{" + PLAIN + "(4" + "+1" * 1900 + ",)}"), "npy_header"),
    "2000 minus signs": (forged_npy(header="-" * 4000 + "1"), "npy_header"),
    "truncated header": (forged_npy(header_bytes=4000), "truncated"),
    "truncated data": (forged_npy(data=bytes(63)), "truncated"),
    "trailing bytes": (forged_npy(data=bytes(65)), "npy_length"),
}


def zipped(members: list[tuple[str, bytes]], **arguments: Any) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", **arguments) as archive:
        for name, content in members:
            info = zipfile.ZipInfo(name)
            info.compress_type = archive.compression
            archive.writestr(info, content)
    return file.getvalue()


def patched(content: bytes, signature: bytes, offset: int, value: bytes) -> bytes:
    """`content` with bytes replaced behind the last `signature`."""
    at = content.rindex(signature) + offset
    return content[:at] + value + content[at + len(value) :]


def clouds_with(**arrays: Any) -> dict[str, Any]:
    return clouds() | arrays


GOOD = npz(clouds())
CENTRAL, END = b"PK\x01\x02", b"PK\x05\x06"
X, Y = npy(np.ones((2, 2))), npy(np.arange(2))
HOSTILE_NPZ: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "not_npz"),
    "text": (b"train_x,train_y\n", "not_npz"),
    "one npy": (npy(np.ones((2, 2))), "not_npz"),
    "a pickle": (b"\x80\x04\x95", "not_npz"),
    "parquet": (b"PAR1" + bytes(40), "not_npz"),
    "zip without end": (GOOD[:100], "damaged_zip"),
    "truncated in the middle": (GOOD[: len(GOOD) // 2], "damaged_zip"),
    "last byte gone": (GOOD[:-1], "damaged_zip"),
    "first half gone": (b"PK" + GOOD[len(GOOD) // 2 :], "damaged_zip"),
    "directory of 4 GiB": (patched(GOOD, END, 12, b"\xff\xff\xff\x7f"), "damaged_zip"),
    "directory beyond the file": (patched(GOOD, END, 16, b"\xff\xff\xff\x7f"), "damaged_zip"),
    "local header elsewhere": (patched(GOOD, CENTRAL, 42, b"\xff\xff\x00\x00"), "damaged_zip"),
    "wrong checksum": (patched(GOOD, CENTRAL, 16, b"\0\0\0\0"), "damaged_zip"),
    "directory says 100 bytes": (
        patched(zipped([("train_y.npy", Y), ("train_x.npy", X)]), CENTRAL, 24, b"\x64\0\0\0"),
        "damaged_zip",
    ),
    "encrypted": (patched(GOOD, CENTRAL, 8, b"\x01\x00"), "encrypted_zip"),
    "bzip2": (zipped([("train_x.npy", X)], compression=zipfile.ZIP_BZIP2), "zip_method"),
    "lzma": (zipped([("train_x.npy", X)], compression=zipfile.ZIP_LZMA), "zip_method"),
    "no zip method": (patched(GOOD, CENTRAL, 10, b"\x63\x00"), "zip_method"),
    "parent folder": (zipped([("../train_x.npy", X)]), "unexpected_member"),
    "absolute": (zipped([("/train_x.npy", X)]), "unexpected_member"),
    "backslash": (zipped([("a\\train_x.npy", X)]), "unexpected_member"),
    "drive": (zipped([("c:train_x.npy", X)]), "unexpected_member"),
    "folder": (zipped([("a/", b"")]), "unexpected_member"),
    "nested zip": (zipped([("inner.npz", GOOD)]), "unexpected_member"),
    "zip named npy": (zipped([("train_x.npy", GOOD)]), "not_npy"),
    "pickle inside": (
        zipped([("train_x.npy", npy(np.array([[None]]), allow_pickle=True))]),
        "npy_dtype",
    ),
    "structured": (zipped([("train_x.npy", forged_npy(dtype="[('a','<f4')]"))]), "npy_dtype"),
    "data cut off": (
        npz({"train_x": forged_npy(data=bytes(60)), "train_y": np.arange(4)}),
        "truncated",
    ),
    "data too long": (
        npz({"train_x": forged_npy(data=bytes(68)), "train_y": np.arange(4) % 2}),
        "npy_length",
    ),
    "64 TiB claimed": (npz(clouds_with(train_x=forged_npy("(4000000, 16000)"))), "too_large"),
    "2 GiB claimed": (npz(clouds_with(train_x=forged_npy("(131072, 4096)"))), "suspicious_ratio"),
    "6 million rows": (npz(clouds_with(train_x=forged_npy("(6000000, 1)"))), "too_large"),
    "6 million labels": (
        npz(clouds_with(train_y=forged_npy("(6000000,)", dtype="'<i8'"))),
        "length_mismatch",
    ),
    "2**62 labels": (
        npz(clouds_with(train_y=forged_npy(f"({2**62},)", dtype="'<i8'"))),
        "too_large",
    ),
    "4096 characters a label": (
        npz(clouds_with(train_y=forged_npy("(50000,)", dtype="'<U4096'"))),
        "too_large",
    ),
    "65 members": (zipped([(f"ood_{i}_x.npy", X) for i in range(65)]), "too_many_members"),
    "50,000 members": (zipped([(f"{i}.npy", b"") for i in range(50_000)]), "damaged_zip"),
}  # fmt: skip

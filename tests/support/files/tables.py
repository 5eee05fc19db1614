"""What the tests of tables share: the same rows in each format, and wrong files with codes."""

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import save

from service.ingest.dataset.decoded import Decoded
from service.ingest.formats import detect
from service.ingest.isolate import decode
from service.ingest.isolate.sandbox import TEXT_FACTOR
from service.ingest.names.columns import Wanted, as_json
from tests.support.files.arrays import npy

N_ROWS, N_COLUMNS = 60, 5
X = np.random.default_rng(0).standard_normal((N_ROWS, N_COLUMNS)).astype(np.float32)
Y = [["cat", "dog", "eel"][row % 3] for row in range(N_ROWS)]
FAMILY = [f"dim_{column}" for column in range(N_COLUMNS)]


def parquet(columns: dict[str, Any], **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink, **options)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def lists(x: Any = X, kind: Any = None) -> Any:
    return pa.array([list(row) for row in x], pa.list_(kind or pa.float32()))


def csv_of(
    x: Any = X, y: Any = Y, *, delimiter: str = ",", end: str = "\n", names: Any = FAMILY
) -> bytes:
    lines = [delimiter.join(["label", *names])]
    lines += [
        delimiter.join([str(label), *map(str, row.tolist())])
        for label, row in zip(y, x, strict=True)
    ]
    return (end.join(lines) + end).encode()


def csv_of_lists(write: Any = json.dumps) -> bytes:
    lines = [f'{label},"{write(row.tolist())}"' for label, row in zip(Y, X, strict=True)]
    return "\n".join(["label,embedding", *lines]).encode()


def jsonl_of(**more: Any) -> bytes:
    rows = ({"embedding": x.tolist(), "label": y} | more for x, y in zip(X, Y, strict=True))
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def tensors(dtype: str) -> bytes:
    """`embeddings` and `labels` as safetensors; bfloat16 by cutting float32."""
    classes = json.dumps(["cat", "dog", "eel"])
    arrays = {"embeddings": X, "labels": np.arange(N_ROWS) % 3}
    if dtype == "bfloat16":
        content = save(arrays | {"embeddings": cut(X).view("<u4") >> 16}, {"class_names": classes})
        return _as_bfloat16(content)
    arrays["embeddings"] = X.astype(dtype)
    return save(arrays, {"class_names": classes})


def cut(x: Any) -> Any:
    """What bfloat16 keeps of float32, towards zero."""
    return (x.view("<u4") & 0xFFFF0000).view("<f4")


def _as_bfloat16(content: bytes) -> bytes:
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    (begin, end), start = header["embeddings"]["data_offsets"], 8 + length
    halves = np.frombuffer(content[start + begin : start + end], "<u4").astype("<u2").tobytes()
    labels_begin, labels_end = header["labels"]["data_offsets"]
    labels = content[start + labels_begin : start + labels_end]
    entries = {
        "__metadata__": header["__metadata__"],
        "embeddings": header["embeddings"] | {"dtype": "BF16", "data_offsets": [0, len(halves)]},
        "labels": header["labels"] | {"data_offsets": [len(halves), len(halves) + len(labels)]},
    }
    text = json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text + halves + labels


SAME: dict[str, tuple[str, bytes]] = {
    "parquet, lists": ("a.parquet", parquet({"embedding": lists(), "label": Y})),
    "parquet, float64 lists": (
        "a.parquet",
        parquet({"embedding": lists(kind=pa.float64()), "label": Y}),
    ),
    "parquet, large lists": (
        "a.parquet",
        parquet({"embedding": pa.array(list(X), pa.large_list(pa.float32())), "label": Y}),
    ),
    "parquet, fixed size": (
        "a.pq",
        parquet(
            {
                "embedding": pa.FixedSizeListArray.from_arrays(pa.array(X.ravel()), N_COLUMNS),
                "label": pa.array(Y).dictionary_encode(),
            }
        ),
    ),
    "parquet, columns": (
        "a.parquet",
        parquet(dict(zip(FAMILY, X.T, strict=True)) | {"label": Y}, row_group_size=7),
    ),
    "csv, columns": ("a.csv", csv_of()),
    "csv, semicolons": ("a.csv", csv_of(delimiter=";")),
    "tsv": ("a.tsv", csv_of(delimiter="\t")),
    "csv, CRLF and a byte order mark": ("a.csv", b"\xef\xbb\xbf" + csv_of(end="\r\n")),
    "csv, columns out of order": ("a.csv", csv_of(X[:, ::-1], names=FAMILY[::-1])),
    "csv, from 1": ("a.csv", csv_of(names=[f"{n}" for n in range(1, 6)])),
    "csv, lists": ("a.csv", csv_of_lists()),
    "csv, printed by numpy": (
        "a.csv",
        csv_of_lists(lambda row: "[" + "\n ".join(map(str, row)) + "]"),
    ),
    "csv, gzip": ("a.csv.gz", gzip.compress(csv_of())),
    "csv, gzip in two members": (
        "a.csv.gz",
        gzip.compress(csv_of()[:100]) + gzip.compress(csv_of()[100:]),
    ),
    "csv, zstd": ("a.csv.zst", pa.compress(csv_of(), codec="zstd", asbytes=True)),
    "jsonl": ("a.jsonl", jsonl_of()),
    "jsonl, more fields": ("a.ndjson", jsonl_of(id=1, text="a", weight=1.0)),
    "jsonl, blank lines, no last end": (
        "a.jsonl",
        b"\n" + jsonl_of().replace(b"\n", b"\r\n\n").strip(),
    ),
    "jsonl, gzip": ("a.jsonl.gz", gzip.compress(jsonl_of())),
    "jsonl, zstd": ("a.jsonl.zst", pa.compress(jsonl_of(), codec="zstd", asbytes=True)),
    "safetensors": ("a.safetensors", tensors("float32")),
    "safetensors, float64": ("a.safetensors", tensors("float64")),
}


def jsonl(*lines: str) -> bytes:
    return "\n".join(lines).encode()


ROW = '{"embedding": [1.0, 2.0], "label": "a"}'
NESTED = '{"embedding": ' + "[" * 5000 + "]" * 5000 + ', "label": "a"}'


def header_only(header: Any, data: bytes = bytes(64), length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def tensor(dtype: str = "F32", shape: Any = (4, 4), offsets: Any = (0, 64)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def _null_list() -> bytes:
    return parquet({"embedding": pa.array([[1.0, 2.0], None]), "label": ["a", "b"]})


def _feather() -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, pa.schema([("label", pa.string())])):
        pass
    return sink.getvalue()


Bad = tuple[str, bytes, str, str, int | None, int | None]
BAD: dict[str, Bad] = {
    "empty": ("a.csv", b"", "no_rows", "file", None, None),
    "pickle": ("a.csv", b"\x80\x04\x95\x00", "refused_format", "file", None, None),
    "arrow file": ("a.parquet", _feather(), "refused_format", "file", None, None),
    "arrow stream": ("a", b"\xff\xff\xff\xff\0\0\0\0", "refused_format", "file", None, None),
    "hdf5": ("a.h5", b"\x89HDF\r\n", "refused_format", "file", None, None),
    "utf-16": ("a.csv", "label,a0,a1\n".encode("utf-16"), "refused_format", "file", None, None),
    "binary": ("a", b"abc\0\1\2", "unknown_format", "file", None, None),
    "gzip of what?": ("a.gz", gzip.compress(csv_of()), "unknown_format", "file", None, None),
    "gzip of parquet": ("a.parquet.gz", gzip.compress(b"PAR1"), "not_parquet", "file", None, None),
    "csv called parquet": ("a.parquet", csv_of(), "damaged_file", "file", None, None),
    "parquet called csv": ("a.csv", SAME["parquet, lists"][1], "not_csv", "file", None, None),
    "csv, header alone": ("a.csv", b"label,a0,a1\n", "no_rows", "file", None, None),
    "csv, no header": ("a.csv", b"1,2,3\n4,5,6\n", "no_header", "file", None, None),
    "csv, no label": ("a.csv", b"lable,a0,a1\nx,1,2\n", "missing_column", "label", None, None),
    "csv, no embedding": ("a.csv", b"label,x\na,b\n", "missing_column", "embedding", None, None),
    "csv, empty text": ("a.csv", b"label,text\na,b\nc, \n", "invalid_texts", "text", 1, None),
    "csv, text in latin-1": ("a.csv", b"label,text\na,b\nc,\xe9\n", "not_utf8", "text", 1, None),
    "csv, long text": (
        "a.csv",
        b"label,text\na,b\nc," + b"x" * 100_001 + b"\n",
        "invalid_texts",
        "text",
        1,
        None,
    ),
    "jsonl, no text": (
        "a.jsonl",
        jsonl('{"label": "a", "text": "b"}', '{"label": "a"}'),
        "invalid_texts",
        "text",
        1,
        None,
    ),
    "jsonl, a number as text": (
        "a.jsonl",
        jsonl('{"label": "a", "text": 1}'),
        "invalid_texts",
        "text",
        0,
        None,
    ),
    "parquet, numbers as texts": (
        "a.parquet",
        parquet({"label": ["a"], "text": [1]}),
        "invalid_texts",
        "text",
        None,
        None,
    ),
    "parquet, null text": (
        "a.parquet",
        parquet({"label": ["a", "b"], "text": ["x", None]}),
        "invalid_texts",
        "text",
        1,
        None,
    ),
    "parquet, label that is not UTF-8": (
        "a.parquet",
        parquet({"embedding": [[1.0, 2.0]], "label": pa.array([b"\xff"]).view(pa.string())}),
        "damaged_file",
        "file",
        None,
        None,
    ),
    "parquet, text that is not UTF-8": (
        "a.parquet",
        parquet({"label": ["a"], "text": pa.array([b"\xff"]).view(pa.string())}),
        "damaged_file",
        "file",
        None,
        None,
    ),
    "csv, a gap": ("a.csv", b"label,a0,a2\nx,1,2\n", "missing_column", "embedding", None, None),
    "csv, two families": (
        "a.csv",
        b"label,a0,a1,b0,b1\nx,1,2,3,4\n",
        "ambiguous_column",
        "embedding",
        None,
        None,
    ),
    "csv, two labels": ("a.csv", b"label,Label,a0,a1\n", "ambiguous_column", "label", None, None),
    "csv, a name twice": ("a.csv", b"label,a0,a0\nx,1,2\n", "duplicate_column", "a0", None, 2),
    "csv, no number": ("a.csv", b"label,a0,a1\nx,1,2\ny,1,q\n", "invalid_embeddings", "a1", 1, 2),
    "csv, empty cell": ("a.csv", b"label,a0,a1\nx,1,2\ny,,2\n", "invalid_embeddings", "a0", 1, 0),
    "csv, NaN": ("a.csv", b"label,a0,a1\nx,1,2\ny,nan,2\n", "not_finite", "a0", 1, 0),
    "csv, beyond float32": ("a.csv", b"label,a0,a1\nx,1,1e39\n", "not_finite", "a1", 0, 1),
    "csv, short row": ("a.csv", b"label,a0,a1\nx,1,2\ny,1\n", "invalid_csv", "file", 1, None),
    "csv, long row": ("a.csv", b"label,a0,a1\nx,1,2,3\n", "invalid_csv", "file", 0, None),
    "csv, empty label": (
        "a.csv",
        b"label,a0,a1\nx,1,2\n ,1,2\n",
        "invalid_label",
        "label",
        1,
        None,
    ),
    "csv, NUL": ("a.csv", b"label,a0,a1\nx\0,1,2\n", "invalid_label", "label", 0, None),
    "csv, latin-1": ("a.csv", b"label,a0,a1\nx,1,2\n\xe9,1,2\n", "not_utf8", "label", 1, None),
    "csv, quote left open": (
        "a.csv",
        b'label,a0,a1\nx,1,"2\n' + b"x,1,2\n" * 500_000,
        "line_too_long",
        "file",
        None,
        None,
    ),
    "csv, a cell of 10 MB": (
        "a.csv",
        b"label,a0,a1\n" + b"x" * 10_000_000 + b",1,2\n",
        "line_too_long",
        "file",
        None,
        None,
    ),
    "csv, no end of line": ("a.csv", b"x" * 10_000_000, "line_too_long", "file", None, None),
    "csv, lists of other widths": (
        "a.csv",
        b'label,embedding\na,"[1,2]"\nb,"[1]"\n',
        "width_mismatch",
        "embedding",
        1,
        None,
    ),
    "csv, a list with a word": (
        "a.csv",
        b'label,embedding\na,"[1,x]"\n',
        "invalid_embeddings",
        "embedding",
        0,
        None,
    ),
    "csv, numpy's dots": (
        "a.csv",
        b'label,embedding\na,"[1 2 ... 3]"\n',
        "invalid_embeddings",
        "embedding",
        0,
        None,
    ),
    "csv, a list with null": (
        "a.csv",
        b'label,embedding\na,"[1,null]"\n',
        "invalid_embeddings",
        "embedding",
        0,
        1,
    ),
    "gzip, cut off": (
        "a.csv.gz",
        gzip.compress(csv_of())[:-20],
        "damaged_file",
        "file",
        None,
        None,
    ),
    "gzip, damaged": ("a.csv.gz", b"\x1f\x8b" + bytes(100), "damaged_file", "file", None, None),
    "zstd, damaged": (
        "a.csv.zst",
        b"\x28\xb5\x2f\xfd" + bytes(100),
        "damaged_file",
        "file",
        None,
        None,
    ),
    "gzip, a bomb": (
        "a.csv.gz",
        gzip.compress(b"label,a0,a1\n" + b"x,0.00000000000000000000000000,0\n" * 3_000_000),
        "suspicious_ratio",
        "file",
        None,
        None,
    ),
    "jsonl, no JSON": ("a.jsonl", jsonl(ROW, "{"), "invalid_json", "file", 1, None),
    "jsonl, NaN": (
        "a.jsonl",
        jsonl('{"embedding": [NaN], "label": "a"}'),
        "invalid_json",
        "file",
        0,
        None,
    ),
    "jsonl, no object": ("a.jsonl", jsonl(ROW, "[1]"), "invalid_json", "file", 1, None),
    "jsonl, deep": ("a.jsonl", jsonl(ROW, NESTED), "invalid_json", "file", 1, None),
    "jsonl, a line of 10 MB": (
        "a.jsonl",
        jsonl(ROW, '"' + "x" * 10_000_000),
        "line_too_long",
        "file",
        None,
        None,
    ),
    "jsonl, blank": ("a.jsonl", b"\n \n", "no_rows", "file", None, None),
    "jsonl, no embedding": (
        "a.jsonl",
        jsonl(ROW, '{"label": "a"}'),
        "invalid_embeddings",
        "embedding",
        1,
        None,
    ),
    "jsonl, empty embedding": (
        "a.jsonl",
        jsonl('{"embedding": [], "label": "a"}'),
        "invalid_embeddings",
        "embedding",
        0,
        None,
    ),
    "jsonl, no label": (
        "a.jsonl",
        jsonl(ROW, '{"embedding": [1, 2]}'),
        "invalid_label",
        "label",
        1,
        None,
    ),
    "jsonl, float label": (
        "a.jsonl",
        jsonl('{"embedding": [1, 2], "label": 1.5}'),
        "invalid_label",
        "label",
        0,
        None,
    ),
    "jsonl, other width": (
        "a.jsonl",
        jsonl(ROW, '{"embedding": [1], "label": "a"}'),
        "width_mismatch",
        "embedding",
        1,
        None,
    ),
    "jsonl, Boolean": (
        "a.jsonl",
        jsonl('{"embedding": [1, true], "label": "a"}'),
        "invalid_embeddings",
        "embedding",
        0,
        1,
    ),
    "parquet, cut off": (
        "a.parquet",
        SAME["parquet, lists"][1][:-9],
        "damaged_file",
        "file",
        None,
        None,
    ),
    "parquet, column's name that is not UTF-8": (
        "a.parquet",
        SAME["parquet, lists"][1].replace(b"embedding", b"em\x80edding"),
        "damaged_file",
        "file",
        None,
        None,
    ),
    "parquet, magic alone": ("a.parquet", b"PAR1" * 10, "damaged_file", "file", None, None),
    "parquet, lists of strings": (
        "a.parquet",
        parquet({"embedding": [["a"]], "label": ["a"]}),
        "invalid_embeddings",
        "embedding",
        None,
        None,
    ),
    "parquet, string embedding": (
        "a.parquet",
        parquet({"embedding": ["[1]"], "label": ["a"]}),
        "invalid_embeddings",
        "embedding",
        None,
        None,
    ),
    "parquet, null row": ("a.parquet", _null_list(), "invalid_embeddings", "embedding", 1, None),
    "parquet, null value": (
        "a.parquet",
        parquet({"embedding": [[1.0, 2.0], [1.0, None]], "label": ["a", "b"]}),
        "invalid_embeddings",
        "embedding",
        1,
        1,
    ),
    "parquet, null in a column": (
        "a.parquet",
        parquet({"a0": [1.0, None], "a1": [1.0, 2.0], "label": ["a", "b"]}),
        "invalid_embeddings",
        "a0",
        1,
        0,
    ),
    "parquet, other width": (
        "a.parquet",
        parquet({"embedding": [[1.0, 2.0], [1.0]], "label": ["a", "b"]}),
        "width_mismatch",
        "embedding",
        1,
        None,
    ),
    "parquet, no width": (
        "a.parquet",
        parquet({"embedding": pa.array([[]], pa.list_(pa.float32())), "label": ["a"]}),
        "invalid_embeddings",
        "embedding",
        0,
        None,
    ),
    "parquet, infinity": (
        "a.parquet",
        parquet({"embedding": [[1.0, 2.0], [1.0, np.inf]], "label": ["a", "b"]}),
        "not_finite",
        "embedding",
        1,
        1,
    ),
    "parquet, beyond float32": (
        "a.parquet",
        parquet({"embedding": [[1.0, 1e300]], "label": ["a"]}),
        "not_finite",
        "embedding",
        0,
        1,
    ),
    "parquet, null label": (
        "a.parquet",
        parquet({"embedding": [[1.0], [2.0]], "label": ["a", None]}),
        "invalid_label",
        "label",
        1,
        None,
    ),
    "parquet, float label": (
        "a.parquet",
        parquet({"embedding": [[1.0]], "label": [1.5]}),
        "invalid_label",
        "label",
        0,
        None,
    ),
    "parquet, no rows": (
        "a.parquet",
        parquet({"embedding": lists([]), "label": pa.array([], pa.string())}),
        "no_rows",
        "file",
        None,
        None,
    ),
    "npy without labels": ("a.npy", npy(X), "missing_labels", "labels", None, None),
    "safetensors, huge header": (
        "a.safetensors",
        header_only({}, length=1 << 60),
        "damaged_file",
        "file",
        None,
        None,
    ),
    "safetensors, no JSON": (
        "a.safetensors",
        header_only(b"{" * 40),
        "damaged_file",
        "file",
        None,
        None,
    ),
    "safetensors, shape lies": (
        "a.safetensors",
        header_only({"embeddings": tensor(shape=(1 << 40, 4))}),
        "damaged_file",
        "file",
        None,
        None,
    ),
    "safetensors, beyond the end": (
        "a.safetensors",
        header_only({"embeddings": tensor(offsets=(0, 128), shape=(8, 4))}),
        "damaged_file",
        "file",
        None,
        None,
    ),
    "safetensors, negative": (
        "a.safetensors",
        header_only({"embeddings": tensor(shape=(-4, -4))}),
        "damaged_file",
        "file",
        None,
        None,
    ),
    "safetensors, no labels": (
        "a.safetensors",
        header_only({"embeddings": tensor()}),
        "missing_array",
        "file",
        None,
        None,
    ),
    "safetensors, integers": (
        "a.safetensors",
        header_only({"embeddings": tensor("I32")}),
        "tensor_dtype",
        "embeddings",
        None,
        None,
    ),
    "safetensors, one dimension": (
        "a.safetensors",
        header_only({"embeddings": tensor(shape=(16,))}),
        "tensor_shape",
        "embeddings",
        None,
        None,
    ),
}


TEXTS = ["a cat", "two\nlines", 'a "quote", and more', "Grüße", "x" * 3000]
TEXT_LABELS = ["a", "b", "a", "b", "a"]


def _csv_of_texts() -> bytes:
    sink = io.StringIO()
    writer = csv.writer(sink)
    writer.writerow(["label", "text"])
    writer.writerows(zip(TEXT_LABELS, TEXTS, strict=True))
    return sink.getvalue().encode()


SAME_TEXTS = {
    "csv": ("a.csv", _csv_of_texts()),
    "csv, packed": ("a.csv.gz", gzip.compress(_csv_of_texts())),
    "jsonl": (
        "a.jsonl",
        jsonl(
            *(
                json.dumps({"text": text, "label": label})
                for text, label in zip(TEXTS, TEXT_LABELS, strict=True)
            )
        ),
    ),
    "parquet": ("a.parquet", parquet({"text": TEXTS, "label": TEXT_LABELS})),
    "parquet, dictionary": (
        "a.parquet",
        parquet({"text": pa.array(TEXTS).dictionary_encode(), "label": TEXT_LABELS}),
    ),
}


def decoded(
    folder: Path,
    name: str | None,
    content: bytes,
    *,
    parts: dict[str, bytes] | None = None,
    max_bytes: int = 1 << 30,
    **wanted: str,
) -> Decoded:
    """The rows of a file called `name`, decoded in this very process."""
    path = folder / "upload"
    path.write_bytes(content)
    given = {}
    for part, values in (parts or {}).items():
        (folder / f"part-{part}").write_bytes(values)
        given[part] = str(folder / f"part-{part}")
    with path.open("rb") as file:
        found = detect.detect(file, content_type="", file_name=name)
    out = folder / "decoded"
    out.mkdir()
    request = {
        "path": str(path),
        "kind": found.kind,
        "compression": found.compression,
        "wanted": as_json(Wanted(**wanted)),
        "parts": given,
        "max_bytes": max_bytes,
        "max_text_bytes": TEXT_FACTOR * max_bytes,
    }
    decode.decode(request, out)
    return Decoded.read(out)

"""Write the same rows in each format of tables."""

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


Bad = tuple[str, bytes, str, str, int | None, int | None]


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

"""Write the bundle's archive: a zip whose bytes depend only on its contents."""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

FORMAT: Final = "nmtune-bundle"
VERSION: Final = 1
MANIFEST: Final = "MANIFEST.json"

_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # the earliest date that a zip can have
_READ_BY_ALL: Final = 0o644 << 16
_UNIX: Final = 3
_PACKED: Final = (".html", ".json", ".md", ".py")
"""Only text is compressed: weights do not get smaller."""


def json_bytes(document: object) -> bytes:
    """A document as JSON for people; equal documents give equal bytes."""
    text = json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False)
    return f"{text}\n".encode()


def npz_bytes(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Arrays as numpy's npz, always the same bytes."""
    members = {}
    for name, array in arrays.items():
        file = io.BytesIO()
        np.save(file, array, allow_pickle=False)
        members[f"{name}.npy"] = file.getvalue()
    return zip_bytes(members)


def zip_bytes(files: Mapping[str, bytes]) -> bytes:
    """Files as a zip in the order given, without their dates."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, date_time=_EPOCH)
            entry.external_attr, entry.create_system = _READ_BY_ALL, _UNIX
            packed = name.endswith(_PACKED)
            entry.compress_type = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
            archive.writestr(entry, content)
    return out.getvalue()


def bundle_bytes(files: Mapping[str, bytes], *, folder: str, head: Mapping[str, object]) -> bytes:
    """The files and a manifest that names the head, and each file's size and sha256.

    They lie in one folder, so that unpacking overwrites no other files.
    """
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "head": dict(head),
        "files": {
            name: {"sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)}
            for name, content in files.items()
        },
    }
    packed = {MANIFEST: json_bytes(manifest), **files}
    return zip_bytes({f"{folder}/{name}": content for name, content in packed.items()})

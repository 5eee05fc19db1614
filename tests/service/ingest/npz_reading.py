"""Call the .npz reader: it prepares a dataset, or refuses and leaves nothing behind."""

import io
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import pytest

from service.ingest.dataset.npz import read
from service.ingest.dataset.prepared import PreparedDataset
from service.ingest.errors import BadInput
from tests.support.files.arrays import npz


def prepared(tmp_path: Path, arrays: dict[str, Any], **arguments: Any) -> PreparedDataset:
    return read(io.BytesIO(npz(arrays)), workdir=tmp_path, **arguments)


def refused(tmp_path: Path, content: dict[str, Any] | bytes, **arguments: Any) -> BadInput:
    data = content if isinstance(content, bytes) else npz(content)
    # A true file: it answers a seek before its start in another way than BytesIO.
    with TemporaryFile() as file:
        file.write(data)
        with pytest.raises(BadInput) as caught:
            read(file, workdir=tmp_path, **arguments)
    assert not list(tmp_path.iterdir()), "a refused file leaves nothing behind"
    return caught.value

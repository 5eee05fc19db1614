"""Large files through the proxy: parts go to whichever replica is next."""

from pathlib import Path

import httpx
import numpy as np
import pytest
from nmtune_client import Client
from tusclient.client import TusClient

from tests.compose.stack import Stack

pytestmark = [pytest.mark.compose, pytest.mark.timeout(600)]


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A file of 78 MiB, above the limit of any other body."""
    x = np.random.default_rng(0).standard_normal((80_000, 256), dtype=np.float32)
    path = tmp_path / "large.npz"
    np.savez(path, train_x=x, train_y=np.arange(len(x)) % 2, class_names=np.array(["a", "b"]))
    return path


def test_a_large_file_goes_up_in_parts_or_in_one(stack: Stack, client: Client, large: Path) -> None:
    dataset = client.datasets.upload(large, keep_seconds=3600)
    with large.open("rb") as file:
        uploader = TusClient(f"{stack.url}/uploads", headers=stack.headers).uploader(
            file_stream=file
        )
        uploader.upload()
    params = {"upload": uploader.url.rpartition("/")[2], "keep_seconds": 3600}
    response = httpx.post(
        f"{stack.url}/datasets", params=params, headers=stack.headers, timeout=300
    )
    assert response.status_code == 201, response.text
    assert response.json()["sha256"] == dataset.sha256

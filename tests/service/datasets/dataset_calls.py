"""Send datasets, and check what is created and stored."""

from typing import Any

import httpx
import numpy as np

from store.store import Store

NPZ = {"content-type": "application/x-npz"}
OCTETS = {"content-type": "application/octet-stream"}


def stored(store: Store) -> list[str]:
    return [artifact.sha256 for artifact in store.artifacts.stored()]


def created(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 201, response.text
    body: dict[str, Any] = response.json()
    assert response.headers["location"] == f"/datasets/{body['id']}"
    return body


def inline_body(n_rows: int = 10, **changes: Any) -> dict[str, Any]:
    x = np.random.default_rng(0).standard_normal((n_rows, 3))
    return {"embeddings": x.tolist(), "labels": ["cat", "dog"] * (n_rows // 2)} | changes

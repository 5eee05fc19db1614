"""Predictions from text by a head of truncated vectors: they are truncated as in training."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from providers import catalogue, probe_texts, truncation
from service.settings import ServiceSettings
from store.store import Store
from tests.servers import fault_server
from tests.servers.fault_server import Server
from tests.service.in_process import N_COLUMNS, InProcess, add_job, claim, succeed


@pytest.fixture
def server() -> Iterator[Server]:
    with fault_server.serving() as server:
        yield server


@pytest.fixture
def settings(tmp_path: Path, server: Server) -> ServiceSettings:
    host, port = server.host
    return ServiceSettings(data_dir=tmp_path / "data", provider_allow_hosts=f"{host}:{port}")


def test_texts_are_truncated_as_in_training(
    client: InProcess, store: Store, server: Server, trained: bytes
) -> None:
    encoder = replace(
        catalogue.resolve(
            "openai-compatible", model="toy", base_url=server.url, allowed=[server.host]
        ),
        truncate_dim=N_COLUMNS,
    )
    probes = np.array([fault_server.vector(text) for text in probe_texts.TEXTS], np.float32)
    known = {
        **encoder.to_dict(),
        "fingerprint": truncation.fingerprint_of(encoder, "f" * 64),
        "sketch": probe_texts.signature(probes),
    }
    succeed(store, claim(store, add_job(store)), trained, encoder=known)

    text = client.post("/predict", json={"head": "pets", "texts": ["good dog"]})
    assert text.status_code == 200, text.text
    whole = np.array([fault_server.vector("good dog")], np.float32)
    rows = truncation.truncated(whole, N_COLUMNS).tolist()
    told = client.post("/predict", json={"head": "pets", "embeddings": rows})
    assert text.json()["probabilities"] == told.json()["probabilities"]

"""The head that the serving benchmark serves: NMTune at 768 columns and 10 classes."""

from pathlib import Path

import numpy as np
import torch

from nmtune.config import TuneConfig
from nmtune.heads.head import Head, Member
from nmtune.heads.network import Network
from nmtune.heads.scaling import Scaling
from store import datasets, jobs, transitions
from store.names import DEFAULT_TENANT
from store.registry.heads import NewHeadVersion
from store.settings import StoreSettings
from store.store import Store

COLUMNS, CLASSES = 768, 10
NAME = "pets"


def rows(n: int) -> np.ndarray:
    """Embeddings (n, COLUMNS), the same each time."""
    return np.random.default_rng(n).standard_normal((n, COLUMNS)).astype(np.float32)


def make() -> Head:
    """An untrained head of the published shape; what it says does not matter here."""
    config = TuneConfig.from_preset("reference", scaling="none")
    network = Network.initialised(
        config,
        n_columns=COLUMNS,
        n_classes=CLASSES,
        generator=torch.Generator().manual_seed(0),
    )
    member = Member(network=network, scaling=Scaling(), config=config)
    return Head([member], classes=tuple(f"class {i}" for i in range(CLASSES))).with_self_test(
        rows(8)
    )


def save_for_peers(head: Head, path: Path) -> None:
    """Its arrays as peers/served.py reads them: BatchNorm and residual scale folded."""
    network = head.members[0].network
    state = {name: one.detach().numpy() for name, one in network.state_dict().items()}
    gain = state["transform.branch.1.weight"] / np.sqrt(
        state["transform.branch.1.running_var"] + 1e-5
    )
    offset = state["transform.branch.1.bias"] - gain * state["transform.branch.1.running_mean"]
    scale = state["transform.scale"]
    np.savez(
        path,
        into_weight=gain[:, None] * state["transform.branch.0.weight"],
        into_bias=gain * state["transform.branch.0.bias"] + offset,
        back_weight=scale[:, None] * state["transform.branch.3.weight"],
        back_bias=scale * state["transform.branch.3.bias"],
        classifier_weight=state["classifier.weight"],
        classifier_bias=state["classifier.bias"],
    )


def publish(head: Head, data_dir: Path) -> None:
    """The head as version 1 of NAME in a migrated data folder, as if a job had made it."""
    store = Store.open(
        StoreSettings(data_dir=data_dir, database_url=f"sqlite:///{data_dir / 'nmtune.db'}")
    )
    artifact = store.artifacts.put_bytes(DEFAULT_TENANT, head.to_bytes())
    report = store.artifacts.put_bytes(DEFAULT_TENANT, b'{"version":1}')
    with store.database.begin() as tx:
        dataset = datasets.add(
            tx,
            DEFAULT_TENANT,
            name=NAME,
            sha256=artifact.sha256,
            size_bytes=artifact.size_bytes,
            n_rows=1,
            n_columns=COLUMNS,
            classes=list(head.classes),
            splits=[],
            profile={},
        )
        job = jobs.submit(
            tx, DEFAULT_TENANT, name=NAME, dataset_id=dataset.id, method="nmtune", config={}
        )
    with store.database.begin() as tx:
        claimed = transitions.claim(tx, job.id, worker="benchmark", lease_seconds=60)
    assert claimed is not None
    new = NewHeadVersion(
        name=NAME,
        sha256=artifact.sha256,
        size_bytes=artifact.size_bytes,
        method="nmtune",
        n_columns=COLUMNS,
        classes=head.classes,
        n_parameters=head.n_parameters,
        config={},
        metrics={},
        alias="prod",
    )
    with store.database.begin() as tx:
        transitions.succeed(tx, claimed, report_sha256=report.sha256, head=new)
    store.close()

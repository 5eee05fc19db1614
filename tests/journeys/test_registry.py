"""The registry on a real server: two versions, compared, rolled back, taken away, deleted."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nmtune_client import Client, ConflictError, NotFoundError, verify_bundle

from nmtune import Head
from tests.journeys.test_main_job import run_command, tune
from tests.support.processes import Process

pytestmark = pytest.mark.slow

Arrays = dict[str, Any]


def test_two_versions_are_compared_rolled_back_exported_and_deleted(
    client: Client, house: Process, arrays: Arrays, tmp_path: Path
) -> None:
    tune(client, arrays, "life", alias="prod", method="mlp")
    tune(client, arrays, "life", alias="prod", method="linear_probe", config={"seed": 2})

    lineage = client.heads.version("life", 1).lineage
    assert len(lineage["dataset_sha256"]) == 64
    assert (lineage["seed"], lineage["nmtune_version"]) == (1, "0.1.0")
    assert {"worker", "platform", "torch_version", "device"} <= set(lineage["machine"])

    found = client.heads.compare("life", 1, "prod")
    assert (str(found.before), str(found.after)) == ("life@1", "life@2")
    assert all(split["same_rows"] for split in found.splits)
    assert {split["split"] for split in found.splits} >= {"test", "ood/paint"}
    assert ", paired 95 % interval" in found.verdict
    shown = run_command(house, "heads", "compare", "life", "1", "2")
    assert found.verdict in shown.stdout

    assert client.heads.rollback("life", "prod").version == 1
    assert client.predict("life@prod", arrays["test_x"]).head_version == 1
    with pytest.raises(ConflictError, match="no earlier version"):
        client.heads.rollback("life", "prod")

    served = client.predict("life@1", arrays["test_x"])
    data = client.heads.export("life", 1, format="safetensors", path=tmp_path / "h").read_bytes()
    assert hashlib.sha256(data).hexdigest() == client.heads.version("life", 1).sha256
    says = Head.from_bytes(data).predict_proba(arrays["test_x"])
    np.testing.assert_allclose(says, served.probabilities, atol=1e-5)
    exported = run_command(house, "heads", "export", "life@prod", "-o", str(tmp_path / "it.zip"))
    assert exported.returncode == 0, exported.stderr
    verified = run_command(house, "verify", exported.stdout.strip(), "--json")
    assert verified.returncode == 0, verified.stdout
    told = json.loads(verified.stdout)
    assert (told["head"], len(told["checks"])) == ("life@1", 5)
    assert verify_bundle(client.heads.export("life", 2, path=tmp_path / "2.zip")).is_good

    with pytest.raises(ConflictError, match="life@prod"):
        client.heads.delete("life", 1)
    assert run_command(house, "heads", "delete", "life@1", "--force").returncode == 0
    with pytest.raises(NotFoundError):
        client.predict("life@1", arrays["test_x"])
    client.heads.delete("life")
    with pytest.raises(NotFoundError):
        client.heads.get("life")
    again = tune(client, arrays, "life", method="linear_probe", config={"seed": 3})
    assert again.head.version == 3

"""From a trained head to an adapted one and back, by the client and by the command."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nmtune_client import Client

from tests.journeys.conftest import CLASSES
from tests.journeys.test_main_job import run_command, tune
from tests.support.processes import Process

pytestmark = pytest.mark.slow

Arrays = dict[str, Any]


def _new_domain(arrays: Arrays, n_rows: int, seed: int) -> tuple[Any, Any]:
    """Test rows that lie elsewhere, with other class shares."""
    random = np.random.default_rng(seed)
    at = random.choice(90, n_rows, p=np.array([6, 1, 1])[arrays["test_y"]] / 240)
    x = arrays["test_x"][at] + random.normal(size=(n_rows, 12)).astype(np.float32) * 0.5
    return x + np.float32(0.8), np.array(CLASSES)[arrays["test_y"][at]]


def test_a_head_is_adapted_serves_and_goes_back(
    client: Client, house: Process, arrays: Arrays, tmp_path: Path
) -> None:
    job = tune(client, arrays, "pets", alias="prod", method="linear_probe", config={"seed": 1})
    domain = job.report().findings.new_domain
    assert domain is not None
    assert [size.n_labels for size in domain.splits["ood/paint"].sizes] == [20]
    x, y = _new_domain(arrays, 30, 0)
    new_x, new_y = _new_domain(arrays, 400, 1)
    before = client.predict("pets@prod", new_x)

    found = client.heads.adapt("pets", x, y, version="prod", alias="prod")
    assert found.published, found.reason
    assert found.version is not None
    assert found.version.lineage["adapted_from"] == 1
    after = client.predict("pets@prod", new_x)
    assert (after.head_version, before.head_version) == (found.version.version, 1)
    assert (after.labels == new_y).mean() > (before.labels == new_y).mean() - 0.02
    assert client.heads.rollback("pets", "prod").version == 1
    again = client.predict("pets@prod", new_x)
    np.testing.assert_array_equal(again.probabilities, before.probabilities)

    csv = tmp_path / "rows.csv"
    columns = ",".join(f"dim_{at}" for at in range(12))
    lines = [f"{','.join(map(str, row))},{label}" for row, label in zip(x.tolist(), y, strict=True)]
    csv.write_text("\n".join([f"{columns},label", *lines]))
    shown = run_command(house, "heads", "adapt", "pets@1", str(csv), "--alias", "new")
    assert shown.returncode == 0, shown.stderr
    assert "pets@3 = pets@new" in shown.stdout
    verified = run_command(house, "heads", "export", "pets@new", "-o", str(tmp_path / "it.zip"))
    assert verified.returncode == 0, verified.stderr
    assert run_command(house, "verify", str(tmp_path / "it.zip")).returncode == 0

    shares = {"cat": 0.75, "dog": 0.125, "owl": 0.125}
    told = [word for name, one in shares.items() for word in ("--class-share", f"{name}={one}")]
    moved = run_command(house, "heads", "alias", "pets", "prod", "1", *told)
    assert moved.returncode == 0, moved.stderr
    by_alias = client.predict("pets@prod", new_x)
    by_request = client.predict("pets@1", new_x, class_shares=shares)
    np.testing.assert_array_equal(by_alias.probabilities, by_request.probabilities)
    assert (by_alias.probabilities != before.probabilities).any()
    out = client.predict_file(new_x, head="pets@prod", to=tmp_path / "out.jsonl")
    assert len(out.read_text().splitlines()) == 400

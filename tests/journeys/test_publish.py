"""Another candidate of a real job: published, asked, compared row by row, exported, deleted."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nmtune_client import APIStatusError, Client, NotFoundError, verify_bundle

from tests.journeys.test_main_job import run_command, tune
from tests.support.processes import Process

pytestmark = pytest.mark.slow

Arrays = dict[str, Any]


def test_another_candidate_of_auto_is_published_compared_and_taken_back(
    client: Client, house: Process, arrays: Arrays, tmp_path: Path
) -> None:
    job = tune(client, arrays, "choice", alias="prod", method="auto", config={"max_steps": 40})
    report = job.report()
    assert str(job.head) == "choice@1"

    printed = run_command(house, "publish", job.id, "nmtune", "--alias", "prod")
    assert printed.stdout.splitlines()[0] == f"choice@2 = choice@prod is nmtune of {job.id}."
    made = client.heads.version("choice", 2)
    assert (made.method, made.lineage["job_method"]) == ("nmtune", "auto")
    of_report = report.candidate("nmtune")["metrics"]
    for split in ("test", "ood/paint"):
        assert made.metrics[split]["accuracy"] == of_report[split]["accuracy"]
    assert job.publish("nmtune") == made
    assert str(job.publish("auto")) == "choice@1"

    answers = {}
    for head in ("choice@1", "choice@2", "choice@prod"):
        answers[head] = client.predict(head, arrays["test_x"], ood=True)
        right = np.array(answers[head].labels) == arrays["class_names"][arrays["test_y"]]
        method = "auto" if head == "choice@1" else "nmtune"
        expected = report.candidate(method)["metrics"]["test"]["accuracy"]
        assert right.mean() == pytest.approx(expected)
        assert np.isfinite(answers[head].ood_scores).all()
    np.testing.assert_array_equal(
        answers["choice@2"].probabilities, answers["choice@prod"].probabilities
    )

    found = client.heads.compare("choice", 1, 2)
    assert found.paired
    (test,) = [one for one in found.splits if one["split"] == "test"]
    labels = arrays["class_names"][arrays["test_y"]]
    old, new = (np.array(answers[f"choice@{one}"].labels) == labels for one in (1, 2))
    assert test["n_gained"] == np.count_nonzero(new & ~old)
    assert test["n_lost"] == np.count_nonzero(old & ~new)
    assert found.verdict in run_command(house, "heads", "compare", "choice", "1", "2").stdout

    assert client.heads.rollback("choice", "prod").version == 1
    for number in (1, 2):
        bundle = client.heads.export("choice", number, path=tmp_path / f"{number}.zip")
        assert verify_bundle(bundle).is_good

    client.heads.delete("choice", 2)
    with pytest.raises(NotFoundError):
        client.predict("choice@2", arrays["test_x"])
    assert str(job.publish("nmtune")) == "choice@3"
    client.heads.delete("choice", force=True)
    with pytest.raises(APIStatusError, match="was deleted with its bytes") as gone:
        job.publish("auto")
    assert (gone.value.status, gone.value.code) == (410, "head_deleted")

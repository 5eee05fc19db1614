"""The main job as its users do it: with the client, with curl's requests, on the command line."""

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from nmtune_client import Client, ConflictError, NotFoundError, ValidationError

from tests.support.processes import Process
from tests.support.waiting import wait_until

Arrays = dict[str, Any]

CLASSES = ("cat", "dog", "owl")
QUICK = {"epochs": 8, "seed": 1}


def tune(client: Client, arrays: Arrays, name: str, **options: Any) -> Any:
    dataset = client.datasets.upload(arrays, name=name)
    job = client.jobs.create(dataset=dataset.id, name=name, **{"config": QUICK} | options)
    job.wait(timeout=120)
    return job


def test_upload_tune_report_and_predict(client: Client, arrays: Arrays, npz: Path) -> None:
    dataset = client.datasets.upload(npz, name="pets")
    assert dataset.classes == CLASSES
    assert [(split.name, split.n_rows) for split in dataset.splits] == [
        ("train", 300),
        ("test", 90),
        ("ood/paint", 80),
        ("ood/sketch", 60),
    ]

    job = client.jobs.create(dataset=dataset.id, name="pets", alias="prod", config=QUICK)
    job.wait(timeout=120)
    report = job.report()

    compared = {"linear_probe", "whitened_probe", "mlp_ensemble", "mlp", "nmtune"}
    # Two more are trained beside them only where labels look wrong.
    assert set(report.candidates) - {"robust_probe", "trimmed_probe"} == compared | {"auto"}
    raw = report.raw
    assert set(raw["spectra"]["raw"]) == {"train", "test", "ood/paint", "ood/sketch"}
    for candidate in raw["candidates"].values():
        assert set(candidate["metrics"]) == set(raw["spectra"]["raw"])
    assert report.metrics("auto", "test")["accuracy"] > 0.8
    assert report.verdict.summary

    # The served head is the one the report speaks of: its accuracy can be had from predictions.
    prediction = client.predict("pets@prod", arrays["test_x"])
    truth = np.array(CLASSES)[arrays["test_y"]]
    accuracy = float(np.mean(prediction.labels == truth))
    assert accuracy == pytest.approx(report.metrics("auto", "test")["accuracy"], abs=1e-9)
    assert prediction.probabilities.shape == (90, 3)
    assert np.allclose(prediction.probabilities.sum(axis=1), 1, atol=1e-5)


@pytest.mark.slow
def test_embeddings_sent_inline_give_the_same_head_as_an_upload(
    client: Client, arrays: Arrays
) -> None:
    by_upload = tune(client, arrays, "upload")
    names = ("train", "test", "ood_paint", "ood_sketch")
    by_inline = client.jobs.create(
        embeddings=np.concatenate([arrays[f"{name}_x"] for name in names]),
        labels=[CLASSES[y] for name in names for y in arrays[f"{name}_y"]],
        splits=[
            name.replace("_", "/", 1) for name in names for _ in range(len(arrays[f"{name}_y"]))
        ],
        name="inline",
        config=QUICK,
    )
    by_inline.wait(timeout=120)
    assert client.heads.version("upload", by_upload.head.version).sha256 == (
        client.heads.version("inline", by_inline.head.version).sha256
    )


@pytest.mark.slow
def test_every_form_of_prediction_gives_the_same_numbers(
    client: Client, house: Process, arrays: Arrays
) -> None:
    tune(client, arrays, "forms")
    x = arrays["ood_paint_x"][:5]
    raw = x.astype("<f4").tobytes()
    npy = subprocess.run(
        [sys.executable, "-c", "import sys,numpy; numpy.save(sys.stdout.buffer, numpy.frombuffer("
         f"sys.stdin.buffer.read(), '<f4').reshape({x.shape}))"],
        input=raw, capture_output=True, check=True,
    ).stdout  # fmt: skip
    with httpx.Client(base_url=house.url) as http:
        answers = [
            http.post("/predict", json={"head": "forms", "embeddings": x.tolist()}),
            http.post(
                "/predict",
                json={
                    "head": "forms@latest",
                    "embeddings": {
                        "base64": base64.b64encode(raw).decode(),
                        "shape": list(x.shape),
                        "dtype": "float32",
                    },
                },
            ),
            http.post(
                "/predict?head=forms@1",
                content=npy,
                headers={"content-type": "application/x-npy"},
            ),
            http.post(
                "/predict?head=forms",
                content=raw,
                headers={"content-type": "application/octet-stream", "x-shape": "5,12"},
            ),
        ]
        one = http.get(
            "/predict", params={"head": "forms", "embedding": ",".join(map(str, x[0].tolist()))}
        ).json()
    assert [answer.status_code for answer in answers] == [200] * 4
    probabilities = [answer.json()["probabilities"] for answer in answers]
    assert all(found == probabilities[0] for found in probabilities)
    # One row alone may round differently in the last bits than in a batch of five.
    assert list(one["probabilities"].values()) == pytest.approx(probabilities[0][0], rel=1e-5)
    assert one["label"] == answers[0].json()["labels"][0]


@pytest.mark.slow
def test_versions_and_aliases(client: Client, arrays: Arrays) -> None:
    first = tune(client, arrays, "versions", alias="prod")
    second = tune(client, arrays, "versions", method="linear_probe", config={})
    assert (first.head.version, second.head.version) == (1, 2)
    x = arrays["test_x"][:1]
    assert client.predict("versions@prod", x).head_version == 1
    assert client.predict("versions", x).head_version == 2
    client.heads.set_alias("versions", "prod", 2)
    assert client.predict("versions@prod", x).head_version == 2
    with pytest.raises(NotFoundError):
        client.heads.set_alias("versions", "prod", 3)


@pytest.mark.slow
def test_events_tell_the_whole_story_and_resume(
    client: Client, house: Process, arrays: Arrays
) -> None:
    job = tune(client, arrays, "story")
    with httpx.Client(base_url=house.url, timeout=30) as http:
        stream = {"accept": "text/event-stream"}
        whole = http.get(f"/jobs/{job.id}/events", headers=stream).text
        ids = [line[4:] for line in whole.splitlines() if line.startswith("id: ")]
        types = [line[7:] for line in whole.splitlines() if line.startswith("event: ")]
        rest = http.get(f"/jobs/{job.id}/events", headers=stream | {"last-event-id": ids[2]}).text
    assert types[:2] == ["job.queued", "job.started"]
    assert types[-1] == "job.succeeded"
    assert "job.progress" in types
    assert [line[4:] for line in rest.splitlines() if line.startswith("id: ")] == ids[3:]


def cancel(client: Client, job_id: str) -> None:
    """Cancel a job, and wait until its training has ended: the next test finds nothing running."""
    client.jobs.get(job_id).cancel()
    wait_until(lambda: client.jobs.get(job_id).is_final)


def test_the_same_submission_twice_makes_one_job(
    client: Client, house: Process, arrays: Arrays
) -> None:
    body = {
        "name": "once",
        "embeddings": arrays["train_x"].tolist(),
        "labels": [CLASSES[y] for y in arrays["train_y"]],
        "config": QUICK | {"epochs": 10_000},  # still at it when it is cancelled
    }
    with httpx.Client(base_url=house.url, timeout=60) as http:
        headers = {"idempotency-key": "a-key-of-mine"}
        first, again = (http.post("/jobs", json=body, headers=headers) for _ in range(2))
        other = http.post("/jobs", json=body | {"name": "twice"}, headers=headers)
    assert first.status_code == again.status_code == 202
    assert first.content == again.content
    assert again.headers["idempotent-replayed"] == "true"
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    cancel(client, first.json()["id"])


def test_deleting_a_dataset_removes_rows_and_bytes(
    client: Client, house: Process, arrays: Arrays
) -> None:
    random = np.random.default_rng(99)
    lonely = arrays | {"train_x": random.normal(size=(300, 12)).astype(np.float32)}
    dataset = client.datasets.upload(lonely, name="lonely")
    client.datasets.delete(dataset.id)
    with pytest.raises(NotFoundError):
        client.datasets.get(dataset.id)
    data_dir = Path(house.log_path.parent) / "data"
    assert not list(data_dir.rglob(dataset.sha256))


def test_wrong_input_says_what_and_where(client: Client, arrays: Arrays, tmp_path: Path) -> None:
    spoilt = arrays["train_x"].copy()
    spoilt[17, 3] = np.nan
    dataset = client.datasets.upload(arrays, name="wrong")
    with pytest.raises(ValidationError, match="w_covariance") as wrong_config:
        client.jobs.create(dataset=dataset.id, name="wrong", config={"w_covariance": -1})
    assert wrong_config.value.errors[0].field == "config.w_covariance"
    assert wrong_config.value.request_id
    with pytest.raises(ValueError, match="train_x, row 17, column 3"):  # before anything is sent
        client.datasets.upload(arrays | {"train_x": spoilt}, name="nan")
    np.savez(tmp_path / "nan.npz", **arrays | {"train_x": spoilt})
    with pytest.raises(ValidationError) as wrong_value:
        client.datasets.upload(tmp_path / "nan.npz", name="nan")
    assert (wrong_value.value.errors[0].row, wrong_value.value.errors[0].column) == (17, 3)
    with pytest.raises(NotFoundError):
        client.predict("nobody@prod", arrays["test_x"])
    job = client.jobs.create(dataset=dataset.id, name="wrong", config={"epochs": 10_000})
    with pytest.raises(ConflictError, match=r"running|queued"):
        job.report()
    with pytest.raises(ConflictError):
        client.datasets.delete(dataset.id)
    cancel(client, job.id)


def run_command(house: Process, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).with_name("nmtune")), *arguments, "--url", house.url],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.slow
def test_the_command_line_does_the_whole_job(
    house: Process, npz: Path, arrays: Arrays, tmp_path: Path
) -> None:
    tuned = run_command(
        house, "tune", str(npz), "--name", "cli", "--alias", "prod", "--set", "epochs=8"
    )
    assert tuned.returncode == 0, tuned.stderr
    assert "linear probe" in tuned.stdout
    assert "mean OOD" in tuned.stdout

    jobs = json.loads(run_command(house, "jobs", "--json").stdout)
    mine = next(job for job in jobs if job["name"] == "cli")
    assert mine["status"] == "succeeded"
    report = json.loads(run_command(house, "report", mine["id"], "--json").stdout)
    assert report["job_id"] == mine["id"]

    np.save(tmp_path / "new.npy", arrays["test_x"][:4])
    predicted = run_command(house, "predict", "cli@prod", str(tmp_path / "new.npy"), "--json")
    assert predicted.returncode == 0, predicted.stderr
    assert len(json.loads(predicted.stdout)["labels"]) == 4

    missing = run_command(house, "report", "job_none")
    assert missing.returncode != 0
    assert "Traceback" not in missing.stderr

"""Make the files that every later version must still load, with the version that is here.

    python -m tests.keep_files

writes `tests/data/kept/<version>/`, once for each release and never again for the same one; the
README there says what each file is. `tests/test_kept_files.py` loads them.
"""

import base64
import json
import shutil
import socket
import sqlite3
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import nmtune
from nmtune.config import TuneConfig
from nmtune.heads.head import Head
from nmtune.training.trainer import Trainer
from nmtune.trust.knowledge import learn
from tests.support.processes import Site

KEPT = Path(__file__).parent / "data" / "kept"
SECRET = base64.b64encode(bytes(range(32))).decode()
"""Of the provider key in the kept database, which opens nothing."""
CLASSES = ("cat", "dog", "owl")
N_COLUMNS = 8
QUICK = {"epochs": 4, "seed": 1}
A_CENTURY = 36_500 * 86_400
TEXTS = ("wake me at seven", "play some jazz")
LEVEL = 0.9
EXPORTS = (
    ("safetensors", 1, "pets-1.safetensors"),
    ("onnx", 1, "pets-1.onnx"),
    ("bundle", 1, "pets-1.zip"),
    ("bundle", 2, "pets-2.zip"),
)
MEMBERS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("linear_probe", {"l2": 1.0}),
    ("whitened_probe", {"l2": 1.0}),
    ("mlp_ensemble", {"hidden_width": 4, "epochs": 5}),
    ("paper", {"epochs": 3}),
    ("reference", {"epochs": 3}),
)


def rows(n_rows: int, *, seed: int, shift: float = 0) -> tuple[Any, Any]:
    """Blobs round one centre a class."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(len(CLASSES), N_COLUMNS))
    y = random.permutation(np.arange(n_rows) % len(CLASSES))
    x = centres[y] + shift + random.normal(size=(n_rows, N_COLUMNS))
    return x.astype(np.float32), y


def arrays() -> dict[str, Any]:
    """The layout of an .npz."""
    found: dict[str, Any] = {"class_names": np.array(CLASSES)}
    for seed, (split, n_rows) in enumerate({"train": 150, "test": 60, "ood_paint": 45}.items()):
        x, y = rows(n_rows, seed=seed, shift=0.7 if split.startswith("ood") else 0)
        found |= {f"{split}_x": x, f"{split}_y": y}
    return found


def keep_head(folder: Path) -> None:
    """A blend of every kind of network, with all that a head's file may hold."""
    folder.mkdir(parents=True)
    x, y = rows(150, seed=0)
    heads = []
    for preset, settings in MEMBERS:
        config = TuneConfig.from_preset(preset, **settings)
        trainer = Trainer(x, y, classes=CLASSES, config=config)
        assert list(trainer)
        heads.append(trainer.result().head)
    plain = Head.blend(heads, [1 / len(heads)] * len(heads)).calibrated(1.25)
    told = plain.predict_proba(x)
    knowledge = learn(
        x,
        y,
        predicted=told.argmax(axis=1),
        of_truth=told[np.arange(len(y)), y],
        n_classes=len(CLASSES),
        seed=0,
    )
    head = plain.with_knowledge(knowledge).with_self_test(x[:16])
    assert knowledge.conformal is not None
    assert knowledge.ood is not None
    (folder / "head.safetensors").write_bytes(head.to_bytes())
    asked, _ = rows(20, seed=9, shift=0.3)
    probabilities = head.predict_proba(asked)
    np.savez_compressed(
        folder / "expected.npz",
        x=asked,
        probabilities=probabilities,
        tuned=head.transform(asked),
        ood_scores=knowledge.ood.score(asked),
        ood_threshold=knowledge.ood.threshold,
        conformal_sets=knowledge.conformal.sets(probabilities, LEVEL),
        drift_sums=knowledge.row_summary.sums(asked, probabilities.argmax(axis=1)),
    )


def keep_service(folder: Path, exports: Path) -> None:
    """A database and its artifacts, what the service answers from them, and its exports."""
    exports.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as temporary:
        site = Site(Path(temporary))
        try:
            expected, arrays_expected = _work(site, exports)
        finally:
            site.close()
        _copy(site.data_dir, folder)
    (folder / "expected.json").write_text(_anonymous(json.dumps(expected, sort_keys=True)) + "\n")
    np.savez_compressed(folder / "expected.npz", **arrays_expected)


def _work(site: Site, exports: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Let a service do a little of all that it keeps; what it then answers."""
    settings = {
        "NMTUNE_UPLOAD_KEEP_SECONDS": str(A_CENTURY),
        "NMTUNE_SECRET_KEY": SECRET,
        "NMTUNE_DRIFT": "on",
    }
    up = site.start("up", **settings)
    client = up.client
    dataset = client.datasets.upload(arrays(), name="pets")
    job = client.jobs.create(
        dataset=dataset.id,
        name="pets",
        alias="prod",
        config=QUICK,
        analyses=["ablation", "learning_curve"],
        description="kept for later versions",
        tags={"stage": "kept"},
    ).wait(timeout=300)
    second = client.jobs.create(
        dataset=dataset.id, name="pets", method="nmtune", config=QUICK
    ).wait(timeout=120)
    client.heads.set_alias("pets", "prod", 2)
    client.heads.rollback("pets", "prod")
    for form, version, name in EXPORTS:
        client.heads.export("pets", version, format=form, path=exports / name)
    asked, _ = rows(20, seed=9, shift=0.3)
    predicted = client.predict("pets@prod", asked)
    predicting, output = _predicted_file(client, asked, Path(site.data_dir).parent)
    texts = _texts(client)
    read = client.predict("intents", texts=list(TEXTS))
    client.provider_keys.set("openai", "sk-opens-nothing")
    upload = _unfinished_upload(up.url or "")
    routes = [f"/jobs/{job.id}/report", "/heads/pets", "/heads/pets/versions/1", "/datasets"]
    with httpx.Client(base_url=up.url or "") as http:
        answers = {route: http.get(route).raise_for_status().json() for route in routes}
        events = http.get(f"/jobs/{job.id}/events", headers={"accept": "text/event-stream"}).text
    up.stop()
    queued = _queued_job(site, dataset.id, settings)
    expected = {
        "answers": answers,
        "events": [line[7:] for line in events.splitlines() if line.startswith("event: ")],
        "job": job.id,
        "second_job": second.id,
        "predicting": predicting,
        "text_job": texts,
        "queued": queued,
        "upload": upload,
        "dataset_sha256": dataset.sha256,
    }
    return expected, {
        "x": asked,
        "probabilities": predicted.probabilities,
        "output": output,
        "of_texts": read.probabilities,
    }


def _predicted_file(client: Any, x: Any, folder: Path) -> tuple[str, Any]:
    path = folder / "rows.parquet"
    ids = [f"u-{at}" for at in range(len(x))]
    pq.write_table(pa.table({"id": ids, "embedding": list(x)}), path)
    dataset = client.datasets.upload(path, name="rows", unlabelled=True, id="id")
    job = client.jobs.predict(dataset, head="pets@prod").wait(timeout=120)
    table = pq.read_table(client.jobs.output(job.id, folder / "out.parquet"))
    return job.id, np.array(table["probabilities"].to_pylist(), np.float32)


def _texts(client: Any) -> str:
    lines = (Path(__file__).parent / "data" / "intents.jsonl").read_text().splitlines()
    told = [json.loads(line) for line in lines][::3]
    job = client.jobs.create(
        name="intents",
        texts=[row["text"] for row in told],
        labels=[row["label"] for row in told],
        provider="local-minilm",
        method="linear_probe",
        config={"l2": 1.0, "seed": 1},
    ).wait(timeout=300)
    return str(job.id)


def _unfinished_upload(url: str) -> dict[str, Any]:
    """An upload of 2,000 bytes of which 1,000 are there."""
    content = bytes(range(250)) * 8
    tus = {"Tus-Resumable": "1.0.0"}
    with httpx.Client(base_url=url, headers=tus) as http:
        made = http.post("/uploads", headers={"Upload-Length": str(len(content))})
        place = made.raise_for_status().headers["location"]
        part = {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
        http.patch(place, headers=part, content=content[:1000]).raise_for_status()
    return {"id": place.rpartition("/")[2], "received_bytes": 1000, "size_bytes": len(content)}


def _queued_job(site: Site, dataset_id: str, settings: dict[str, str]) -> str:
    """A job that no worker has taken yet."""
    api = site.start("api", **settings)
    job = api.client.jobs.create(
        dataset=dataset_id, name="later", method="linear_probe", config={"l2": 1.0, "seed": 3}
    )
    api.stop()
    return job.id


def _copy(data_dir: Path, folder: Path) -> None:
    """The database as one file, without this machine's name, and the artifacts it names."""
    folder.mkdir(parents=True)
    source = sqlite3.connect(data_dir / "nmtune.db")
    for table, column in (
        ("jobs", "worker"),
        ("head_versions", "lineage"),
        ("idempotency_keys", "body"),
    ):
        for key, value in source.execute(f"SELECT rowid, {column} FROM {table}").fetchall():  # noqa: S608
            if value is not None:
                update = f"UPDATE {table} SET {column} = ? WHERE rowid = ?"  # noqa: S608
                is_bytes = isinstance(value, bytes)
                changed = _anonymous(value.decode() if is_bytes else value)
                source.execute(update, (changed.encode() if is_bytes else changed, key))
    source.commit()
    source.execute("VACUUM INTO ?", (str(folder / "nmtune.db"),))
    content = "".join(source.iterdump())
    source.close()
    for path in data_dir.glob("artifacts/*/*/*"):
        if path.name in content:
            target = folder / path.relative_to(data_dir)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


def _anonymous(value: str) -> str:
    """The same with another name for this machine where a worker is named."""
    return value.replace(f"{socket.gethostname()}:", "a-worker:")


def main() -> int:
    folder = KEPT / nmtune.__version__
    if folder.exists():
        sys.stderr.write(f"{folder} is kept already; a kept file is never made again.\n")
        return 1
    keep_head(folder / "head")
    keep_service(folder / "service", folder / "exports")
    return 0


if __name__ == "__main__":
    sys.exit(main())

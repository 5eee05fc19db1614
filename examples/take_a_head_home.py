"""Train by the server, take the head home as a bundle, and predict from it with numpy only.

Starts a server of its own and keeps its data in `examples-data/bundle`.

    python examples/take_a_head_home.py
"""

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
from bundled import split
from nmtune_client import Client, verify_bundle
from own_server import own_server

FOLDER = Path("examples-data/bundle")


def main() -> None:
    x, labels = split("train")
    with own_server(FOLDER) as url, Client(url) as client:
        job = client.jobs.create(name="intents", embeddings=x, labels=labels, method="linear_probe")
        job.wait()
        bundle = FOLDER / "intents.zip"
        client.heads.export("intents", "latest", format="bundle", path=bundle)
        rows, _ = split("test")
        served = client.predict("intents", rows[:5]).labels

    print(verify_bundle(bundle))  # offline: files, hashes, and that it answers as it did
    with zipfile.ZipFile(bundle) as archive:
        archive.extractall(FOLDER)
    np.save(FOLDER / "rows.npy", rows[:5])
    [runner] = FOLDER.glob("intents-*/run.py")
    command = [sys.executable, str(runner), str(FOLDER / "rows.npy")]
    at_home = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    print(at_home)
    assert all(name in line for name, line in zip(served, at_home.splitlines()[-5:], strict=True))
    print("The server and the bundle agree.")


if __name__ == "__main__":
    main()

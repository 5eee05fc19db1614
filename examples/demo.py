"""The main job from end to end on real data: server, upload, tuning, report, prediction.

`make demo` runs this. It keeps its data in `nmtune-data/`, so that `make serve` afterwards serves
the same head.
"""

import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from nmtune_client import Client
from own_server import own_server

HERE = Path(__file__).parent
DATA = HERE / "data" / "intents.npz"
DATA_DIR = Path("nmtune-data")
REPORT = DATA_DIR / "intents-report.html"


def heading(text: str) -> None:
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}", flush=True)


def main() -> None:
    started = time.monotonic()
    print(
        f"Starting a server of its own, data and log in {DATA_DIR}/: seconds, on a first start up "
        "to a minute.\nThen it trains for about a minute and shows how far it has come.",
        flush=True,
    )
    with own_server(DATA_DIR) as url, Client(url) as client:
        heading(f"1. Server ready at {url}, data in {DATA_DIR}/")

        heading(f"2. Upload {DATA.name} and tune: probes, ensemble, MLP and NMTune side by side")
        dataset = client.datasets.upload(DATA, name="intents")
        rows = ", ".join(f"{split.name} {split.n_rows}" for split in dataset.splits)
        print(f"{dataset.n_columns} columns, {len(dataset.classes)} classes; rows: {rows}")
        job = client.jobs.create(dataset=dataset.id, name="intents", alias="prod")
        job.wait(progress=True)

        heading("3. The report")
        report = job.report()
        print(report)
        report.save_html(REPORT)

        heading("4. A prediction with the Python client")
        with np.load(DATA, allow_pickle=False) as arrays:
            embedding = arrays["ood_hwu_x"][:1].astype(np.float32)
            truth = arrays["class_names"][arrays["ood_hwu_y"][0]]
        prediction = client.predict("intents@prod", embedding)
        probability = prediction.probabilities.max()
        print(f"a HWU64 request labelled '{truth}' -> '{prediction.labels[0]}' ({probability:.1%})")

        heading("5. The same with curl")
        numbers = ",".join(f"{value:.6g}" for value in embedding[0])
        curl = ["curl", "-sS", f"{url}/predict?head=intents@prod&embedding={numbers}"]
        print(
            shlex.join(curl[:2]), f"'{url}/predict?head=intents@prod&embedding={numbers[:28]}...'"
        )
        if shutil.which("curl"):
            answer = subprocess.run(curl, check=True, capture_output=True, text=True).stdout
            print(answer if len(answer) < 300 else f"{answer[:300]}...")
        else:
            print("(curl is not installed here)")

    heading(f"Done in {time.monotonic() - started:.0f} s. Where to look next")
    print(
        f"  {REPORT!s:<31} the report with its figures, for any browser\n"
        "  make serve                      the same server and head, on port 8000\n"
        f"  http://127.0.0.1:8000/ui/jobs/{job.id}/report\n"
        "                                  the report as a page, while that server runs\n"
        "  http://127.0.0.1:8000/docs      every route, to try out\n"
        "  .venv/bin/nmtune tune YOUR.npz --name pets\n"
        "  README.md                       your own embeddings, in Python or with curl"
    )


if __name__ == "__main__":
    main()

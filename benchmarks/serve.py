"""Predictions under load: this server as users start it, beside others that serve the same head.

python benchmarks/serve.py [--seconds 4] [--overload-seconds 30] [--rounds 7] [--peers DIR]
                           [--only-overload] [--write docs/inside/benchmarks.md]

One head (NMTune, 768 columns, 3072 hidden units, 10 classes), one machine, wrk as the load on the
same cores, one run. --peers names a folder with one virtual environment a peer (litserve, bentoml,
mlserver, mlflow), each with torch; one that is not there is skipped with a line.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import page
import psutil
import serve_access
import serve_head
from serve_load import Body, Bystander, Load, ask, free_port, proportional_bytes, running

import migrations
from nmtune.serving.folded import fold
from nmtune.serving.session import Session

PEERS = Path(__file__).parent / "peers"
BIN = Path(sys.executable).parent
HEAD = (
    "server", "1 row JSON x 64: requests/s", "p99, ms", "1 row JSON x 1: requests/s", "p99, ms",
    "1,024 rows JSON x 8: rows/s", "1,024 rows binary x 8: rows/s", "the same, float16: rows/s",
    "the same, labels alone: rows/s", "memory, MB",
)  # fmt: skip
LARGE = 1024
SETTLE_SECONDS = 8
"""What a server starts beside itself shall have started."""


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """How to start a server, and the bodies that it takes."""

    name: str
    command: Callable[[int], Sequence[str]]
    json_body: Callable[[int], Body]
    binary_body: Callable[[int], Body] | None = None
    float16_body: Callable[[int], Body] | None = None
    """Half the bytes."""
    labels_body: Callable[[int], Body] | None = None
    """Binary, and answered with a class number a row."""
    environment: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None


def body_of(path: str, said: object) -> Body:
    """A JSON body."""
    return Body(
        path=path,
        content=json.dumps(said).encode(),
        headers={"Content-Type": "application/json"},
    )


def plain(n: int, path: str = "/predict", key: str = "embeddings") -> Body:
    """What most peers take."""
    return body_of(path, {key: serve_head.rows(n).tolist()})


def ours(n: int) -> Body:
    """Our own JSON."""
    said = {"head": f"{serve_head.NAME}@prod", "embeddings": serve_head.rows(n).tolist()}
    return body_of("/predict", said)


def ours_binary(n: int, more: str = "", dtype: str = "float32") -> Body:
    """Our own binary body, with a binary answer. more: further parameters."""
    kind = "application/octet-stream"
    return Body(
        path=f"/predict?head={serve_head.NAME}@prod&shape={n},{serve_head.COLUMNS}{more}",
        content=serve_head.rows(n).astype(dtype).tobytes(),
        headers={"Content-Type": kind, "Accept": kind},
    )


def ours_float16(n: int) -> Body:
    """The same in half the bytes."""
    return ours_binary(n, "&dtype=float16", "float16")


def ours_labels(n: int) -> Body:
    """Our own binary body, answered with labels alone."""
    return ours_binary(n, "&output=labels")


def v2(n: int) -> Body:
    """The Open Inference Protocol's JSON."""
    x = serve_head.rows(n)
    tensor = {"name": "x", "shape": list(x.shape), "datatype": "FP32", "data": x.ravel().tolist()}
    return body_of("/v2/models/head/infer", {"inputs": [tensor]})


def bytes_of(n: int) -> Body:
    """BentoML's body of bytes."""
    return Body(
        path="/predict_bytes",
        content=serve_head.rows(n).tobytes(),
        headers={"Content-Type": "application/octet-stream"},
    )


def contestants(folder: Path, peers: Path | None) -> Iterator[Contestant]:
    """Ours first, then the naive endpoint, then the peers that are installed."""
    data = str(folder / "data")

    def up(port: int) -> list[str]:
        return [sys.executable, "-m", "standalone", "up", "--port", str(port), "--data-dir", data]

    served = {"SERVED_HEAD": str(folder / "served.npz")}
    yield Contestant(
        name="NMTune (`nmtune-server up`)",
        command=up,
        json_body=ours,
        binary_body=ours_binary,
        float16_body=ours_float16,
        labels_body=ours_labels,
    )
    yield Contestant(
        name="naive FastAPI",
        command=lambda port: [
            *(str(BIN / "uvicorn"), "naive:app", "--port", str(port)),
            *("--log-level", "warning", "--no-access-log"),
        ],
        json_body=plain,
        environment=served,
        cwd=PEERS,
    )
    for name in ("litserve", "bentoml", "mlserver", "mlflow"):
        if peers is None or not (peers / name / "bin" / "python").exists():
            print(f"{name}: not installed, skipped", flush=True)
            continue
        path = {"PATH": f"{peers / name / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": ""}
        yield _peer(name, peers / name / "bin", folder, {**served, **path})


def _peer(name: str, bin_: Path, folder: Path, environment: Mapping[str, str]) -> Contestant:
    if name == "litserve":
        return Contestant(
            name="LitServe",
            command=lambda port: [str(bin_ / "python"), "litserve_app.py", str(port)],
            json_body=plain,
            environment=environment,
            cwd=PEERS,
        )
    if name == "bentoml":
        return Contestant(
            name="BentoML",
            command=lambda port: [
                *(str(bin_ / "bentoml"), "serve", "bento_service:Head"),
                *("--host", "127.0.0.1", "--port", str(port)),
            ],
            json_body=plain,
            binary_body=bytes_of,
            environment={**environment, "BENTOML_DO_NOT_TRACK": "True"},
            cwd=PEERS,
        )
    if name == "mlserver":
        ports = {"MLSERVER_GRPC_PORT": str(free_port()), "MLSERVER_METRICS_PORT": str(free_port())}
        return Contestant(
            name="MLServer",
            command=lambda port: [
                *("/usr/bin/env", f"MLSERVER_HTTP_PORT={port}"),
                *(str(bin_ / "mlserver"), "start", "."),
            ],
            json_body=v2,
            environment={**environment, **ports},
            cwd=PEERS / "mlserver",
        )
    model = folder / "mlflow-model"
    environment = {**environment, "MLFLOW_TRACKING_URI": f"file://{folder / 'mlruns'}"}
    if not model.exists():
        subprocess.run(
            [str(bin_ / "python"), "mlflow_model.py", str(model)],
            env={**os.environ, **environment},
            cwd=PEERS,
            check=True,
            capture_output=True,
        )
    return Contestant(
        name="MLflow",
        command=lambda port: [
            *(str(bin_ / "mlflow"), "models", "serve", "-m", str(model)),
            *("--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)),
        ],
        json_body=lambda n: plain(n, "/invocations", "inputs"),
        environment=environment,
    )


@contextmanager
def started(one: Contestant, folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """The server's URL, once it answers one row."""
    port = free_port()
    url, first = f"http://127.0.0.1:{port}", one.json_body(1)
    with running(
        one.command(port),
        environment=one.environment,
        log=folder / "log",
        probe=url + first.path,
        body=first,
        cwd=one.cwd,
    ) as process:
        yield url, process


def measure(one: Contestant, folder: Path, seconds: float) -> list[Load | float | None]:
    """The figures of one row of the table."""
    with started(one, folder) as (url, process):
        small = one.json_body(1)
        time.sleep(SETTLE_SECONDS)
        many = ask(url, small, connections=64, seconds=seconds)
        single = ask(url, small, connections=1, seconds=seconds)
        memory = proportional_bytes(process)
        large = ask(url, one.json_body(LARGE), connections=8, seconds=4 * seconds)
        arrays = [
            None if make is None else ask(url, make(LARGE), connections=8, seconds=2 * seconds)
            for make in (one.binary_body, one.float16_body, one.labels_body)
        ]
    return [many, single, large, *arrays, memory]


def floor(head_: object, seconds: float) -> tuple[float, float]:
    """Rows a second of the pure forward pass: of the folded head, and layer by layer."""
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    with np.load(Path(os.environ["BENCH_DIR"]) / "served.npz") as file:
        arrays = {name: file[name] for name in file.files}
    constants = [
        numpy_helper.from_array(a.T.copy() if a.ndim == 2 else a, name)
        for name, a in arrays.items()
    ]
    gemm = [
        helper.make_node("Gemm", ["x", "into_weight", "into_bias"], ["h0"]),
        helper.make_node("Relu", ["h0"], ["h"]),
        helper.make_node("Gemm", ["h", "back_weight", "back_bias"], ["y"]),
        helper.make_node("Add", ["y", "x"], ["z"]),
        helper.make_node("Gemm", ["z", "classifier_weight", "classifier_bias"], ["l"]),
        helper.make_node("Softmax", ["l"], ["p"], axis=1),
    ]
    shapes = [("x", serve_head.COLUMNS), ("p", serve_head.CLASSES)]
    x_info, p_info = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", width])
        for name, width in shapes
    )
    graph = helper.make_graph(gemm, "layers", [x_info], [p_info], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = os.cpu_count() or 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    engine = Session(fold(head_), n_threads=os.cpu_count() or 1)  # type: ignore[arg-type]
    x = serve_head.rows(LARGE)

    def rate(run: Callable[[], object]) -> float:
        run()
        n, began = 0, time.perf_counter()
        while time.perf_counter() - began < seconds:
            run()
            n += LARGE
        return n / (time.perf_counter() - began)

    return rate(lambda: engine.run(x)), rate(lambda: session.run(None, {"x": x}))


def overload(folder: Path, seconds: float, overload_seconds: float) -> list[str]:
    """What twice the load does: refusals, times, and what is left of it afterwards."""
    ours_up = next(contestants(folder, None))
    with started(ours_up, folder) as (url, process):
        with Bystander(url, ours(1)) as quiet:
            usual = ask(url, ours(1), connections=64, seconds=seconds)
        before = _held(process)
        # Twice as many requests a second as were answered: each connection pauses in between.
        connections = 512
        pause = int(1000 * connections / (2 * usual.rate))
        with Bystander(url, ours(1)) as busy:
            double = ask(
                url, ours(1), connections=connections, seconds=overload_seconds, pause_ms=pause
            )
        began = time.monotonic()
        again = ask(url, ours(1), connections=64, seconds=seconds)
        recovered = time.monotonic() - began
        after = _held(process)
    return [
        f"usual load (64 connections): {usual.rate:,.0f} requests/s, p99 {usual.p99:.0f} ms",
        f"{overload_seconds:,.0f} s of twice as much (512 connections, {pause} ms between): "
        f"{double.rate:,.0f} answered and {double.refused_rate:,.0f} refused a second, "
        f"{double.n_failed} connections failed",
        f"one client more meanwhile: answered within {busy.p99(200):.0f} ms, refused within "
        f"{busy.p99(429):.0f} ms (p99, of {busy.counts()}); under the usual load answered within "
        f"{quiet.p99(200):.0f} ms",
        f"the usual load again, within {recovered:.0f} s: {again.rate:,.0f} requests/s, p99 "
        f"{again.p99:.0f} ms",
        "file descriptors, threads, MB: {}, {}, {:.0f} before and {}, {}, {:.0f} after".format(
            *before, *after
        ),
    ]


def _held(process: psutil.Process) -> tuple[int, int, float]:
    return process.num_fds(), process.num_threads(), proportional_bytes(process) / 1e6


def line(name: str, figures: Sequence[Load | float | None]) -> list[str]:
    """One row of the table."""
    many, single, large, *arrays, memory = figures
    assert isinstance(many, Load)
    assert isinstance(single, Load)
    assert isinstance(large, Load)
    assert isinstance(memory, float | int)
    return [
        name,
        f"{many.rate:,.0f}",
        f"{many.p99:.0f}",
        f"{single.rate:,.0f}",
        f"{single.p99:.1f}",
        f"{large.rate * LARGE:,.0f}",
        *(f"{one.rate * LARGE:,.0f}" if isinstance(one, Load) else "" for one in arrays),
        f"{memory / 1e6:.0f}",
    ]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--overload-seconds", type=float, default=30.0)
    parser.add_argument(
        "--only-overload", action="store_true", help="print what twice the load does, and end"
    )
    parser.add_argument("--rounds", type=int, default=7, help="of keys and limits against none")
    parser.add_argument("--peers", type=Path, help="the folder of the peers' environments")
    parser.add_argument("--write", type=Path, help="put the table between the marks of this page")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["BENCH_DIR"] = name
        head_ = serve_head.make()
        serve_head.save_for_peers(head_, folder / "served.npz")
        (folder / "data").mkdir()
        migrations.upgrade(f"sqlite:///{folder / 'data' / 'nmtune.db'}")
        serve_head.publish(head_, folder / "data")
        if arguments.only_overload:
            print("\n".join(overload(folder, arguments.seconds, arguments.overload_seconds)))
            return
        load = f"{os.getloadavg()[0]:.1f}"
        rows = []
        for one in contestants(folder, arguments.peers):
            try:
                rows.append(line(one.name, measure(one, folder, arguments.seconds)))
            except (RuntimeError, subprocess.CalledProcessError) as error:
                print(f"{one.name}: {error}, skipped", flush=True)
                continue
            print(rows[-1], flush=True)
        folded, layers = floor(head_, arguments.seconds)
        notes = overload(folder, arguments.seconds, arguments.overload_seconds)
        access = serve_access.lines(
            folder, ours(1), seconds=arguments.seconds, rounds=arguments.rounds
        )
    for name, rate in (("folded as here", folded), ("layer by layer", layers)):
        rows.append([f"pure onnxruntime, {name}", *[""] * 5, f"{rate:,.0f}", *[""] * 3])
    lines = [
        f"Measured {page.machine()}; load average at the start {load}; "
        f"{arguments.seconds:g} s a cell, one run.",
        "",
        *page.table(HEAD, rows),
        "",
        *(f"- Overload: {note}." for note in notes),
        *(f"- Keys and limits: {note}." for note in access),
    ]
    print("\n".join(lines))
    if arguments.write:
        page.write(arguments.write, "serve", "\n".join(lines))


if __name__ == "__main__":
    main()

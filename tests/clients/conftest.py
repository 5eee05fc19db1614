"""A real HTTP server that answers as it is told, faults included, and a client of it."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import pytest
from nmtune_client import Client, RetryPolicy
from nmtune_client._cli.main import main

from tests.clients.examples import DATASET, JOB

PATIENCE_SECONDS = 10.0
EVENT_STREAM = "text/event-stream"


@dataclass(frozen=True)
class Request:
    """One request as the server saw it; the keys of `headers` are lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One scripted answer, and what happens behind it.

    fault: None; "drop": the connection is closed before any answer; "hang": no answer until the
    test is over; "cut": the connection is closed behind the body, which claims to go on.
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    fault: Literal["drop", "hang", "cut"] | None = None


Answer = Reply | Callable[[Request], Reply]


class FaultServer:
    """Answers each route by its script, reply after reply; the last reply stays.

    A route's event stream has a script of its own, under the method "STREAM".
    """

    DROP = Reply(fault="drop")
    HANG = Reply(fault="hang")

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self._scripts: dict[tuple[str, str], list[Answer]] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._http = _Quiet(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    def on(self, method: str, path: str, *replies: Answer) -> None:
        self._scripts[method, path] = list(replies)

    def seen(self, method: str, path: str) -> list[Request]:
        return [request for request in self.requests if _route(request) == (method, path)]

    def next_reply(self, request: Request) -> Reply:
        with self._lock:
            self.requests.append(request)
            script = self._scripts.get(_route(request))
            if not script:
                return self.problem(404, "not_found", f"nothing scripted at {request.path}")
            answer = script.pop(0) if len(script) > 1 else script[0]
        return answer if isinstance(answer, Reply) else answer(request)

    def wait_until_over(self) -> None:
        self._over.wait(PATIENCE_SECONDS)

    def close(self) -> None:
        self._over.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(PATIENCE_SECONDS)

    @staticmethod
    def ok(data: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
        all_headers = {"Content-Type": "application/json", **(headers or {})}
        return Reply(status=status, body=json.dumps(data).encode(), headers=all_headers)

    @staticmethod
    def problem(
        status: int,
        code: str,
        detail: str,
        *,
        errors: object = (),
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        data = {
            "type": "about:blank",
            "title": "A problem",
            "status": status,
            "code": code,
            "detail": detail,
            "request_id": "req_42",
            "errors": errors,
        }
        all_headers = {"Content-Type": "application/problem+json", **(headers or {})}
        return Reply(status=status, body=json.dumps(data).encode(), headers=all_headers)

    @staticmethod
    def stream(*events: Mapping[str, Any] | bytes, cut: bool = False) -> Reply:
        """An event stream of events as in the JSON list; bytes go out as they are."""
        body = b"".join(event if isinstance(event, bytes) else _message(event) for event in events)
        headers = {"Content-Type": EVENT_STREAM}
        return Reply(body=body, headers=headers, fault="cut" if cut else None)


def _route(request: Request) -> tuple[str, str]:
    is_stream = request.headers.get("accept") == EVENT_STREAM
    return ("STREAM" if is_stream else request.method), request.path


def _message(event: Mapping[str, Any]) -> bytes:
    data = json.dumps(event, ensure_ascii=False)
    return f"id: {event['id']}\nevent: {event['type']}\ndata: {data}\n\n".encode()


class _Quiet(ThreadingHTTPServer):
    """Says nothing of clients that leave early: some tests do."""

    def handle_error(self, *args: object) -> None:
        """Nothing."""


def _handler(server: FaultServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def answer(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            query = dict(parse_qsl(parts.query))
            request = Request(self.command, parts.path, query, headers, body)
            reply = server.next_reply(request)
            if reply.fault is not None:
                self.close_connection = True
            if reply.fault == "hang":
                server.wait_until_over()
            if reply.fault in ("hang", "drop"):
                return
            if reply.headers.get("Content-Type") == EVENT_STREAM:
                self.send_stream(reply)
            else:
                self.send_whole(reply)

        def send_whole(self, reply: Reply) -> None:
            missing = 1 if reply.fault == "cut" else 0
            self.send_head(reply, {"Content-Length": str(len(reply.body) + missing)})
            self.wfile.write(reply.body)

        def send_stream(self, reply: Reply) -> None:
            self.send_head(reply, {"Transfer-Encoding": "chunked"})
            middle = len(reply.body) // 2  # anywhere: chunks do not respect events
            for chunk in filter(None, (reply.body[:middle], reply.body[middle:])):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            if reply.fault is None:
                self.wfile.write(b"0\r\n\r\n")

        def send_head(self, reply: Reply, framing: Mapping[str, str]) -> None:
            self.send_response(reply.status)
            for name, value in {**reply.headers, **framing}.items():
                self.send_header(name, value)
            self.end_headers()

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815 (http.server looks for these)

        def log_message(self, *args: object) -> None:
            """Keeps the test's output to itself."""

    return Handler


@pytest.fixture
def server() -> Iterator[FaultServer]:
    fault_server = FaultServer()
    yield fault_server
    fault_server.close()


@pytest.fixture
def client(server: FaultServer) -> Iterator[Client]:
    """A client that gives up as late as the default one, but without its long pauses."""
    retry = RetryPolicy(first_delay_seconds=0.01, longest_delay_seconds=0.02)
    with Client(server.url, retry=retry, timeout=PATIENCE_SECONDS) as made:
        yield made


@pytest.fixture
def job_json() -> Callable[..., dict[str, Any]]:
    """Makes a job as the API shows it, with fields of one's own."""

    def make(**fields: object) -> dict[str, Any]:
        job = {
            "id": "job_1",
            "name": "pets",
            "dataset_id": "ds_1",
            "method": "nmtune",
            "alias": None,
            "status": "queued",
            "stage": None,
            "progress": None,
            "config": {"method": "nmtune", "configs": {}},
            "attempt": 0,
            "max_attempts": 3,
            "error": None,
            "cancel_requested_at": None,
            "head": None,
            "created_at": "2026-11-24T03:21:46.157000Z",
            "started_at": None,
            "finished_at": None,
        }
        if fields.get("status") == "succeeded":
            job["head"] = {"name": "pets", "version": 3}
        return job | fields

    return make


@pytest.fixture
def report_json() -> dict[str, Any]:
    """A report in the server's shape: one in-domain and two out-of-domain splits."""
    accuracy = {
        "linear_probe": {"train": 1.0, "test": 0.9728, "ood/hwu": 0.8484, "ood/snips": 0.9137},
        "mlp": {"train": 1.0, "test": 0.9654, "ood/hwu": 0.84, "ood/snips": 0.91},
        "nmtune": {"train": 1.0, "test": 0.9691, "ood/hwu": 0.86, "ood/snips": 0.94},
    }
    n_rows = {"train": 3240, "test": 810, "ood/hwu": 4281, "ood/snips": 1600}
    spectrum = {"effective_rank": 90.0, "singular_values": [2.0, 1.0]}
    return {
        "version": 1,
        "job_id": "job_1",
        "name": "intents",
        "method": "nmtune",
        "dataset": {
            "id": "ds_1",
            "name": "clinc",
            "n_columns": 384,
            "classes": ["a", "b"],
            "splits": [],
        },
        "candidates": {
            name: {
                "config": {},
                "n_parameters": 1,
                "train_seconds": 0.5,
                "metrics": {
                    split: {
                        "n_rows": n_rows[split],
                        "accuracy": value,
                        "macro_f1": value - 0.01,
                        "log_loss": 0.1,
                        "ece": 0.01,
                    }
                    for split, value in of_split.items()
                },
                "history": [],
                "spectra": {},
                "notes": [],
            }
            for name, of_split in accuracy.items()
        },
        "spectra": {
            "centering": "none",
            "raw": {split: {"entropy": 4.5, "largest_ratio": 2.0, **spectrum} for split in n_rows},
            "tuned": {
                split: {"entropy": 4.75, "largest_ratio": 2.5, **spectrum} for split in n_rows
            },
        },
        "comparison": [],
        "verdict": {
            "summary": "Use NMTune: it gains 1.9 points out of domain.",
            "sentences": ["Against the linear probe, NMTune gains.", "SVE rises."],
            "best_id": "linear_probe",
            "best_ood": "nmtune",
        },
        "warnings": [{"code": "few_rows", "message": "The class b has 3 rows."}],
        "environment": {"nmtune_version": "0.1.0"},
    }


@pytest.fixture
def nmtune(
    server: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Runs a command line against the fault server: exit code, stdout, stderr."""
    monkeypatch.setenv("NMTUNE_URL", server.url)

    def run(*arguments: object) -> tuple[int, str, str]:
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as error:  # argparse's way out
            code = int(error.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def trained(server: Any, job_json: Callable[..., Any], report_json: dict[str, Any]) -> None:
    """A server on which the next job succeeds at once."""
    server.on("POST", "/datasets", server.ok(DATASET, status=201))
    server.on("POST", "/jobs", server.ok(job_json(alias="prod"), status=202))
    server.on("GET", JOB, server.ok(job_json(status="succeeded", alias="prod")))
    server.on("GET", f"{JOB}/events", server.ok({"items": [], "next_cursor": None}))
    server.on("GET", f"{JOB}/report", server.ok(report_json))


@pytest.fixture
def npz(tmp_path: Path) -> Path:
    path = tmp_path / "pets.npz"
    x = np.arange(8, dtype=np.float32).reshape(4, 2)
    np.savez(path, train_x=x, train_y=[0, 1, 0, 1], class_names=["cat", "dog"])
    return path

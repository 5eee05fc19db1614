"""Every guard, header, log field and metric, walked: a door and the router behave alike."""

import asyncio
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from fastapi import FastAPI
from prometheus_client import REGISTRY

from service.app import create_app
from service.http.layers import metrics
from service.predict.predictor import Predictor
from service.settings import ServiceSettings
from store.queue import LocalQueue
from store.registry import aliases
from store.store import Store
from tests.service.in_process import publish
from tests.store.access.access_calls import make_key

Headers = list[tuple[str, str]]
ROW = [0.1, 0.2, 0.3]
BODIES: dict[str, tuple[str, str, str, Any]] = {
    "predict": ("POST", "/predict", "/predict", {"head": "pets", "embeddings": [ROW]}),
    "infer": (
        "POST",
        "/v2/models/pets/infer",
        "/v2/models/{name}/infer",
        {"inputs": [{"name": "embeddings", "shape": [1, 3], "datatype": "FP32", "data": ROW}]},
    ),
    "infer a version": (
        "POST",
        "/v2/models/pets/versions/1/infer",
        "/v2/models/{name}/versions/{version}/infer",
        {"inputs": [{"name": "embeddings", "shape": [1, 3], "datatype": "FP32", "data": ROW}]},
    ),
}
ROUTER = ("PUT", "/heads/pets/aliases/prod", "/heads/{name}/aliases/{alias}", {"version": 1})
ALWAYS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'",
}
OWN = {"content-type", "content-length", "ratelimit", "ratelimit-policy"}
"""Headers whose values are of the path."""
LINE = re.compile(
    r"request\.finished method=(\w+) path=(\S+) status=(\d+) seconds=\d+\.\d{4} request_id=(\S+)"
)


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is done to a request, and what comes of it."""

    status: int
    code: str | None = None
    drop: frozenset[str] = frozenset()
    add: Headers = field(default_factory=list)
    n_more: int = 0
    """Bytes of white space after the body."""
    is_announced: bool = True
    is_slow: bool = False
    leaves: bool = False
    is_known: bool = True
    """Whether the request comes as far as its route, which the metrics then name."""
    scheme: str = "http"


GUARDS = {
    "nothing": Case(status=200),
    "an own id": Case(status=200, add=[("x-request-id", "trace-1.A")]),
    "an id that is none": Case(status=200, add=[("x-request-id", "a b")]),
    "over TLS by name": Case(
        status=200, drop=frozenset({"host"}), add=[("host", "nm.example")], scheme="https"
    ),
    "an unknown host": Case(
        status=421,
        code="unknown_host",
        drop=frozenset({"host"}),
        add=[("host", "evil.example")],
        is_known=False,
    ),
    "two hosts": Case(status=400, code="invalid_host", add=[("host", "localhost")], is_known=False),
    "another site": Case(
        status=403, code="cross_site", add=[("origin", "https://evil.example")], is_known=False
    ),
    "another site's fetch": Case(
        status=403, code="cross_site", add=[("sec-fetch-site", "cross-site")], is_known=False
    ),
    "no key": Case(
        status=401, code="key_missing", drop=frozenset({"authorization"}), is_known=False
    ),
    "a wrong key": Case(
        status=401,
        code="key_invalid",
        drop=frozenset({"authorization"}),
        add=[("authorization", "Bearer nmk_no")],
        is_known=False,
    ),
    "two keys": Case(
        status=400,
        code="ambiguous_credentials",
        add=[("authorization", "Bearer nmk_no")],
        is_known=False,
    ),
    "too large": Case(status=413, code="body_too_large", n_more=300_000, is_known=False),
    "too large and chunked": Case(
        status=413, code="body_too_large", n_more=300_000, is_announced=False
    ),
    "too slow": Case(status=408, code="body_too_slow", is_slow=True),
    "no JSON": Case(status=400, code="invalid_json", add=[("x-broken", "yes")]),
    "a client that leaves": Case(status=499, leaves=True),
}


@dataclass(frozen=True)
class Seen:
    """An answer, and what was noted of it."""

    status: int
    headers: dict[str, str]
    body: Any
    counted: float
    timed: float


@pytest.fixture(scope="module")
def app(
    tmp_path_factory: pytest.TempPathFactory, sqlite_template: Any, trained: bytes
) -> Iterator[tuple[FastAPI, str]]:
    """The real app with keys and limits on, a head, and a key that may do everything."""
    data = tmp_path_factory.mktemp("front")
    (data / "nmtune.db").write_bytes(sqlite_template.read_bytes())
    settings = ServiceSettings(
        data_dir=data,
        database_url=f"sqlite:///{data / 'nmtune.db'}",
        auth="on",
        max_json_bytes=256 * 1024,
        body_seconds=0.2,
        allowed_hosts="nm.example",
        limit_predict_rows_per_second="1000",
        limit_writes_per_second="1000",
    )
    store = Store.open(settings)
    publish(store, trained)
    yield create_app(settings, store=store, queue=LocalQueue()), make_key(store).secret
    store.close()


def ask(app: tuple[FastAPI, str], of: tuple[str, str, str, Any], case: Case) -> Seen:
    """One request, and what it leaves in the log and in the metrics."""
    method, path, template, said = of
    is_broken = ("x-broken", "yes") in case.add
    content = (b"{no" if is_broken else json.dumps(said).encode()) + b" " * case.n_more
    headers = [("host", "localhost"), ("authorization", f"Bearer {app[1]}")]
    headers += [("content-type", "application/json")]
    headers += [("content-length", str(len(content)))] if case.is_announced else []
    headers = [one for one in headers if one[0] not in case.drop] + case.add
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "scheme": case.scheme,
        "http_version": "1.1",
        "client": ("127.0.0.1", 1),
        "server": ("localhost", 80),
        "headers": [(name.encode(), value.encode()) for name, value in headers],
    }
    pieces = [content[at : at + 50_000] for at in range(0, len(content), 50_000)]
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        if case.leaves or not pieces:
            return {"type": "http.disconnect"}
        if case.is_slow:
            await asyncio.sleep(60)
        return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

    async def send(message: Any) -> None:
        sent.append(message)

    async def serve() -> None:
        await app[0](scope, receive, send)

    labels = {
        "route": template if case.is_known else metrics.NO_ROUTE,
        "method": method,
        "status": str(case.status),
    }
    timed = {name: value for name, value in labels.items() if name != "status"}
    before = _counts(labels, timed)
    asyncio.run(serve())
    after = _counts(labels, timed)
    start: Any = sent[0] if sent else {"status": 499, "headers": []}
    whole = b"".join(one.get("body", b"") for one in sent[1:])
    return Seen(
        start["status"],
        {name.decode(): value.decode() for name, value in start["headers"]},
        json.loads(whole) if whole else None,
        after[0] - before[0],
        after[1] - before[1],
    )


def _counts(labels: dict[str, str], timed: dict[str, str]) -> tuple[float, float]:
    found = (
        REGISTRY.get_sample_value("nmtune_http_requests_total", labels),
        REGISTRY.get_sample_value("nmtune_http_request_seconds_count", timed),
    )
    return found[0] or 0.0, found[1] or 0.0


@pytest.mark.parametrize("name", GUARDS)
def test_a_door_and_the_router_behave_alike(
    app: tuple[FastAPI, str], name: str, caplog: pytest.LogCaptureFixture
) -> None:
    case = GUARDS[name]
    app[0].state.access.guesses.__init__()  # wrong keys of earlier cases do not count
    caplog.set_level("INFO")
    by_way: dict[str, Seen] = {}
    for way, of in {"router": ROUTER, **BODIES}.items():
        caplog.clear()
        seen = ask(app, of, case)
        by_way[way] = seen
        assert case.leaves or seen.status == case.status, (way, seen.body)
        assert seen.counted == 1, way
        assert seen.timed == (0 if case.leaves else 1), way
        assert REGISTRY.get_sample_value("nmtune_http_requests_in_flight") == 0
        (line,) = [r.message for r in caplog.records if "request.finished" in r.message]
        found = LINE.fullmatch(line)
        assert found is not None, line
        assert (found[1], found[2], found[3]) == (of[0], of[1], str(case.status))
        if case.leaves:
            continue  # nobody receives the answer
        assert found[4] == seen.headers["x-request-id"]
        assert ALWAYS.items() <= seen.headers.items(), way
        if case.code is not None:
            _assert_refused(way, seen, by_way["router"], case.code)
    if case.leaves:
        return
    first = _shared(by_way["router"])
    for way, seen in by_way.items():
        assert _shared(seen) == first, way
    if name == "an own id":
        assert by_way["predict"].headers["x-request-id"] == "trace-1.A"
    if name == "over TLS by name":
        assert "strict-transport-security" in first


def _assert_refused(way: str, seen: Seen, by_router: Seen, code: str) -> None:
    assert int(seen.headers["content-length"]) == len(json.dumps(seen.body, separators=(",", ":")))
    if way.startswith("infer"):
        assert seen.headers["content-type"] == "application/json"
        assert seen.body == {"error": by_router.body["detail"]}
        return
    assert seen.headers["content-type"] == "application/problem+json"
    own = {"request_id": seen.headers["x-request-id"]}
    assert seen.body == by_router.body | own
    assert seen.body["code"] == code


def _shared(seen: Seen) -> dict[str, str]:
    """The headers that are alike, and which others there are."""
    return {
        name: "" if name in OWN or name == "x-request-id" else value
        for name, value in seen.headers.items()
    }


@pytest.mark.parametrize("way", [*BODIES, "router"])
def test_what_is_left_of_a_limit_is_told_and_over_it_is_refused(
    app: tuple[FastAPI, str], way: str
) -> None:
    of = {**BODIES, "router": ROUTER}[way]
    told = ask(app, of, GUARDS["nothing"]).headers
    assert told["ratelimit-policy"].startswith('"write"' if way == "router" else '"predict"')
    (allowance,) = app[0].state.limiter._known.values()
    for bucket in allowance.buckets.values():
        bucket.full_at = dict.fromkeys(bucket.full_at, time.monotonic() + 1000)
    refused = ask(app, of, Case(status=429, is_known=False))
    for bucket in allowance.buckets.values():
        bucket.full_at = {}
    assert refused.status == 429
    assert refused.counted == 1
    assert {"retry-after", "ratelimit", "ratelimit-policy"} <= refused.headers.keys()


@pytest.mark.parametrize("way", [*BODIES, "router"])
def test_a_bug_is_told_by_its_id_alone_and_logged_once(
    app: tuple[FastAPI, str],
    way: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the secret of the bug")

    monkeypatch.setattr(Predictor, "answer", broken)
    monkeypatch.setattr(aliases, "point", broken)
    seen = ask(app, {**BODIES, "router": ROUTER}[way], Case(status=500))
    assert (seen.status, seen.counted) == (500, 1)
    assert "secret" not in str(seen.body)
    assert "not your request's fault" in str(seen.body)
    assert ALWAYS.items() <= seen.headers.items()
    assert [r.message for r in caplog.records if r.levelname == "ERROR"] == [
        f"request.crashed request_id={seen.headers['x-request-id']}"
    ]

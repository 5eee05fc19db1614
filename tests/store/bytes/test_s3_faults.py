"""A bucket in trouble: bounded time, the right error, nothing half done, and recovery after."""

import hashlib
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from store.bytes.s3 import artifacts as s3_artifacts
from store.bytes.s3.artifacts import S3Artifacts
from store.bytes.s3.client import Patience
from store.errors import StorageUnavailable
from tests.servers.s3 import PREFIX, S3Place
from tests.servers.s3_proxy import Fault, Request

DATA = b"head" * 1000
SHA = hashlib.sha256(DATA).hexdigest()
PART = 5 << 20
LARGE = bytes(range(256)) * (2 * PART // 256) + b"and a bit"
LARGE_SHA = hashlib.sha256(LARGE).hexdigest()
IMPATIENT = Patience(connect_seconds=1.0, answer_seconds=1.5, n_tries=2)
# What IMPATIENT allows one request: two tries and a pause of at most a second. A call makes few.
BOUND_SECONDS = 30.0


@pytest.fixture
def artifacts(s3: S3Place) -> S3Artifacts:
    """Somebody whose patience a test can afford to lose."""
    return s3.open(patience=IMPATIENT, part_bytes=PART)


def put_large(artifacts: S3Artifacts, folder: Path) -> object:
    source = folder / "large"
    source.write_bytes(LARGE)
    return artifacts.put_file("default", source)


WRITES: dict[str, Callable[[S3Artifacts, Path], object]] = {
    "put_bytes": lambda artifacts, _: artifacts.put_bytes("default", DATA),
    "put_file": put_large,
}
READS: dict[str, Callable[[S3Artifacts, Path], object]] = {
    "get_bytes": lambda artifacts, _: artifacts.get_bytes("default", SHA),
    "open_path": lambda artifacts, _: artifacts.open_path("default", SHA),
    "exists": lambda artifacts, _: artifacts.exists("default", SHA),
    "stored": lambda artifacts, _: list(artifacts.stored()),
}
OTHERS: dict[str, Callable[[S3Artifacts, Path], object]] = {
    "check": lambda artifacts, _: artifacts.check(),
    "delete": lambda artifacts, _: artifacts.delete("default", SHA),
    "collect": lambda artifacts, _: artifacts.delete(
        "default", SHA, unless_put_after=datetime.now(UTC) + timedelta(hours=1)
    ),
    "remove_leftovers": lambda artifacts, _: artifacts.remove_leftovers(older_than_seconds=0),
}
CALLS = WRITES | READS | OTHERS
REASONS = {
    Fault.ERROR: "answers with status 500",
    Fault.HANG: "does not answer in time",
    Fault.LOST: "cannot be reached",
}


def fails(call: Callable[[], object], *, because: str) -> None:
    """The call ends in the error for users, in bounded time."""
    began = time.monotonic()
    with pytest.raises(StorageUnavailable, match=because) as raised:
        call()
    assert time.monotonic() - began < BOUND_SECONDS
    for secret in ("127.0.0.1", "bucket-", "http"):
        assert secret not in str(raised.value)


@pytest.mark.slow
@pytest.mark.parametrize("fault", REASONS, ids=lambda fault: fault.name)
@pytest.mark.parametrize("call", CALLS)
def test_a_storage_in_lasting_trouble_ends_every_call_and_recovers(
    s3: S3Place,
    artifacts: S3Artifacts,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    fault: Fault,
) -> None:
    if call not in WRITES:
        artifacts.put_bytes("default", DATA)
    s3.proxy.fail(fault)
    fails(lambda: CALLS[call](artifacts, folder), because=REASONS[fault])
    s3.proxy.heal()
    # With LOST the server has done what it was asked; else nothing has happened.
    if call in WRITES and fault is not Fault.LOST:
        assert s3.names() == []
    if call in READS:
        assert s3.names() == [s3.key(SHA)]
    monkeypatch.setattr(s3_artifacts, "_MARK_SECONDS", -1.0)  # a minute has gone by
    CALLS[call](artifacts, folder)
    artifacts.put_bytes("default", DATA)
    assert artifacts.get_bytes("default", SHA) == DATA
    assert s3.uploads() == [] or call == "put_file"


@pytest.mark.parametrize("call", CALLS)
def test_a_storage_that_refuses_connections_ends_every_call_and_recovers(
    s3: S3Place, artifacts: S3Artifacts, folder: Path, call: str
) -> None:
    s3.proxy.close()
    fails(lambda: CALLS[call](artifacts, folder), because="cannot be reached")
    assert s3.names() == []
    s3.proxy.open()
    artifacts.put_bytes("default", DATA)
    CALLS[call](artifacts, folder)


@pytest.mark.parametrize("fault", [Fault.ERROR, Fault.LOST], ids=lambda fault: fault.name)
@pytest.mark.parametrize("nth", range(5))
def test_trouble_that_passes_is_not_even_noticed(
    s3: S3Place, artifacts: S3Artifacts, folder: Path, fault: Fault, nth: int
) -> None:
    """One broken request among those of a large put, a small one, and two reads."""
    for what, is_it in {
        "small": lambda: artifacts.put_bytes("default", DATA).sha256 == SHA,
        "large": lambda: put_large(artifacts, folder) is not None,
        "read": lambda: artifacts.get_bytes("default", LARGE_SHA) == LARGE,
        "path": lambda: artifacts.open_path("default", LARGE_SHA).read_bytes() == LARGE,
    }.items():
        seen = len(s3.proxy.requests)
        s3.proxy.fail(fault, lambda _, seen=seen: len(s3.proxy.requests) > seen + nth, times=1)
        assert is_it(), what
        s3.proxy.heal()
    assert s3.names() == sorted([s3.key(SHA), s3.key(LARGE_SHA)]), "each once"
    assert {item.sha256 for item in artifacts.stored()} == {SHA, LARGE_SHA}


def is_body(request: Request) -> bool:
    return request.method == "GET" and SHA in request.path


@pytest.mark.parametrize("read", ["get_bytes", "open_path"])
@pytest.mark.parametrize("fault", [Fault.CUT, Fault.SLOW], ids=lambda fault: fault.name)
def test_a_download_that_breaks_off_goes_on_where_it_broke(
    s3: S3Place, artifacts: S3Artifacts, folder: Path, read: str, fault: Fault
) -> None:
    artifacts.put_bytes("default", DATA)
    s3.proxy.fail(fault, is_body, times=1)
    found = READS[read](artifacts, folder)
    assert (found.read_bytes() if isinstance(found, Path) else found) == DATA
    first, second = (one for one in s3.proxy.requests if is_body(one))
    assert "range" not in first.headers
    if fault is Fault.CUT:
        assert second.headers["range"] == f"bytes={len(DATA) // 2}-"


@pytest.mark.parametrize("read", ["get_bytes", "open_path"])
@pytest.mark.parametrize("fault", [Fault.CUT, Fault.SLOW], ids=lambda fault: fault.name)
def test_a_download_that_always_breaks_off_gives_nothing_out(
    s3: S3Place, artifacts: S3Artifacts, folder: Path, read: str, fault: Fault
) -> None:
    artifacts.put_bytes("default", DATA)
    s3.proxy.fail(fault, is_body)
    fails(lambda: READS[read](artifacts, folder), because="cannot read now")
    kept = [path for path in (folder / "artifact-cache").rglob("*") if path.is_file()]
    assert [path.name for path in kept] == [".lock"], "nothing half is kept"
    s3.proxy.heal()
    READS[read](artifacts, folder)


def test_a_put_whose_answer_is_lost_is_done_once(s3: S3Place, artifacts: S3Artifacts) -> None:
    s3.proxy.fail(Fault.LOST, lambda request: request.method == "PUT", times=1)
    artifacts.put_bytes("default", DATA)
    assert s3.names() == [s3.key(SHA)]
    assert artifacts.get_bytes("default", SHA) == DATA


@pytest.mark.parametrize("fault", [Fault.LOST, Fault.ERROR], ids=lambda fault: fault.name)
def test_a_large_put_whose_last_request_fails_is_whole_or_not_there(
    s3: S3Place, artifacts: S3Artifacts, folder: Path, fault: Fault
) -> None:
    def is_last(request: Request) -> bool:
        return request.method == "POST" and "uploadId=" in request.path

    s3.proxy.fail(fault, is_last)
    fails(lambda: put_large(artifacts, folder), because="The artifact storage cannot write now")
    assert (folder / "large").exists(), "the caller still has it"
    assert s3.names() == ([s3.key(LARGE_SHA)] if fault is Fault.LOST else [])
    assert s3.uploads() == []
    s3.proxy.heal()
    put_large(artifacts, folder)
    assert artifacts.get_bytes("default", LARGE_SHA) == LARGE


def test_a_deletion_of_unknown_outcome_is_not_sent_again_and_keeps_its_mark(
    s3: S3Place, artifacts: S3Artifacts
) -> None:
    """Sent again it would remove what was put in between; and it may still be on its way."""
    artifacts.put_bytes("default", DATA)
    s3.proxy.fail(Fault.LOST, lambda request: request.method == "DELETE")
    moment = datetime.now(UTC) + timedelta(hours=1)
    fails(lambda: artifacts.delete("default", SHA, unless_put_after=moment), because="cannot write")
    assert s3.proxy.count("DELETE") == 1
    assert s3.names() == [f"{PREFIX}/.collecting/default/{SHA}"]


def test_the_log_has_the_cause(
    s3: S3Place, artifacts: S3Artifacts, caplog: pytest.LogCaptureFixture
) -> None:
    s3.proxy.fail(Fault.ERROR)
    with caplog.at_level(logging.ERROR):
        fails(artifacts.check, because="status 500")
    assert "InternalError" in caplog.text

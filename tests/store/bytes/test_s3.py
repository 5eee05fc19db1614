"""What is particular to a bucket: keys, parts, collections, leftovers, what an operator sees."""

import hashlib
import logging
import os
import sys
import threading
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pytest

from store.bytes.local import LocalArtifacts
from store.bytes.port import Artifacts
from store.bytes.s3 import artifacts as s3_artifacts
from store.bytes.s3.artifacts import S3Artifacts
from store.bytes.s3.bucket import Bucket
from store.bytes.s3.client import Patience
from store.cleanup import garbage
from store.errors import ArtifactMissing, StorageUnavailable, StoreError
from store.settings import StoreSettings
from store.store import Store, open_artifacts
from tests.servers.s3 import PREFIX, S3Place
from tests.servers.s3_proxy import Request
from tests.store.made_rows import Rows

DATA = b"head" * 1000
SHA = hashlib.sha256(DATA).hexdigest()
PART = 5 << 20  # the smallest that S3 allows
LATER = timedelta(hours=1)


@pytest.fixture
def artifacts(s3: S3Place) -> S3Artifacts:
    return s3.open()


@pytest.fixture
def large(folder: Path) -> Path:
    """A file of two and a half parts."""
    path = folder / "large"
    path.write_bytes(os.urandom(PART * 5 // 2))
    return path


def is_put_of(part: str) -> Callable[[Request], bool]:
    return lambda request: request.method == "PUT" and part in request.path


def test_it_is_the_port_and_what_the_settings_open(s3: S3Place) -> None:
    port: Artifacts = open_artifacts(s3.settings())
    assert isinstance(port, S3Artifacts)
    assert s3.proxy.requests == [], "opening asks for nothing"


def test_an_artifact_is_the_object_its_tenant_and_hash_name(
    s3: S3Place, artifacts: S3Artifacts
) -> None:
    artifacts.put_bytes("default", DATA)
    assert s3.names() == [f"{PREFIX}/default/{SHA}"]
    (put,) = s3.proxy.requests
    assert put.is_conditional, "it overwrites nothing"


def test_without_a_prefix_the_bucket_is_the_place(s3: S3Place) -> None:
    artifacts = s3.open(artifacts_url=f"s3://{s3.bucket}/")
    artifacts.put_bytes("default", DATA)
    assert s3.names() == [f"default/{SHA}"]
    assert [item.sha256 for item in artifacts.stored()] == [SHA]


def test_another_prefix_is_another_place(s3: S3Place, artifacts: S3Artifacts) -> None:
    other = s3.open(artifacts_url=f"s3://{s3.bucket}/some/prefix2", data_dir=s3.folder / "other")
    other.put_bytes("default", DATA)
    assert list(artifacts.stored()) == []
    assert not artifacts.exists("default", SHA)


def test_a_long_inventory_comes_whole(s3: S3Place, artifacts: S3Artifacts) -> None:
    put = {artifacts.put_bytes("default", bytes([i])).sha256 for i in range(7)}
    assert {item.sha256 for item in artifacts.stored()} == put
    assert s3.proxy.count("GET", "list-type=2") == 3, "the server gives three at a time"


def test_a_large_file_is_sent_in_parts_from_the_disk(s3: S3Place, large: Path) -> None:
    data = large.read_bytes()
    artifacts = s3.open(part_bytes=PART)
    ref = artifacts.put_file("default", large)
    assert s3.proxy.count("PUT", "partNumber=") == 3
    assert s3.names() == [s3.key(ref.sha256)]
    assert s3.uploads() == []
    assert artifacts.get_bytes("default", ref.sha256) == data
    assert artifacts.open_path("default", ref.sha256).read_bytes() == data


def test_a_large_file_that_is_there_is_seen_before_it_is_sent(s3: S3Place, large: Path) -> None:
    data = large.read_bytes()
    artifacts = s3.open(part_bytes=PART)
    artifacts.put_bytes("default", data)
    s3.proxy.requests.clear()
    artifacts.put_file("default", large)
    assert s3.proxy.count("PUT", "partNumber=") == 3, "once, to make it young"


@pytest.mark.slow
def test_memory_stays_bounded_however_large_the_file(s3: S3Place, folder: Path) -> None:
    path = folder / "large"
    with path.open("wb") as file:
        file.truncate(80 << 20)
    artifacts = s3.open(part_bytes=PART)
    artifacts.put_bytes("default", DATA)  # what the library keeps for good
    # The proxy holds each body too, in this process: so it is left aside.
    bucket = Bucket(s3.client, s3.bucket, Patience(), part_bytes=PART)
    sha256 = hashlib.sha256(bytes(80 << 20)).hexdigest()
    tracemalloc.start()
    with path.open("rb") as source:
        bucket.put("x", source, size_bytes=80 << 20, sha256=sha256)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * PART


def test_a_file_that_changes_while_it_is_sent_is_not_stored(s3: S3Place, large: Path) -> None:
    artifacts = s3.open(part_bytes=PART)
    s3.proxy.before(
        lambda request: request.path.endswith("?uploads"), lambda _: large.write_bytes(b"other")
    )
    with pytest.raises(StorageUnavailable, match="changed while"):
        artifacts.put_file("default", large)
    assert s3.names() == []
    assert s3.uploads() == []
    assert large.exists()


def test_bytes_that_are_not_what_they_are_named_are_not_sent(s3: S3Place) -> None:
    bucket = Bucket(s3.client, s3.bucket, Patience())
    with pytest.raises(OSError, match="changed while"):
        bucket.put("x", BytesIO(b"other"), size_bytes=5, sha256=SHA)
    assert s3.names() == []


def test_bytes_put_again_while_a_collection_removes_them_are_there(
    s3: S3Place, artifacts: S3Artifacts
) -> None:
    """The collection has found the bytes old, and now, before its deletion, they are put again."""
    artifacts.put_bytes("default", DATA)
    is_put, other = threading.Event(), s3.open(data_dir=s3.folder / "other")

    def put_again(_: Request) -> None:
        other.put_bytes("default", DATA)
        is_put.set()

    thread = threading.Thread(target=put_again, args=(None,))

    def before_deletion(_: Request) -> None:
        thread.start()
        while not s3.proxy.count("HEAD", ".collecting"):  # it has put, and waits for the mark
            is_put.wait(0.01)
        assert not is_put.is_set(), "it must not believe that the bytes will stay"

    s3.proxy.before(lambda request: request.method == "DELETE", before_deletion)
    assert artifacts.delete("default", SHA, unless_put_after=datetime.now(UTC) + LATER)
    thread.join()
    assert is_put.is_set()
    assert artifacts.get_bytes("default", SHA) == DATA
    assert s3.names() == [s3.key(SHA)], "no mark is left"


def test_a_collection_sees_what_was_put_before_it_looked(
    s3: S3Place, artifacts: S3Artifacts
) -> None:
    artifacts.put_bytes("default", DATA)
    old = datetime.now(UTC) - LATER
    s3.proxy.before(
        lambda request: request.method == "HEAD", lambda _: s3.overwrite("default", SHA, DATA)
    )
    assert not artifacts.delete("default", SHA, unless_put_after=old)
    assert s3.names() == [s3.key(SHA)]


def test_one_collection_at_a_time_has_the_mark(s3: S3Place, artifacts: S3Artifacts) -> None:
    artifacts.put_bytes("default", DATA)
    second: list[bool] = []
    moment = datetime.now(UTC) + LATER
    s3.proxy.before(
        lambda request: request.method == "DELETE",
        lambda _: second.append(artifacts.delete("default", SHA, unless_put_after=moment)),
    )
    assert artifacts.delete("default", SHA, unless_put_after=moment)
    assert second == [False]
    assert s3.names() == []


def test_a_dead_collections_mark_holds_nobody_up_for_long(
    s3: S3Place, artifacts: S3Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = f"{PREFIX}/.collecting/default/{SHA}"
    artifacts.put_bytes("default", DATA)
    s3.write(mark, b"")
    assert not artifacts.delete("default", SHA, unless_put_after=datetime.now(UTC) + LATER)
    assert artifacts.remove_leftovers(older_than_seconds=0) == 0, "it may still be alive"
    monkeypatch.setattr(s3_artifacts, "_MARK_SECONDS", -1.0)
    artifacts.put_bytes("default", DATA)
    assert s3.names() == [s3.key(SHA)]
    s3.write(mark, b"")
    assert artifacts.remove_leftovers(older_than_seconds=0) == 1
    assert s3.names() == [s3.key(SHA)]


def test_the_garbage_collection_keeps_what_a_row_names(
    s3: S3Place, artifacts: S3Artifacts, store: Store, rows: Rows
) -> None:
    named, orphan = (artifacts.put_bytes("default", data).sha256 for data in (b"1", b"2"))
    artifacts.put_bytes("theirs", b"1")
    rows.dataset(sha256=named)
    in_bucket = Store(database=store.database, artifacts=artifacts)
    assert garbage.collect(in_bucket).n_artifacts == 0, "all is young"
    collected = garbage.collect(in_bucket, older_than_seconds=-60)  # what is young in a minute
    assert (collected.n_artifacts, collected.n_bytes) == (2, 2)
    assert s3.names() == [s3.key(named)]
    assert not artifacts.exists("default", orphan)


def test_only_old_broken_uploads_are_removed(s3: S3Place, artifacts: S3Artifacts) -> None:
    for key in (s3.key(SHA), "elsewhere"):
        s3.client.create_multipart_upload(Bucket=s3.bucket, Key=key)
    century = 100 * 365 * 86_400  # to this server each upload was begun in 2010
    assert artifacts.remove_leftovers(older_than_seconds=century) == 0
    assert artifacts.remove_leftovers(older_than_seconds=0) == 1
    assert len(s3.uploads()) == 1, "what is not below our prefix is not ours"


def test_a_file_is_downloaded_once(s3: S3Place, artifacts: S3Artifacts) -> None:
    artifacts.put_bytes("default", DATA)
    paths = {artifacts.open_path("default", SHA) for _ in range(3)}
    paths.add(s3.open().open_path("default", SHA))  # another process of this machine
    assert len(paths) == 1
    assert s3.proxy.count("GET", SHA) == 1


def test_a_kept_file_that_was_damaged_is_downloaded_again(
    s3: S3Place, artifacts: S3Artifacts
) -> None:
    artifacts.put_bytes("default", DATA)
    path = artifacts.open_path("default", SHA)
    path.chmod(0o600)
    path.write_bytes(b"HEAD" * 999)
    assert artifacts.open_path("default", SHA).read_bytes() == DATA


def test_deleted_bytes_are_not_kept_on_the_disk(s3: S3Place, artifacts: S3Artifacts) -> None:
    artifacts.put_bytes("default", DATA)
    path = artifacts.open_path("default", SHA)
    assert artifacts.delete("default", SHA)
    assert not path.exists()
    artifacts.put_bytes("default", DATA)
    path = artifacts.open_path("default", SHA)
    s3.client.delete_object(Bucket=s3.bucket, Key=s3.key(SHA))  # by another machine
    with pytest.raises(ArtifactMissing):
        artifacts.open_path("default", SHA)
    assert not path.exists()


def test_check_writes_and_finds_a_storage_that_ignores_conditions(s3: S3Place) -> None:
    s3.proxy.forgotten_headers.add("if-none-match")
    page = r"docs/run/object-storage\.md"
    with pytest.raises(StorageUnavailable, match=rf"conditional writes.*{page}"):
        s3.open().check()


def test_check_is_cheap_once_it_knows_the_storage(s3: S3Place, artifacts: S3Artifacts) -> None:
    artifacts.check()
    s3.proxy.requests.clear()
    artifacts.check()
    assert len(s3.proxy.requests) == 1


def test_a_missing_bucket_is_told_from_missing_bytes(
    s3: S3Place, caplog: pytest.LogCaptureFixture
) -> None:
    artifacts = s3.open(artifacts_url="s3://no-such-bucket/x")
    calls: list[Callable[[], object]] = [
        artifacts.check,
        lambda: artifacts.put_bytes("default", DATA),
        lambda: artifacts.get_bytes("default", SHA),
        lambda: artifacts.open_path("default", SHA),
        lambda: list(artifacts.stored()),
    ]
    for call in calls:
        with pytest.raises(StorageUnavailable, match="its bucket does not exist"):
            call()
    assert "NoSuchBucket" in caplog.text


def test_the_secret_is_in_no_message_and_no_log(
    s3: S3Place, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    s3.proxy.close()
    settings = s3.settings(s3_access_key_id="other", s3_secret_access_key="hunter2hunter2")
    artifacts = S3Artifacts.open(settings, patience=Patience(connect_seconds=0.5, n_tries=1))
    with pytest.raises(StorageUnavailable) as raised:
        artifacts.put_bytes("default", DATA)
    assert "127.0.0.1" not in str(raised.value), "hosts are for the log"
    assert "127.0.0.1" in caplog.text
    assert "hunter2" not in caplog.text + repr(settings) + str(settings) + repr(artifacts)


def test_no_key_at_all_says_so(s3: S3Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    artifacts = s3.open(s3_access_key_id=None, s3_secret_access_key=None)
    with pytest.raises(StorageUnavailable, match="needs an access key"):
        artifacts.check()


def test_the_usual_aws_variables_are_heeded(s3: S3Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "from-the-variables")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    s3.open(s3_access_key_id=None, s3_secret_access_key=None).exists("default", SHA)
    (head,) = s3.proxy.requests
    assert "Credential=from-the-variables/" in head.headers["authorization"]
    assert "/eu-central-1/s3/" in head.headers["authorization"]


def test_without_the_library_it_says_what_to_install(
    s3: S3Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("store.bytes.s3")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(StoreError, match=r"pip install 'nmtune-server\[s3\]'"):
        Store.open(s3.settings())


def test_a_folder_needs_no_such_library(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    store = Store.open(StoreSettings(data_dir=folder))
    store.close()
    assert isinstance(store.artifacts, LocalArtifacts)

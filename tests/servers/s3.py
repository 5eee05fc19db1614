"""A real S3 server as fixtures: the server, a bucket, and a proxy in front of it."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3.session
import pytest
from pydantic import SecretStr

from store.bytes.s3 import artifacts
from store.bytes.s3.artifacts import S3Artifacts
from store.bytes.s3.bucket import PART_BYTES
from store.bytes.s3.client import Patience, sign_in
from store.settings import StoreSettings
from tests.servers.s3_proxy import Proxy
from tests.support import leftovers

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

KEY_ID, SECRET = "nmtune-test", "a-secret-of-the-tests"  # the server takes any
PREFIX = "some/prefix"
PATIENT = Patience(answer_seconds=60)  # the machine may be slow, the server is


@pytest.fixture(scope="session")
def s3_port(pytestconfig: pytest.Config) -> int:
    """The port of an S3 server of this session."""
    return _serving(pytestconfig)


@cache  # for the packages that have this fixture: each sees a fixture of its own
def _serving(config: pytest.Config) -> int:
    server = subprocess.Popen(
        # -P: the modules beside it, of which one is redis, must not stand before the packages
        [sys.executable, "-P", str(Path(__file__).with_name("s3_server.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "MOTO_S3_DEFAULT_MAX_KEYS": "3"},  # so that lists come in pages
    )
    leftovers.share(server.pid)
    config.add_cleanup(server.communicate)  # the end of its input ends it
    assert server.stdout is not None
    return int(server.stdout.readline())


class S3Place:
    """A bucket of its own, seen past our code by another client."""

    def __init__(self, port: int, folder: Path, client: "S3Client") -> None:
        self.proxy = Proxy(port)
        self.folder = folder
        self.client = client
        self.bucket = f"bucket-{uuid.uuid4().hex}"
        client.create_bucket(Bucket=self.bucket)

    def settings(self, **values: object) -> StoreSettings:
        """What an operator would set."""
        return StoreSettings.model_validate(
            {
                "data_dir": self.folder,
                "artifacts_url": f"s3://{self.bucket}/{PREFIX}",
                "s3_endpoint_url": self.proxy.url,
                "s3_access_key_id": KEY_ID,
                "s3_secret_access_key": SECRET,
                **values,
            }
        )

    def open(
        self, *, patience: Patience = PATIENT, part_bytes: int = PART_BYTES, **values: object
    ) -> S3Artifacts:
        """Open the place, as another process would (or another machine, with its `data_dir`)."""
        return S3Artifacts.open(self.settings(**values), patience=patience, part_bytes=part_bytes)

    def key(self, sha256: str, tenant_id: str = "default") -> str:
        return f"{PREFIX}/{tenant_id}/{sha256}"

    def names(self) -> list[str]:
        """All that is stored, but for what `check` writes."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        keys = [item["Key"] for page in pages for item in page.get("Contents", ())]
        return sorted(key for key in keys if key != f"{PREFIX}/.check")

    def uploads(self) -> list[str]:
        """Uploads that were begun and not finished."""
        found = self.client.list_multipart_uploads(Bucket=self.bucket)
        return [item["UploadId"] for item in found.get("Uploads", ())]

    def write(self, name: str, data: bytes) -> None:
        """Write past our code."""
        self.client.put_object(Bucket=self.bucket, Key=name, Body=data)

    def overwrite(self, tenant_id: str, sha256: str, data: bytes) -> None:
        """Damage what is stored."""
        self.write(self.key(sha256, tenant_id), data)


@pytest.fixture(scope="session")
def s3_client(s3_port: int) -> "S3Client":
    """A client of our own, straight to the server."""
    session = boto3.session.Session(
        aws_access_key_id=KEY_ID, aws_secret_access_key=SECRET, region_name="us-east-1"
    )
    return session.client("s3", endpoint_url=f"http://127.0.0.1:{s3_port}")


@pytest.fixture(scope="session")
def signed_in() -> boto3.session.Session:
    """What all clients with the tests' key are made of, for each anew costs half a second."""
    return sign_in(region=None, access_key_id=KEY_ID, secret_access_key=SecretStr(SECRET))


@pytest.fixture
def s3(
    s3_port: int,
    s3_client: "S3Client",
    signed_in: boto3.session.Session,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[S3Place]:
    """An empty bucket behind a proxy."""

    def sign_in_once(**values: Any) -> boto3.session.Session:
        return signed_in if values["access_key_id"] == KEY_ID else sign_in(**values)

    monkeypatch.setattr(artifacts, "sign_in", sign_in_once)
    place = S3Place(s3_port, folder, s3_client)
    yield place
    place.proxy.close()

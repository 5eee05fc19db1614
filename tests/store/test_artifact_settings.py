"""Where the artifacts are: settings that make no sense together are refused, by name."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from store.settings import StoreSettings, split_artifacts_url

BUCKET = {"artifacts_url": "s3://bucket/a/b"}


@pytest.mark.parametrize(
    ("url", "bucket", "prefix"),
    [
        ("s3://bucket", "bucket", ""),
        ("s3://bucket/", "bucket", ""),
        ("s3://my.bucket-1/nmtune", "my.bucket-1", "nmtune"),
        ("s3://bucket/a/b_c/", "bucket", "a/b_c"),
    ],
)
def test_a_url_is_a_bucket_and_a_prefix(url: str, bucket: str, prefix: str) -> None:
    settings = StoreSettings(artifacts_url=url)
    assert settings.artifacts_url is not None
    assert split_artifacts_url(settings.artifacts_url) == (bucket, prefix)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "s3://",
        "bucket/prefix",
        "http://bucket/prefix",
        "s3://Bucket",
        "s3://b",
        "s3://key:secret@bucket",
        "s3://bucket//a",
        "s3://bucket/a//b",
        "s3://bucket/a/../b",
        "s3://bucket/./a",
        "s3://bucket/a b",
        "s3://bucket/a?b",
        "s3://bucket/é",
    ],
)
def test_anything_else_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match=r"(?s)artifacts_url.*s3://bucket/prefix"):
        StoreSettings(artifacts_url=url)


@pytest.mark.parametrize(
    "url", ["", "host:9000", "ftp://host", "https://", "https://key:secret@host", "https://h/?a=b"]
)
def test_an_endpoint_is_a_plain_http_url(url: str) -> None:
    with pytest.raises(ValidationError, match="s3_endpoint_url") as raised:
        StoreSettings.model_validate(BUCKET | {"s3_endpoint_url": url})
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({"s3_endpoint_url": "http://h"}, ["NMTUNE_S3_ENDPOINT_URL", "NMTUNE_ARTIFACTS_URL"]),
        ({"s3_region": "r"}, ["NMTUNE_S3_REGION", "NMTUNE_ARTIFACTS_URL"]),
        (
            {"s3_access_key_id": "k", "s3_secret_access_key": "hush"},
            ["NMTUNE_S3_ACCESS_KEY_ID", "NMTUNE_ARTIFACTS_URL"],
        ),
        (BUCKET | {"artifacts_dir": "/a"}, ["NMTUNE_ARTIFACTS_DIR", "NMTUNE_ARTIFACTS_URL"]),
        (BUCKET | {"s3_access_key_id": "k"}, ["NMTUNE_S3_SECRET_ACCESS_KEY"]),
        (BUCKET | {"s3_secret_access_key": "hush"}, ["NMTUNE_S3_ACCESS_KEY_ID"]),
        ({"s3_secret_access_key": "hush"}, ["NMTUNE_S3_ACCESS_KEY_ID"]),
    ],
)
def test_settings_that_contradict_each_other_are_named(
    values: dict[str, str], names: list[str]
) -> None:
    with pytest.raises(ValidationError) as raised:
        StoreSettings.model_validate(values)
    for name in names:
        assert name in str(raised.value)
    assert "hush" not in str(raised.value)


def test_all_of_it_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NMTUNE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("NMTUNE_ARTIFACTS_URL", "s3://bucket/prefix")
    monkeypatch.setenv("NMTUNE_S3_ENDPOINT_URL", "http://localhost:9000/")
    monkeypatch.setenv("NMTUNE_S3_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("NMTUNE_S3_SECRET_ACCESS_KEY", "hush")
    monkeypatch.setenv("NMTUNE_ARTIFACTS_CACHE_BYTES", "1GiB")
    settings = StoreSettings()
    assert settings.s3_endpoint_url == "http://localhost:9000"
    assert settings.s3_secret_access_key is not None
    assert settings.s3_secret_access_key.get_secret_value() == "hush"
    assert "hush" not in repr(settings)
    assert settings.artifacts_cache_bytes == 1 << 30
    assert settings.artifacts_cache_dir == tmp_path / "artifact-cache"


def test_a_cache_has_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    assert StoreSettings().artifacts_cache_bytes == 10 << 30
    monkeypatch.setenv("NMTUNE_ARTIFACTS_CACHE_BYTES", "-1")
    with pytest.raises(ValidationError, match="artifacts_cache_bytes"):
        StoreSettings()

"""TLS at the proxy: a proxy of its own with a certificate made here, in front of nothing."""

import secrets
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.compose.stack import SETTINGS, Stack, docker

pytestmark = [pytest.mark.compose, pytest.mark.timeout(300)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """tls.crt and tls.key for localhost, readable for the proxy's user."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
         "-keyout", tmp_path / "tls.key", "-out", tmp_path / "tls.crt"],
        check=True, capture_output=True,
    )  # fmt: skip
    for path in (tmp_path, *tmp_path.iterdir()):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return tmp_path


@pytest.fixture
def proxy(stack: Stack, folder: Path) -> Iterator[str]:
    """The container of a proxy with TLS; only there once the stack has built the image."""
    del stack
    name = f"nmtune-test-tls-{secrets.token_hex(4)}"
    limits = ("NMTUNE_MAX_JSON_BYTES", "NMTUNE_MAX_UPLOAD_BYTES", "PROXY_REQUESTS_PER_ADDRESS")
    docker(
        "run", "-d", "--name", name, "--read-only", "--tmpfs", "/tmp", "-p", "127.0.0.1::8080",  # noqa: S108
        "-v", f"{folder}:/etc/nginx/tls:ro", *(f"-e{limit}=1000" for limit in limits),
        SETTINGS["NMTUNE_PROXY_IMAGE"],
    )  # fmt: skip
    yield name
    docker("rm", "-f", name)


def test_a_mounted_certificate_turns_tls_on(proxy: str, folder: Path) -> None:
    address = docker("port", proxy, "8080").strip()
    trusted = ssl.create_default_context(cafile=folder / "tls.crt")
    transport = httpx.HTTPTransport(verify=trusted, retries=20)
    with httpx.Client(base_url=f"https://{address}", transport=transport) as http:
        found = http.get("/livez")
    assert (found.status_code, found.json()["code"]) == (503, "unavailable")  # there is no API
    assert found.headers["retry-after"] == "1"
    assert found.headers["strict-transport-security"] == "max-age=31536000"
    plain = httpx.get(f"http://{address}/livez")
    assert (plain.status_code, plain.json()["code"]) == (400, "https_needed")

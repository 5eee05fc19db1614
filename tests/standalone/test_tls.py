"""A whole server with a certificate of its own, asked by the client and by the `nmtune` command."""

import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from nmtune_client import APIConnectionError, Client, RetryPolicy

from tests.standalone.servers import Start
from tests.support.certificates import Files, certificate
from tests.support.places import ROOT


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.mark.slow
def test_a_server_with_a_certificate(
    start: Start, files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--port", "0", "--tls-cert", str(files.cert), "--tls-key", str(files.key))
    server = start("up", *options, data_dir=tmp_path, auth="on")
    found = re.search(r"ready at (https://127\.0\.0\.1:\d+) ", server.ready_line())
    assert found is not None
    url = found[1]
    assert server.process.stdout is not None
    assert "there is none yet" in server.process.stdout.readline()
    assert f": {url}/ui/login#" in server.process.stdout.readline()
    made = subprocess.run(
        [sys.executable, "-m", "standalone", "keys", "create", "ops", "--scopes", "admin"],
        cwd=ROOT,
        env=os.environ | {"NMTUNE_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    key = made.stdout.strip()
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with (
        Client(url, api_key=key, retry=RetryPolicy(tries=1)) as client,
        pytest.raises(APIConnectionError, match="SSL_CERT_FILE"),
    ):
        client.identity()
    monkeypatch.setenv("SSL_CERT_FILE", str(files.cert))
    with Client(url, api_key=key) as client:
        assert client.identity().name == "ops"
        table = tmp_path / "rows.csv"
        table.write_text("x_0,x_1,label\n" + "0.5,1.5,a\n0.7,2.5,b\n" * 40)
        stored = client.datasets.upload(table, embedding="x_*")
    command = "import sys; from nmtune_client._cli.main import main; sys.exit(main(sys.argv[1:]))"
    listed = subprocess.run(
        [sys.executable, "-c", command, "datasets", "--url", url],
        env=os.environ | {"NMTUNE_API_KEY": key},
        capture_output=True,
        text=True,
        check=True,
    )
    assert stored.id in listed.stdout
    plain = httpx.get(url.replace("https:", "http:"))
    assert (plain.status_code, plain.json()["code"]) == (400, "https_needed")
    assert server.stop() == 0


def test_a_certificate_that_cannot_be_used_ends_the_start(
    start: Start, files: Files, tmp_path: Path
) -> None:
    missing = tmp_path / "missing.pem"
    other = certificate(tmp_path, name="other")
    for options, status, says in (
        (("--tls-cert", str(missing), "--tls-key", str(files.key)), 1, f"{missing} cannot be read"),
        (("--tls-cert", str(files.cert), "--tls-key", str(other.key)), 1, "does not belong to"),
        (("--tls-cert", str(files.cert)), 2, "tls_cert is set, but tls_key is not"),
        (("--tls-key", str(files.key)), 2, "tls_key is set, but tls_cert is not"),
    ):
        ended = start("api", "--port", "0", *options, data_dir=tmp_path)
        assert ended.exit_status() == status
        (line,) = ended.errors.splitlines()
        assert line.startswith("nmtune-server: ")
        assert says in line
    assert not (tmp_path / "nmtune.db").exists()

"""A real provider of OpenID Connect by others: node-oidc-provider, which is certified.

It comes from npm, once for each set of versions, into the system's folder for temporary files.
"""

import hashlib
import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import httpx
import pytest

from tests.servers.redis import free_port
from tests.support.places import SYSTEM_TEMPORARY

CLIENT_ID: Final = "nmtune"
_HERE: Final = Path(__file__).parent / "openid"
_FILES: Final = ("package.json", "package-lock.json")


@dataclass(frozen=True)
class OpenIdProvider:
    """A provider that runs."""

    issuer: str
    client_secret: str

    @classmethod
    def planned(cls) -> Self:
        """One that does not run yet, for an app that must know it before it has an address."""
        return cls(f"http://127.0.0.1:{free_port()}", secrets.token_urlsafe(24))

    def sign_in_as(self, account: str) -> None:
        """Who comes next is this account; "" for nobody."""
        httpx.get(f"{self.issuer}/as/{account}", timeout=60).raise_for_status()


def skip_without_node() -> None:
    """Skip the module that calls it where there is none; in CI its tests fail instead."""
    if shutil.which("npm") is None and not os.environ.get("CI"):
        pytest.skip("node and npm are not installed", allow_module_level=True)


def _environment() -> Path:
    """The folder of the packages, made if it is not there."""
    made_of = b"".join((_HERE / name).read_bytes() for name in _FILES)
    key = hashlib.sha256(made_of).hexdigest()[:12]
    folder = SYSTEM_TEMPORARY / f"nmtune-tests-{os.getuid()}" / f"openid-{key}"
    done = folder / "installed"
    if not done.exists():
        folder.mkdir(parents=True, exist_ok=True)
        for name in _FILES:
            shutil.copy(_HERE / name, folder)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run(command, cwd=folder, check=True, timeout=600, stdout=subprocess.DEVNULL)
        done.touch()
    return folder


@contextmanager
def serving(
    folder: Path,
    *,
    redirect_uris: Sequence[str],
    groups: Mapping[str, Sequence[str]],
    planned: OpenIdProvider | None = None,
) -> Iterator[OpenIdProvider]:
    """A provider that knows these accounts with their groups; ended on exit."""
    packages = _environment()
    shutil.copy(_HERE / "provider.mjs", packages)
    provider = planned or OpenIdProvider.planned()
    config = {
        "port": httpx.URL(provider.issuer).port,
        "client_id": CLIENT_ID,
        "client_secret": provider.client_secret,
        "redirect_uris": list(redirect_uris),
        "groups": groups,
    }
    path = folder / "openid.json"
    path.write_text(json.dumps(config))
    with (folder / "openid.log").open("wb") as log:
        process = subprocess.Popen(
            ["node", str(packages / "provider.mjs"), str(path)],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == provider.issuer, (
            folder / "openid.log"
        ).read_text()
        yield provider
    finally:
        process.terminate()
        process.wait(60)
        process.stdout.close()

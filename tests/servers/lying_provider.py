"""An identity provider on loopback that says of somebody whatever a test wants."""

import base64
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qs

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from joserfc.jws import JWSRegistry

CLIENT_ID: Final = "nmtune"
EVERY_ALGORITHM: Final = ["none", "HS256", "RS256", "RS512", "PS256", "ES256"]


class LyingProvider(ThreadingHTTPServer):
    """Answers the three questions; each part of the truth can be changed."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.issuer = f"http://127.0.0.1:{self.server_address[1]}"
        self.key: Any = RSAKey.generate_key(2048, {"kid": "first"})
        self.published = [self.key.as_dict(private=False)]
        self.metadata: dict[str, Any] = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "id_token_signing_alg_values_supported": EVERY_ALGORITHM,
        }
        self.header: dict[str, Any] = {"alg": "RS256", "kid": "first"}
        self.edit: Callable[[dict[str, Any]], object] = lambda claims: None
        self.signs_with: Any = None
        """Another key than the published one."""
        self.more: dict[str, Any] = {}
        """What stands beside the id token."""
        self.answer: Callable[[str], tuple[int, bytes] | None] = lambda path: None
        """Another answer to a path."""
        self.nonce = ""
        self.asked: list[str] = []
        self.forms: list[dict[str, list[str]]] = []

    def token(self) -> str:
        at = int(time.time())
        claims = {
            "iss": self.issuer,
            "sub": "alice",
            "aud": CLIENT_ID,
            "iat": at,
            "exp": at + 300,
            "nonce": self.nonce,
            "groups": ["team"],
        }
        self.edit(claims)
        if self.header["alg"] in {"none", "HS256"}:
            return self._forged(claims)
        registry = JWSRegistry(algorithms=EVERY_ALGORITHM, strict_check_header=False)
        return jwt.encode(self.header, claims, self.signs_with or self.key, registry=registry)

    def _forged(self, claims: dict[str, Any]) -> str:
        """Without a signature, or signed with the public key as if it were a shared secret."""
        parts = [_encoded(json.dumps(part).encode()) for part in (self.header, claims)]
        signed = ".".join(parts)
        signature = b""
        if self.header["alg"] == "HS256":
            signature = hmac.digest(self.key.as_pem(private=False), signed.encode(), "sha256")
        return f"{signed}.{_encoded(signature)}"

    def become(self, kind: type[ECKey] | type[RSAKey], size: Any, algorithm: str) -> None:
        """Sign with a new key of another name."""
        self.key = kind.generate_key(size, {"kid": "second"})  # type: ignore[arg-type]
        self.published = [self.key.as_dict(private=False)]
        self.header = {"alg": algorithm, "kid": "second"}


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class _Request(BaseHTTPRequestHandler):
    server: LyingProvider

    def do_GET(self) -> None:
        self._say({"/keys": {"keys": self.server.published}}.get(self.path, self.server.metadata))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.forms.append(parse_qs(body))
        self._say({"access_token": "a", "token_type": "Bearer"} | self._id_token())

    def _id_token(self) -> dict[str, Any]:
        return {"id_token": self.server.token()} | self.server.more

    def _say(self, content: object) -> None:
        self.server.asked.append(self.path)
        status, data = self.server.answer(self.path) or (200, json.dumps(content).encode())
        self.send_response(status)
        if 300 <= status < 400:
            self.send_header("Location", f"{self.server.issuer}/elsewhere")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing."""


@contextmanager
def lying() -> Iterator[LyingProvider]:
    """A provider that tells the truth until a test changes it."""
    server = LyingProvider()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

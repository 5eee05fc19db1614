"""The server's certificate: read at the start, and again when its files change."""

import logging
import os
import ssl
import stat
import time
from pathlib import Path
from typing import Final

logger = logging.getLogger(__name__)

LOOK_SECONDS: Final = 60.0
"""How often the files are looked at, beside the connections: a renewed certificate is taken without
a restart."""
FIRST_BYTE: Final = b"\x16"
"""What every connection by TLS begins with; no request of HTTP does."""
FAREWELL_SECONDS: Final = 10.0
"""How long a connection that the server closes may take for its last bytes and its farewell."""


class CertificateError(Exception):
    """The certificate or its key cannot be used; the message says why, and what to do."""


class _EncryptedKeyError(Exception):
    pass


class Certificate:
    """A chain of certificates and its private key, in two PEM files."""

    def __init__(self, chain: Path, key: Path) -> None:
        """Read both. Raises CertificateError."""
        self._chain, self._key = chain, key
        self._stamp = self._stamp_now()
        self._context = _loaded(chain, key)
        self._looked_at = time.monotonic()
        if _mode(key) & stat.S_IROTH:
            logger.warning("tls.key_readable %s can be read by every user: chmod 600 it", key)

    def context(self) -> ssl.SSLContext:
        """What a new connection begins with."""
        at = time.monotonic()
        if at - self._looked_at >= LOOK_SECONDS:
            self._looked_at = at
            self._look()
        return self._context

    def _look(self) -> None:
        try:
            stamp = self._stamp_now()
            if stamp != self._stamp:
                self._context = _loaded(self._chain, self._key)
                self._stamp = stamp
                logger.info("tls.renewed %s", self._chain)
        except CertificateError as error:  # the files may be half replaced: look again later
            logger.warning("tls.not_renewed %s", error)

    def _stamp_now(self) -> tuple[tuple[int, int, int], ...]:
        return tuple(
            (found.st_ino, found.st_mtime_ns, found.st_size)
            for found in (_status("certificate", self._chain), _status("key", self._key))
        )


def _loaded(chain: Path, key: Path) -> ssl.SSLContext:
    _check_pem("certificate", chain, "CERTIFICATE")
    _check_pem("key", key, "PRIVATE KEY")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(chain, key, password=_no_password)
    except _EncryptedKeyError:
        raise CertificateError(
            f"The key {key} is encrypted, and a server cannot ask for its password: write it "
            f"without one (openssl pkey -in {key} -out FILE) and chmod 600 that file."
        ) from None
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise CertificateError(
                f"The key {key} does not belong to the certificate {chain}. The server's own "
                "certificate must be the first in its file."
            ) from None
        raise CertificateError(
            f"The certificate {chain} and the key {key} cannot be used: {error.reason or error}."
        ) from None
    return context


def _no_password() -> str:
    raise _EncryptedKeyError


def _check_pem(what: str, path: Path, label: str) -> None:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _unreadable(what, path, error) from None
    if f"{label}-----".encode() not in data:
        raise CertificateError(f"{path} is no {what} in PEM form: it has no BEGIN {label} line.")


def _status(what: str, path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError as error:
        raise _unreadable(what, path, error) from None


def _unreadable(what: str, path: Path, error: OSError) -> CertificateError:
    return CertificateError(f"The {what} {path} cannot be read: {error.strerror or error}.")


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)

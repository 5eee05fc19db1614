"""Every kind of secret through a whole journey over PostgreSQL and Redis, and where it is not.

Processes start with the secrets that operators give, make the others, use them all, and meet errors
that could betray them. Afterwards everything that was written, sent or listed is searched.
"""

import base64
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import psutil
import psycopg
import pytest
from nmtune_client import Client
from psycopg import sql

from tests.servers import fault_server
from tests.servers.fault_server import Server
from tests.servers.postgres import PostgresServer
from tests.servers.receiver import Receiver, receiving
from tests.servers.redis import RedisServer
from tests.support.processes import Process, Site
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

DATABASE_PASSWORD = "canarydatabase5f0c"
BROKER_PASSWORD = "canarybroker91d4"
PROVIDER_KEY = "sk-canary-provider-7b2e"
ENVIRONMENTS_KEY = "sk-canary-environment-03aa"
SIGN_IN_SECRET = "canary-sign-in-44c1"
SEALING_KEY = base64.b64encode(b"canary-that-seals-all-secrets-32").decode()


class Witness:
    """Takes down command lines, environments of the processes that train, and Redis' commands."""

    def __init__(self, redis: RedisServer) -> None:
        self.command_lines: set[str] = set()
        self.childrens_environments: set[str] = set()
        self.broker: list[str] = []
        self._redis = redis
        self._ends = threading.Event()

    @contextmanager
    def watching(self, site: Site) -> Iterator[None]:
        threads = [
            threading.Thread(target=self._watch_processes, args=(site,)),
            threading.Thread(target=self._watch_broker),
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._ends.set()
            self._redis.client().ping()  # the monitor waits for a command
            for thread in threads:
                thread.join(60)

    def _watch_processes(self, site: Site) -> None:
        while not self._ends.wait(0.02):
            for process in list(site.processes):
                with suppress(psutil.Error):
                    ours = psutil.Process(process.pid)
                    self.command_lines.add(" ".join(ours.cmdline()))
                    for child in ours.children(recursive=True):
                        line = " ".join(child.cmdline())
                        self.command_lines.add(line)
                        if "workers.child" in line:
                            self.childrens_environments.add(str(child.environ()))

    def _watch_broker(self) -> None:
        with self._redis.client(timeout=None).monitor() as monitor:
            for command in monitor.listen():
                self.broker.append(str(command))
                if self._ends.is_set():
                    return


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path, password=BROKER_PASSWORD)
    yield server
    server.stop()


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[str]:
    """A database's name; the server trusts whoever comes, with whatever password."""
    name = f"secrets_{uuid4().hex}"
    postgres.create(name)
    yield name
    postgres.drop(name)


def test_no_secret_is_written_sent_or_listed(
    site: Site, tmp_path: Path, postgres: PostgresServer, redis: RedisServer, database: str
) -> None:
    url = postgres.url(database)
    witness = Witness(redis)
    with fault_server.serving() as provider, receiving() as receiver:
        environment = _environment(url, redis, provider, receiver)
        with witness.watching(site):
            api = site.start("api", **environment)
            site.start("worker", **environment)
            secrets, answers = _journey(api, environment, provider, receiver)
        sent = _sent(provider, receiver)
        for process in site.processes:
            process.stop()
    places = {
        "answers": "\n".join(answers),
        "command lines": "\n".join(witness.command_lines),
        "environments of children": "\n".join(witness.childrens_environments),
        "commands to Redis": "\n".join(witness.broker),
        "database": _dump(url),
        "requests to provider and receiver": sent,
    }
    places |= {
        str(path.relative_to(tmp_path)): path.read_bytes().decode("latin-1")
        for path in tmp_path.rglob("*")
        if path.is_file()
    }
    _assert_the_places_are_full(places)
    for name, secret in secrets.items():
        for place, text in places.items():
            for form in _forms(secret):
                assert form not in text, f"{name} is in {place}"


def _environment(
    url: str, redis: RedisServer, provider: Server, receiver: Receiver
) -> dict[str, str]:
    here, there = (f"{host}:{port}" for host, port in (provider.host, receiver.host))
    return {
        "NMTUNE_DATABASE_URL": url.replace("postgres@", f"postgres:{DATABASE_PASSWORD}@"),
        "NMTUNE_BROKER_URL": redis.url,
        "NMTUNE_AUTH": "on",
        "NMTUNE_LOG_LEVEL": "debug",
        "NMTUNE_SECRET_KEY": SEALING_KEY,
        "NMTUNE_PROVIDER_KEYS": f"openai={ENVIRONMENTS_KEY}",
        "NMTUNE_OIDC_ISSUER": "http://127.0.0.1:9",  # where nobody answers
        "NMTUNE_OIDC_CLIENT_ID": "nmtune",
        "NMTUNE_OIDC_CLIENT_SECRET": SIGN_IN_SECRET,
        "NMTUNE_OIDC_GROUPS": '{"team": "default:read"}',
        "NMTUNE_PROVIDER_ALLOW_HOSTS": here,
        "NMTUNE_WEBHOOK_ALLOW_HOSTS": there,
    }


def _journey(
    api: Process, environment: dict[str, str], provider: Server, receiver: Receiver
) -> tuple[dict[str, str], list[str]]:
    """The secrets that were given and made, and every answer but those that hand one out."""
    operator = _made_by_the_operator(
        environment | {"NMTUNE_DATA_DIR": str(api.log_path.parent / "data")}
    )
    with Client(api.url, api_key=operator) as client:
        key = str(client.keys.create("batch", scopes=["write"]).key)
        webhook = client.webhooks.create(receiver.url, ["job.succeeded", "dataset.created"])
        receiver.secrets = [str(webhook.secret)]
        client.provider_keys.set(provider.url.removesuffix("/v1"), PROVIDER_KEY)
        choice = {"name": "openai-compatible", "model": "toy", "base_url": provider.url}
        job: dict[str, Any] = {
            "name": "toy",
            "texts": [f"text {number}" for number in range(80)],
            "labels": ["a", "b"] * 40,
            "provider": choice,
            "method": "linear_probe",
        }
        client.jobs.create(**job).wait(timeout=200)
        wait_until(lambda: "job.succeeded" in receiver.types)
        told = {"error": {"message": f"no such key: {PROVIDER_KEY}"}}
        provider.always = fault_server.status(401, told)
        failed = client.jobs.create(**job | {"texts": [f"other {n}" for n in range(80)]})
        wait_until(lambda: client.jobs.get(failed.id).status == "failed")
        provider.always = None
    with httpx.Client(base_url=api.url, timeout=60) as http:
        signed_in = http.post("/session", json={"key": operator})
        token = signed_in.headers["set-cookie"].partition("=")[2].partition(";")[0]
        answers = [*_errors(http, operator, key, token), *_reads(http, operator)]
    secrets = {
        "the operator's key": operator,
        "a key": key,
        "the webhook's secret": str(webhook.secret),
        "the provider's stored key": PROVIDER_KEY,
        "the provider's key of the environment": ENVIRONMENTS_KEY,
        "the secret at the identity provider": SIGN_IN_SECRET,
        "the database's password": DATABASE_PASSWORD,
        "the broker's password": BROKER_PASSWORD,
        "the key that seals": SEALING_KEY,
        "a session": token,
    }
    return secrets, answers


def _made_by_the_operator(environment: dict[str, str]) -> str:
    made = subprocess.run(
        [sys.executable, "-m", "standalone", "keys", "create", "ops", "--scopes", "admin"],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return made.stdout.strip()


def _errors(http: httpx.Client, operator: str, key: str, token: str) -> Iterator[str]:
    """Requests that are refused, each with a secret where it does not belong."""
    bearer = {"Authorization": f"Bearer {operator}"}
    asked: list[tuple[str, str, dict[str, Any]]] = [
        ("GET", "/jobs", {"params": {"api_key": key}}),
        ("GET", f"/jobs/{key}", {"headers": bearer}),
        ("GET", f"/heads/{key}", {"headers": bearer}),
        ("GET", f"/{key}", {}),
        ("GET", "/ui/login/openid", {}),
        ("GET", "/ui/login/openid/callback", {"params": {"state": token, "code": key}}),
        ("GET", "/jobs", {"headers": {"Authorization": f"Basic {key}"}}),
        ("GET", "/jobs", {"headers": {"Authorization": f"Bearer {key}x"}}),
        ("GET", "/jobs", {"headers": {"Authorization": f"Bearer {key[:-1]}"}}),
        ("GET", "/jobs", {"headers": bearer | {"Cookie": f"__Host-nmtune={token}"}}),
        ("POST", "/keys", {"headers": {"Authorization": f"Bearer {key}"}, "json": {"name": "x"}}),
        ("DELETE", "/session", {"headers": {"Cookie": f"__Host-nmtune={token}"}}),
        ("GET", "/ui/", {"headers": {"Cookie": f"__Host-nmtune={token}"}}),
        ("GET", "/jobs", {"headers": {"Cookie": f"__Host-nmtune={token}"}}),
    ]
    for method, path, arguments in asked:
        answer = http.request(method, path, **arguments)
        yield f"{answer.status_code} {answer.headers} {answer.text}"


def _reads(http: httpx.Client, operator: str) -> Iterator[str]:
    """What administrators can read."""
    bearer = {"Authorization": f"Bearer {operator}"}
    for path in (
        "keys",
        "webhooks",
        "provider-keys",
        "identity",
        "jobs",
        "readyz",
        "metrics",
        "ui/",
    ):
        answer = http.get(f"/{path}", headers=bearer)
        assert answer.status_code == 200, (path, answer.text)
        yield f"{answer.headers} {answer.text}"
        for one in set(re.findall(r'"id":"([a-z]+_\w+)"', answer.text)):
            yield http.get(f"/{path}/{one}", headers=bearer).text
            yield http.get(f"/{path}/{one}/events", headers=bearer).text if path == "jobs" else ""
            yield http.get(f"/{path}/{one}/deliveries", headers=bearer).text


def _sent(provider: Server, receiver: Receiver) -> str:
    """All that left the house, but for the header in which a provider's key belongs."""
    requests = [
        (path, {n: v for n, v in headers.items() if n != "Authorization"}, body)
        for path, headers, body in provider.requests
    ]
    keys = {headers["Authorization"] for _, headers, _ in provider.requests}
    assert keys == {f"Bearer {PROVIDER_KEY}"}
    assert receiver.refused == []
    return f"{requests} {receiver.messages} {receiver.headers}"


def _dump(url: str) -> str:
    """Every row of every table."""
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        ).fetchall()
        rows = [
            str(row)
            for (table,) in tables
            for row in connection.execute(
                sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier(table))
            )
        ]
    return "\n".join(rows)


def _assert_the_places_are_full(places: dict[str, str]) -> None:
    """Were a place empty, it would hold no secret however badly they were kept."""
    for place, holds in {
        "answers": '"code":"ambiguous_credentials"',
        "command lines": "-m standalone worker",
        "environments of children": "PATH",
        "commands to Redis": "cpu",
        "database": "openai-compatible",
        "requests to provider and receiver": "text 79",
    }.items():
        assert holds in places[place], place
    logs = "".join(text for place, text in places.items() if place.endswith(".log"))
    for said in ("key.refused", "session.opened", "provider_key_refused"):
        assert said in logs
    assert any("artifacts" in place for place in places)


def _forms(secret: str) -> set[str]:
    """The secret as it may be written down; a key or a webhook's also without its beginning."""
    bare = re.sub(r"^(nmk_|whsec_)", "", secret)
    forms = {secret, bare, quote(bare, safe="")}
    for one in (secret, bare):
        forms |= {one.encode().hex(), base64.b64encode(one.encode()).decode().rstrip("=")}
    with suppress(ValueError):
        forms.add(base64.b64decode(bare, validate=True).hex())
    return forms

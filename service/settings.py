"""Settings of the HTTP API, read once from NMTUNE_... variables."""

import os
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Final, Literal, Self, TypeAlias

from pydantic import ByteSize, Field, SecretStr, field_validator, model_validator

from outbound.settings import WebhookSettings
from providers.settings import ProviderSettings
from service.hosts import Hosts, is_loopback
from service.openid_choice import Choice, choice_of
from store.access.limits import MOST, NAMES, RATES, Limits
from store.settings import StoreSettings

_MIB = 1024 * 1024
MAX_KEEP_SECONDS = 100 * 365 * 24 * 3600.0
"""The longest time after which a dataset can expire: a century, in seconds."""
_MOST_THREADS = 8
"""More threads do not speed up a forward pass of a head."""
MOST_PROCESSES_A_CORE: Final = 4
_PARTS: Final = (
    ("max_connections", 8),
    ("threads", 2),
    ("database_pool_size", 2),
    ("predict_queue", 1),
    ("predict_body_bytes", 1024),
    ("predict_text_slots", 1),
)
"""What processes have a part of, and the least one."""

_Rate: TypeAlias = Annotated[float, Field(gt=0, le=MOST)] | Literal["none"] | None
_Quota: TypeAlias = Annotated[int, Field(ge=0, le=MOST)] | None

USUAL_RATES: Final = Limits(
    predict_rows_per_second=50_000.0,
    reads_per_second=100.0,
    writes_per_second=20.0,
    uploads_per_second=20.0,
)
"""The rates of a server with keys whose settings name none."""


class ServiceSettings(ProviderSettings, WebhookSettings, StoreSettings):
    """The HTTP door's settings, on top of the store's."""

    host: str = "127.0.0.1"
    """The address to listen on; the default is reachable from this machine only."""
    port: int = Field(default=8000, ge=0, le=65535)
    """The port to listen on; 0 lets the system choose."""
    tls_cert: Path | None = None
    """The certificate with its chain, a PEM file: then the port speaks https alone."""
    tls_key: Path | None = None
    """The certificate's private key, a PEM file without a password."""
    allowed_hosts: str = ""
    """`nmtune.example.org,*.lab.example`: names that the server answers to beside its own."""
    auth: Literal["auto", "on", "off"] = "auto"
    """`on`: every request needs a key. `auto`: unless the server listens on loopback alone."""
    oidc_issuer: str = ""
    """`https://login.example.org`: the identity provider by which people sign in to the pages."""
    oidc_client_id: str = ""
    """What this server is called there."""
    oidc_client_secret: SecretStr | None = None
    """Its secret there; without one it is a public client, which PKCE protects alone."""
    oidc_groups: str = ""
    """`{"ml-admins": "lab:admin", "ml-team": "lab:write"}`: the tenant and the scope of each group;
    the first group listed decides the tenant."""
    oidc_groups_claim: str = "groups"
    """The claim of the id token that lists somebody's groups."""
    oidc_scopes: str = "openid"
    """What the provider is asked for; some name groups only for `openid groups` or `profile`."""
    trusted_proxies: str = "127.0.0.1"
    """Whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed: addresses and networks with
    commas, or `*` where nobody but a proxy reaches the server."""
    max_json_bytes: int = Field(default=64 * _MIB, ge=1024)
    """The largest body of any request except a dataset upload."""
    max_upload_bytes: int = Field(default=4096 * _MIB, ge=1024)
    """The largest dataset upload."""
    upload_part_bytes: int = Field(default=16 * _MIB, ge=1024, le=256 * _MIB)
    """How much of an upload in parts is stored at a time; at most 256 MiB."""
    upload_keep_seconds: float = Field(default=24 * 3600.0, ge=1)
    """How long an upload in parts waits for its next byte before it is deleted."""
    dataset_keep_seconds: float | None = Field(default=None, ge=1, le=MAX_KEEP_SECONDS)
    """How long to keep a dataset that was stored without saying how long; unless set, for ever."""
    header_seconds: float = Field(default=10.0, gt=0)
    """How long a new connection may be silent, and a request's headers may take."""
    processes: int = Field(default=1)
    """How many processes `up` and `api` answer requests with, at most 4 for each core. They share
    the port, the heads in memory and the limits: each has its part of threads, queues and
    connections."""
    max_connections: int = Field(default=4096, ge=8)
    """The most connections; fewer where the limit on open files is low."""
    body_seconds: float = Field(default=30.0, gt=0)
    """How long a client may keep the server waiting for its body, beside the time its bytes
    need."""
    body_bytes_per_second: float = Field(default=64 * 1024.0, gt=0)
    """The slowest pace at which a body may come."""
    default_queue: Literal["cpu", "gpu"] = "cpu"
    """The queue of jobs that do not name one."""
    threads: int = Field(default=16, ge=1, le=256)
    """How many requests may use the database or a head at once."""
    head_cache_bytes: int = Field(default=512 * _MIB, ge=0)
    """Heads kept loaded for predictions, at twice their arrays each; the least recently used go
    first, and the newest always stays."""
    max_predict_rows: int = Field(default=10_000, ge=1)
    """The most rows of one prediction."""
    predict_text_seconds: float = Field(default=10.0, gt=0, le=120)
    """How long a prediction of texts may take, with the wait for its turn; then it is refused with
    503."""
    predict_text_slots: int = Field(default=8, ge=1, le=256)
    """How many predictions may embed texts at once."""
    max_predict_texts: int = Field(default=256, ge=1)
    """The most texts of one prediction."""
    predict_threads: int = Field(default=0, ge=0, le=64)
    """Threads of one forward pass."""
    predict_queue: int = Field(default=100, ge=1)
    """Predictions that may wait for their forward pass (and 16,384 rows); the next one is refused
    with 429."""
    predict_body_bytes: int = Field(default=256 * _MIB, ge=1024)
    """Bytes of predictions' bodies held at once; beyond it a prediction is refused with 429."""
    predict_reference_seconds: float = Field(default=1.0, ge=0, le=60)
    """How long a process trusts what a reference such as `pets@prod` named. The process that moves
    an alias follows at once; 0 asks the database each time."""
    drift: Literal["off", "on"] = "off"
    """`on`: add up what is predicted (sums by the hour, no rows) for `GET /heads/{name}/drift`."""
    drift_flush_seconds: float = Field(default=10.0, gt=0, le=3600)
    """How often a process stores what it added up; a process that dies loses that much at most."""
    limit_predict_rows_per_second: _Rate = None
    """Rows that one key may predict a second, or `none`. Unless set, 50,000 on a server with keys
    and none on one without."""
    limit_reads_per_second: _Rate = None
    """Requests a second of one key that change nothing and do not predict, or `none`. Unless set,
    100 on a server with keys."""
    limit_writes_per_second: _Rate = None
    """Requests a second of one key that change something, or `none`. Unless set, 20 on a server
    with keys."""
    limit_uploads_per_second: _Rate = None
    """Requests a second of one key that bring rows or parts of files, or `none`. Unless set, 20 on
    a server with keys."""
    limit_burst_seconds: float = Field(default=10.0, gt=0, le=3600)
    """How many seconds' worth of these a key that was quiet may ask for at once."""
    limit_stored_bytes: Annotated[ByteSize, Field(ge=0, le=MOST)] | None = None
    """What one tenant may store, such as `50GiB`: datasets, uploads, heads, files of jobs."""
    limit_unfinished_jobs: _Quota = None
    """How many queued and running jobs one tenant may have."""
    limit_heads: _Quota = None
    """How many heads one tenant may have, counted by their names."""
    limit_predicted_rows_per_month: _Quota = None
    """How many rows one tenant may predict a month (UTC)."""
    limit_embedded_tokens_per_month: _Quota = None
    """How many tokens providers may embed for one tenant a month (UTC)."""
    usage_flush_seconds: float = Field(default=10.0, gt=0, le=60)
    """How often a process stores what it counted and reads the limits of tenants anew."""
    events_poll_seconds: float = Field(default=0.5, gt=0)
    """How often an open event stream, or a request that waits for a job, checks for news."""
    events_heartbeat_seconds: float = Field(default=15.0, gt=0)
    """How often an idle event stream sends a sign of life."""

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, text: str) -> str:
        for one in filter(None, (part.strip() for part in text.split(","))):
            try:
                if one != "*":
                    ip_network(one)
            except ValueError:
                raise ValueError(f"{one[:80]!r} is no address and no network") from None
        return text

    @model_validator(mode="after")
    def _both(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            given, lacks = ("tls_cert", "tls_key") if self.tls_cert else ("tls_key", "tls_cert")
            raise ValueError(f"{given} is set, but {lacks} is not: TLS needs both")
        return self

    @model_validator(mode="after")
    def _whole_provider(self) -> Self:
        self._chosen()
        return self

    @property
    def openid(self) -> Choice | None:
        """The identity provider, if there is one."""
        return self._chosen()

    def _chosen(self) -> Choice | None:
        secret = self.oidc_client_secret
        return choice_of(
            issuer=self.oidc_issuer,
            client_id=self.oidc_client_id,
            client_secret=secret.get_secret_value() if secret else None,
            scopes=self.oidc_scopes,
            groups_claim=self.oidc_groups_claim,
            groups=self.oidc_groups,
        )

    @field_validator("processes")
    @classmethod
    def _of_cores(cls, n: int) -> int:
        n_cores = len(os.sched_getaffinity(0))
        if not 1 <= n <= MOST_PROCESSES_A_CORE * n_cores:
            raise ValueError(
                f"{n} processes: write 1 to {MOST_PROCESSES_A_CORE * n_cores}, that is at most "
                f"{MOST_PROCESSES_A_CORE} for each core of this machine ({n_cores}); more than one "
                "for each core is rarely faster"
            )
        return n

    def of_one_process(self) -> Self:
        """These settings as one of `processes` processes has them: with its part of the limits."""
        if self.processes == 1:
            return self
        parts = {name: max(getattr(self, name) // self.processes, least) for name, least in _PARTS}
        threads = self.predict_threads or max(available_cores() // self.processes, 1)
        return self.model_copy(update={**parts, "predict_threads": threads})

    @property
    def keys_on(self) -> bool:
        """Whether requests need a key."""
        if self.auth != "auto":
            return self.auth == "on"
        return not is_loopback(self.host)

    @property
    def limits(self) -> Limits:
        """The limits of a tenant that has none of its own."""
        values = {name: getattr(self, f"limit_{name}") for name in NAMES}
        for name in RATES:
            if values[name] is None and self.keys_on:
                values[name] = getattr(USUAL_RATES, name)
            elif values[name] == "none":
                values[name] = None
        return Limits(**values)

    @field_validator("allowed_hosts")
    @classmethod
    def _names(cls, text: str) -> str:
        Hosts(listening_on="localhost", allowed=text)
        return text


def available_cores() -> int:
    """The cores that this process may use, at most 8."""
    return min(len(os.sched_getaffinity(0)), _MOST_THREADS)

"""PostgreSQL's engines: one pool, and a bound on every wait."""

from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import URL, Engine, create_engine, event

from store.errors import StoreError

# The server gives up a statement first; if the server is frozen, we do.
STATEMENT_SECONDS: Final = 10
LOCK_SECONDS: Final = 3
IDLE_IN_TRANSACTION_SECONDS: Final = 15
ANSWER_SECONDS: Final = 5.0
CONNECT_SECONDS: Final = 3
POOL_SECONDS: Final = 5.0

_SESSION: Final = (
    f"-c statement_timeout={STATEMENT_SECONDS}s "
    f"-c lock_timeout={LOCK_SECONDS}s "
    f"-c idle_in_transaction_session_timeout={IDLE_IN_TRANSACTION_SECONDS}s"
)
_NETWORK: Final = {
    "connect_timeout": CONNECT_SECONDS,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}


def engines(
    url: URL, *, json_serializer: Callable[[object], str], pool_size: int
) -> tuple[Engine, Engine]:
    """The engines for writing and for reading, over one pool of `pool_size` connections.

    Raises StoreError if psycopg 3 is missing.
    """
    try:
        connect = _connector()
    except ModuleNotFoundError as error:
        raise StoreError("PostgreSQL needs psycopg 3: pip install 'psycopg[binary]'") from error
    engine = create_engine(
        url,
        json_serializer=json_serializer,
        hide_parameters=True,  # errors go into logs, and the values belong to users
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=POOL_SECONDS,
        pool_pre_ping=True,
        pool_recycle=1800,
        connect_args={**_NETWORK, "options": _SESSION},
    )

    @event.listens_for(engine, "do_connect")
    def do_connect(_dialect: object, _record: object, given: Any, named: Any) -> Any:
        return connect(*given, **named)

    return engine, engine.execution_options(postgresql_readonly=True)


def be_patient(connection: Any) -> None:
    """Lift the bounds for the transaction of a migration; `connection` is the driver's."""
    connection.answer_seconds = None


def _connector() -> Callable[..., Any]:
    """The function that opens a connection with a bound on every wait for the server."""
    from psycopg import Connection, OperationalError, errors

    class BoundedConnection(Connection[Any]):
        answer_seconds: float | None = ANSWER_SECONDS

        def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
            bound = self.answer_seconds if timeout is None else timeout
            try:
                return super().wait(gen, interval, bound)
            except errors._WaitTimeout as late:
                self.pgconn.finish()  # or its late answer could pass for another's
                raise OperationalError(f"no answer within {bound} seconds") from late

    return BoundedConnection.connect

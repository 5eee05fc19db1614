"""Check that the broker answers, without a doorbell."""

from urllib.parse import urlsplit

SECONDS = 3.0
PORT = 6379


class BrokerAway(Exception):  # noqa: N818  reads better than with "Error"
    """The broker does not answer; the message has its address, never its password."""


def ask(url: str) -> str:
    """Return the address of a broker that answers. Raises BrokerAway, ValueError for a bad URL."""
    import redis

    client = redis.Redis.from_url(url, socket_timeout=SECONDS, socket_connect_timeout=SECONDS)
    parts = urlsplit(url)
    place = f"{parts.scheme}://{parts.hostname}:{parts.port or PORT}"
    try:
        client.ping()
    except redis.RedisError as error:
        raise BrokerAway(f"{place} does not answer: {type(error).__name__}") from error
    finally:
        client.close()
    return place

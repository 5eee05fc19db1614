"""The home of the question whether the broker answers, for whoever has no doorbell to ask."""

from urllib.parse import urlsplit

SECONDS = 3.0
PORT = 6379


class BrokerAway(Exception):  # noqa: N818  reads better than with "Error"
    """The broker does not answer; the message names its address, never its password."""


def ask(url: str) -> str:
    """The address of a broker that answers. Raises BrokerAway, or ValueError for a wrong URL."""
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

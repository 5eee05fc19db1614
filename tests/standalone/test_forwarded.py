"""Whose word is taken for the address of who asks: that of proxies which the operator trusts."""

from pathlib import Path

import httpx

from service.access.guesses import A_MINUTE
from tests.standalone.servers import Start


def statuses(client: httpx.Client) -> list[int]:
    """What twice as many wrong keys as an address may send get, each said to be of another one."""
    return [
        client.get(
            "/jobs",
            headers={"Authorization": "Bearer nmk_wrong", "X-Forwarded-For": f"10.0.0.{n}"},
        ).status_code
        for n in range(2 * A_MINUTE)
    ]


def test_nobody_else_can_state_an_address(start: Start, tmp_path: Path) -> None:
    server = start("up", "--port", "0", data_dir=tmp_path, auth="on", trusted_proxies="10.9.9.9")
    with server.client() as client:
        found = statuses(client)
    assert server.stop() == 0
    assert found == [401] * A_MINUTE + [429] * A_MINUTE
    assert "address=127.0.0.1" in server.errors
    assert "address=10.0.0." not in server.errors


def test_a_trusted_proxy_states_the_address(start: Start, tmp_path: Path) -> None:
    server = start("up", "--port", "0", data_dir=tmp_path, auth="on", trusted_proxies="127.0.0.1")
    with server.client() as client:
        assert statuses(client) == [401] * 2 * A_MINUTE
    assert server.stop() == 0
    assert "address=10.0.0.7" in server.errors

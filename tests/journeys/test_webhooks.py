"""Webhooks through real processes that are killed and started again."""

import base64
import os
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from store.database import tables
from store.database.clock import seconds_from_now
from store.database.connection import Database
from tests.servers.receiver import Receiver, receiving
from tests.support.processes import Process, Site
from tests.support.waiting import wait_until

SECRET_KEY = base64.b64encode(os.urandom(32)).decode()


def start(site: Site, receiver: Receiver, **environment: str) -> Process:
    host, port = receiver.host
    usual = {
        "NMTUNE_SECRET_KEY": SECRET_KEY,
        "NMTUNE_WEBHOOK_ALLOW_HOSTS": f"{host}:{port}",
    }
    return site.start(**(usual | environment))


def hurry(site: Site) -> None:
    """Let every pause and every lease be over."""
    database = Database.open(f"sqlite:///{site.data_dir / 'nmtune.db'}")
    rows = tables.webhook_deliveries
    with database.begin() as tx:
        past = seconds_from_now(-1)
        tx.execute(update(rows).where(rows.c.status == "pending").values(due_at=past))
        tx.execute(update(rows).where(rows.c.status == "sending").values(lease_expires_at=past))
    database.close()


def upload(server: Process, npz: Path, n: int) -> list[str]:
    return [server.client.datasets.upload(npz, name=f"d{one}").id for one in range(n)]


def told(receiver: Receiver) -> set[str]:
    return {message["data"].get("dataset_id") for message in receiver.messages}


def test_a_worker_killed_between_sending_and_committing_sends_the_same_message_again(
    site: Site, npz: Path
) -> None:
    with receiving() as receiver:
        victim = start(site, receiver, NMTUNE_FAILPOINT="webhook.sent:kill")
        made = victim.client.webhooks.create(receiver.url, ["dataset.created"])
        receiver.secrets = [str(made.secret)]
        [dataset_id] = upload(victim, npz, 1)
        wait_until(lambda: not victim.is_running())
        victim.kill()
        assert len(receiver.ids) == 1
        second = start(site, receiver)
        hurry(site)
        wait_until(lambda: _after_lost(site, receiver))
        assert receiver.ids[0] == receiver.ids[1]
        assert receiver.messages[0] == receiver.messages[1]
        assert told(receiver) == {dataset_id}
        [delivery] = second.client.webhooks.deliveries(made.id)
        wait_until(lambda: second.client.webhooks.delivery(delivery.id).status == "succeeded")
        found = second.client.webhooks.delivery(delivery.id)
        # Hurrying may take the lease of a slow living worker as well.
        *lost, last = [one.error for one in found.attempts]
        assert set(lost) == {"worker_lost"}
        assert last is None
        assert set(receiver.ids) == {receiver.ids[0]}
        assert SECRET_KEY not in second.log_path.read_text()
        assert str(made.secret) not in second.log_path.read_text()


def _after_lost(site: Site, receiver: Receiver) -> bool:
    hurry(site)
    return len(receiver.ids) >= 2


@pytest.mark.slow
def test_a_receiver_that_fails_half_the_time_gets_everything_through_restarts(
    site: Site, npz: Path
) -> None:
    turns = iter(range(10_000))
    with receiving() as receiver:
        receiver.manner = lambda post: post.answer(503 if next(turns) % 2 else 204)
        expected: set[str] = set()
        made: Any = None
        for round_ in range(3):
            server = start(site, receiver)
            if made is None:
                made = server.client.webhooks.create(receiver.url, ["dataset.created"])
                receiver.secrets = [str(made.secret)]
            expected |= set(upload(server, npz, 3))
            if round_ < 2:
                hurry(site)
                server.kill()

        def all_done() -> bool:
            hurry(site)
            found = [*server.client.webhooks.deliveries(made.id)]
            return len(found) == 9 and all(one.status == "succeeded" for one in found)

        wait_until(all_done)
        assert told(receiver) == expected
        assert receiver.refused == []

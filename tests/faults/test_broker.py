"""Redis killed, emptied, frozen and away; messages doubled, garbled and out of order."""

import time
from typing import Any

import pytest

from tests.faults.deployment import Deployment, Predictions, head_versions, upload
from tests.support.waiting import wait_until
from workers.doorbell.app import TASK, make_app

Arrays = dict[str, Any]


@pytest.mark.parametrize("trouble", ["kill", "freeze", "flush"])
def test_whatever_redis_does_no_job_is_lost_and_submitting_stays_quick(
    deployment: Deployment, arrays: Arrays, trouble: str
) -> None:
    api, worker = deployment.start("api"), deployment.start("worker")
    dataset = upload(api.client, arrays)
    first = deployment.submit(api, dataset, alias="prod")
    deployment.wait_for("succeeded", job_id=first)
    with Predictions(api.url, "pets@prod", arrays["test_x"][:4]) as predictions:
        seconds = []
        for number in range(3):
            if number == 1:
                {"kill": deployment.redis.kill, "freeze": deployment.redis.freeze}.get(
                    trouble, lambda: deployment.redis.client().flushall()
                )()
            began = time.monotonic()
            deployment.submit(api, dataset)
            seconds.append(time.monotonic() - began)
        time.sleep(2)
        if trouble == "kill":
            deployment.redis.start()
        elif trouble == "freeze":
            deployment.redis.thaw()
        assert deployment.check()["succeeded"] == 4
    assert max(seconds) < 10, "a broker in trouble must not delay POST /jobs"
    assert predictions.wrong == []
    assert predictions.n_done > 10
    assert head_versions(deployment) == 4
    assert worker.is_running()
    deployment.expected += ["Cannot connect to redis", "Connection to broker lost", "Traceback"]


def test_doubled_garbled_and_strange_messages_do_no_harm(
    deployment: Deployment, arrays: Arrays
) -> None:
    api = deployment.start("api")
    dataset = upload(api.client, arrays)
    app = make_app(deployment.redis.url)
    ids = [deployment.submit(api, dataset) for _ in range(2)]
    for job_id in reversed(ids):
        for _ in range(5):
            app.send_task(TASK, args=[job_id], queue="cpu")
    app.send_task(TASK, args=["job_that_never_was"], queue="cpu")
    app.send_task("nmtune.of_another_version", args=[1], queue="cpu")
    client = deployment.redis.client()
    client.rpush(
        "cpu",
        '{"body": "e30=", "content-type": "application/x-python-serialize", '
        '"content-encoding": "binary", "headers": {}, "properties": {"delivery_tag": "1", '
        '"body_encoding": "base64", "delivery_info": {"exchange": "", "routing_key": "cpu"}}}',
    )
    worker = deployment.start("worker")
    assert deployment.check()["succeeded"] == 2
    assert head_versions(deployment) == 2
    wait_until(lambda: client.llen("cpu") == 0)
    assert worker.is_running()
    # Celery says in words of its own what it makes of such messages.
    deployment.expected += ["celery.worker.consumer", "Traceback", "unregistered task"]

"""Random faults under a stream of jobs, for a quarter of a minute or NMTUNE_SOAK_SECONDS."""

import os
import random
import signal
import time
from typing import Any

import psutil

from tests.faults.deployment import LEASE_SECONDS, Deployment, Predictions, head_versions, upload
from tests.support.processes import Process

Arrays = dict[str, Any]
SECONDS = float(os.environ.get("NMTUNE_SOAK_SECONDS", "15"))
SEED = int(os.environ.get("NMTUNE_SOAK_SEED", str(time.time_ns() % 100_000)))


def test_random_faults_lose_no_job_and_double_none(deployment: Deployment, arrays: Arrays) -> None:
    print(f"NMTUNE_SOAK_SEED={SEED}")
    dice = random.Random(SEED)
    api = deployment.start("api")
    workers = [deployment.start("worker") for _ in range(2)]
    dataset = upload(api.client, arrays)
    deployment.submit(api, dataset, alias="prod")
    deployment.check()
    done: dict[str, int] = {}
    with Predictions(api.url, "pets@1", arrays["test_x"][:4]) as predictions:
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            deployment.submit(api, dataset, priority=dice.randint(-1, 1))
            time.sleep(dice.uniform(0.5, 2.0))
            fault = dice.choice([_kill_worker, _kill_training, _kill_redis, _freeze_worker, _flush])
            fault(deployment, workers, dice)
            done[fault.__name__] = done.get(fault.__name__, 0) + 1
        counts = deployment.check(seconds=180)
    print(f"faults {done}, jobs {dict(counts)}, predictions {predictions.n_done}")
    assert counts.keys() <= {"succeeded", "failed"}
    assert head_versions(deployment) == counts["succeeded"]
    # A job may meet three deaths in three attempts; that is told, and is no loss.
    for job_id in deployment.accepted:
        job = deployment.job(job_id)
        if job.status == "failed":
            assert job.error is not None
            assert job.error["code"] in {
                "worker_lost",
                "internal",
                "process_killed",
                "out_of_memory",
            }
            assert job.attempt == job.max_attempts or job.error["code"] == "out_of_memory"
    assert predictions.wrong == []
    deployment.expected += ["job.child_failed", "celery", "Traceback", "redis"]


def _kill_worker(deployment: Deployment, workers: list[Process], dice: random.Random) -> None:
    victim = dice.randrange(len(workers))
    workers[victim].kill()
    workers[victim] = deployment.start("worker")


def _kill_training(_: Deployment, workers: list[Process], dice: random.Random) -> None:
    trainings = [child for worker in workers for child in worker.trainings()]
    if trainings:
        try:
            dice.choice(trainings).kill()
        except psutil.NoSuchProcess:
            return


def _kill_redis(deployment: Deployment, _: list[Process], dice: random.Random) -> None:
    deployment.redis.kill()
    time.sleep(dice.uniform(0, 2))
    deployment.redis.start()


def _flush(deployment: Deployment, _: list[Process], __: random.Random) -> None:
    deployment.redis.client().flushall()


def _freeze_worker(_: Deployment, workers: list[Process], dice: random.Random) -> None:
    worker = dice.choice(workers)
    os.kill(worker.pid, signal.SIGSTOP)
    time.sleep(dice.uniform(0.5, 1.5 * LEASE_SECONDS))
    os.kill(worker.pid, signal.SIGCONT)

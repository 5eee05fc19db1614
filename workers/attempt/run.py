"""Run one job from its claim to its end, whatever that is."""

import logging
import os
import sys
import sysconfig
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from providers.errors import ProviderError
from providers.pace import Stopped
from store import datasets, events, failpoints, transitions
from store.errors import DatabaseUnavailable, LeaseLost
from store.jobs import Job
from store.store import Store
from workers import memory, observe
from workers.attempt import drawing, failure, instructions, success
from workers.attempt.failure import Failure, MustWait, Refused, Wait
from workers.attempt.lease import Lease
from workers.attempt.messages import Listener
from workers.attempt.standby import Standby
from workers.attempt.success import PublishedHead, Success
from workers.attempt.supervise import Ending, Outcome, supervise
from workers.attempt.text_job import (
    EMBEDDINGS,
    OLD_EMBEDDINGS,
    Span,
    needs_embedding,
    needs_old_embedding,
    training_span,
)
from workers.folder import ENCODERS, LOG, Workdir, open_workdir
from workers.settings import WorkerSettings

logger = logging.getLogger(__name__)

RETRY_SECONDS = 0.2  # between two tries to write a job's end
WITHOUT_GPU = -1


End: TypeAlias = Success | Failure | Wait | Ending


class _Ended(Exception):  # noqa: N818  it is no error
    """The attempt has ended before its work was done."""

    def __init__(self, end: End) -> None:
        super().__init__(type(end).__name__)
        self.end = end


def run_claimed(
    job: Job,
    *,
    store: Store,
    settings: WorkerSettings,
    stopping: threading.Event,
    slot: int = 0,
    standby: Standby | None = None,
) -> Job | None:
    """Run a job claimed just now to its end; return its row then, None if it is no longer ours.

    Call it from a thread that lives as long as the worker: the training process dies with it.
    When `stopping` is set, the training ends and the job goes back to the queue. `slot` is the
    number of the GPU to train on, below 0 for no GPU; `standby` is the slot's. After a training has
    succeeded it is logged to MLflow, if the settings name a server, and its map is drawn, as long
    as no other job waits for the slot.
    """
    with observe.attempt(job) as ends_as:
        ended, end = _run(
            job, store=store, settings=settings, stopping=stopping, slot=slot, standby=standby
        )
        ends_as(ended)
    if ended is not None and isinstance(end, PublishedHead) and settings.mlflow_tracking_uri:
        from workers.attempt import tracking  # requests to others, which few workers make

        tracking.log(ended, store=store, settings=settings)
    if ended is not None and isinstance(end, PublishedHead) and end.undrawn:
        drawing.draw(
            ended,
            end.undrawn,
            [sys.executable, "-P", "-m", "workers.child.draw"],
            environment=child_environment(settings, slot=WITHOUT_GPU),
            store=store,
            settings=settings,
            stopping=stopping,
        )
    return ended


def _run(
    job: Job,
    *,
    store: Store,
    settings: WorkerSettings,
    stopping: threading.Event,
    slot: int,
    standby: Standby | None,
) -> tuple[Job | None, End]:
    """Run the job to its end and write that: the job's row then, None if not ours, and the end."""
    failpoints.reach("run.claimed")
    logger.info("job.start job_id=%s attempt=%d fence=%d", job.id, job.attempt, job.fence)
    lease = Lease(
        store,
        job,
        lease_seconds=settings.lease_seconds,
        heartbeat_seconds=settings.heartbeat_seconds,
    )
    with lease:
        start = partial(_supervised, settings=settings, slot=slot, standby=standby)
        end = _attempt(job, start, lease, store=store, settings=settings, stopping=stopping)
    failpoints.reach("run.trained")
    ended = _write_end(end, job=job, lease=lease, store=store, settings=settings)
    failpoints.reach("run.finished")
    logger.info("job.end job_id=%s status=%s", job.id, ended.status if ended else "not_ours")
    return ended, end


def _attempt(
    job: Job,
    run_child: Callable[..., Outcome],
    lease: Lease,
    *,
    store: Store,
    settings: WorkerSettings,
    stopping: threading.Event,
) -> End:
    """Run a supervised process in a folder of its own; each way to end is a value."""

    def should_stop() -> Ending | None:
        return lease.ending or (Ending.STOPPING if stopping.is_set() else None)

    try:
        with open_workdir(settings.work_dir, f"{job.id}.{job.fence}") as workdir:
            with store.database.read() as tx:
                instructions.check_head(tx, job)
                dataset = datasets.get(tx, job.tenant_id, job.dataset_id, even_expired=True)
            child = partial(
                _child, workdir=workdir, run=run_child, lease=lease, store=store, ends=should_stop
            )
            if job.encoders is not None:
                from workers.attempt import comparison

                if comparison.is_open(job):
                    job = comparison.compare(
                        job,
                        dataset,
                        workdir,
                        lease,
                        child,
                        store=store,
                        settings=settings,
                        should_stop=lambda: should_stop() is not None,
                    )
                    with store.database.read() as tx:
                        dataset = datasets.get(tx, job.tenant_id, job.dataset_id, even_expired=True)
            for is_old, needed in ((False, needs_embedding), (True, needs_old_embedding)):
                if needed(job, store):
                    from workers.attempt import embedding

                    job = embedding.embed(
                        job,
                        dataset,
                        workdir,
                        lease,
                        store=store,
                        settings=settings,
                        should_stop=lambda: should_stop() is not None,
                        is_old=is_old,
                    )
            files = {
                name: sha
                for name, sha in job.checkpoint.items()
                if name
                not in (EMBEDDINGS, OLD_EMBEDDINGS, ENCODERS)  # which the child is handed otherwise
            }
            workdir.restore(store.artifacts, job.tenant_id, files)
            instructions.make(job, dataset, store, settings).save(workdir)
            child(job, training_span(job))
            lease.enter_stage("publishing")
            return success.store_files(job, workdir, store)
    except _Ended as ended:
        return ended.end
    except Stopped:
        return should_stop() or Ending.STOPPING
    except LeaseLost:
        return Ending.LEASE_LOST
    except Refused as error:
        logger.info("job.refused job_id=%s code=%s", job.id, error.code)
        return failure.of_error(error, job=job)
    except MustWait as error:
        reason, seconds = error.wait.reason, error.wait.delay_seconds
        logger.warning(
            "job.waits job_id=%s code=%s seconds=%.0f reason=%s",
            *(job.id, reason["code"], seconds, reason["message"]),
        )
        return error.wait
    except ProviderError as error:
        logger.warning("job.not_embedded job_id=%s code=%s reason=%s", job.id, error.code, error)
        return failure.of_error(error, job=job)
    except Exception as error:
        logger.exception("job.error job_id=%s", job.id)
        return failure.of_error(error, job=job)


def _child(
    job: Job,
    span: Span,
    *,
    workdir: Workdir,
    run: Callable[..., Outcome],
    lease: Lease,
    store: Store,
    ends: Callable[[], Ending | None],
) -> dict[str, str]:
    """Run the supervised process; the files (name -> sha256) that a next attempt starts from.

    span: its part of the job's progress. Raises _Ended unless its work is done.
    """
    listener = Listener(job, workdir=workdir, lease=lease, store=store, span=span)
    watch = memory.Watch()
    outcome = run(workdir, receive=listener.receive, should_stop=ends)
    if outcome.ending is Ending.FAILED:
        ran_out = outcome.killed and watch.ran_out(listener.memory)
        raise _Ended(_failed(job, outcome, listener, store=store, memory_ran_out=ran_out))
    if outcome.ending is not Ending.DONE:
        raise _Ended(outcome.ending)
    return listener.checkpoint


def _supervised(
    workdir: Workdir,
    *,
    receive: Callable[[dict[str, Any]], None],
    should_stop: Callable[[], Ending | None],
    settings: WorkerSettings,
    slot: int,
    standby: Standby | None,
) -> Outcome:
    return supervise(
        # -P: the child must not import modules from the folder that the service started in.
        [sys.executable, "-P", "-m", "workers.child.main", str(workdir.path)],
        receive=receive,
        should_stop=should_stop,
        log_path=workdir / LOG,
        environment=child_environment(settings, slot=slot),
        memory_limit=settings.memory_limit,
        waiting=standby.take(workdir.path) if standby else None,
    )


def standby_of(settings: WorkerSettings, slot: int) -> Standby | None:
    """A slot's standby, if the settings want one; only the slot's thread uses it."""
    if settings.standby == "never":
        return None
    return Standby(
        child_environment(settings, slot=slot),
        memory_limit=settings.memory_limit,
        idle_seconds=None if settings.standby == "always" else settings.standby_idle_seconds,
    )


def _failed(
    job: Job, outcome: Outcome, listener: Listener, *, store: Store, memory_ran_out: bool
) -> Failure:
    told = listener.error
    with store.database.read() as tx:
        n_before = events.requeued_for(tx, job.tenant_id, job.id, failure.OUT_OF_MEMORY)
    found = failure.of_outcome(
        outcome, told=told, job=job, memory_ran_out=memory_ran_out, n_before=n_before
    )
    if told is not None and found.error is told:
        logger.info("job.refused job_id=%s code=%s", job.id, told["code"])
    else:
        logger.error(
            "job.child_failed job_id=%s code=%s exit_code=%d log=%s",
            *(job.id, found.error["code"], outcome.exit_code, outcome.log_tail),
        )
    return found


def child_environment(settings: WorkerSettings, *, slot: int = 0) -> dict[str, str]:
    """The child's environment: ours without settings, which may hold passwords and keys."""
    private = ("NMTUNE_", "AWS_")
    environment = {name: v for name, v in os.environ.items() if not name.startswith(private)}
    # glibc would return freed gradients to the kernel and fault them in again at every step, which
    # takes nearly half of the time on wide embeddings. So the child keeps its heap until its exit.
    environment |= {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 36)}
    # Waiting threads spin by default, on cores that predictions and other trainings want. With more
    # work than cores, a step took 1.5 to 8 times as long as with sleeping threads, and numpy's
    # eigenvalues (OpenBLAS has no such choice) 3 to 18 times as long as in one thread.
    environment |= {"OMP_WAIT_POLICY": "PASSIVE", "OPENBLAS_NUM_THREADS": "1"}
    if slot < 0:  # it predicts, on the CPU
        environment["CUDA_VISIBLE_DEVICES"] = ""
    elif settings.gpus:
        environment["CUDA_VISIBLE_DEVICES"] = settings.gpus[slot % len(settings.gpus)]
    environment["OMP_NUM_THREADS"] = str(settings.threads_per_slot)
    root = str(Path(__file__).parents[2])
    if root != sysconfig.get_path("purelib"):  # run from a checkout
        paths = [root, os.environ.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    return environment


def _write_end(
    end: End, *, job: Job, lease: Lease, store: Store, settings: WorkerSettings
) -> Job | None:
    """Write how the job ended if it is still ours; retry while the database is away."""
    while end is not Ending.LEASE_LOST:
        try:
            with store.database.begin() as tx:
                if isinstance(end, Success):
                    failpoints.reach("run.finishing")
                    return success.write(tx, job, end)
                if isinstance(end, Wait):
                    return transitions.wait(
                        tx,
                        job,
                        reason=end.reason,
                        delay_seconds=end.delay_seconds,
                        patience_seconds=settings.provider_patience_seconds,
                    )
                if isinstance(end, Failure) and not end.may_pass:
                    return transitions.fail(tx, job, error=end.error)
                if isinstance(end, Failure):
                    return transitions.release(
                        tx,
                        job,
                        delay_seconds=failure.delay_seconds(job.attempt),
                        count_attempt=True,
                        error=end.error,
                    )
                if end is Ending.CANCELLED:
                    return transitions.cancel(tx, job)
                return transitions.release(tx, job)  # stopping: the attempt does not count
        except LeaseLost:
            break
        except DatabaseUnavailable as error:
            if lease.seconds_left() <= 0:
                logger.warning("job.end_not_written job_id=%s reason=%s", job.id, error)
                break
            time.sleep(RETRY_SECONDS)
    return None

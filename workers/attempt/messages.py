"""The listener: passes the child's messages to the lease and its files to the artifacts."""

import logging
from typing import Any

from store.errors import DatabaseUnavailable
from store.jobs import Job
from store.store import Store
from workers.attempt import success
from workers.attempt.lease import Lease
from workers.attempt.text_job import Span
from workers.folder import Workdir

logger = logging.getLogger(__name__)


class Listener:
    """Turns the child's messages into news for the lease, and its files into artifacts."""

    def __init__(
        self, job: Job, *, workdir: Workdir, lease: Lease, store: Store, span: Span
    ) -> None:
        """span: the part of the job's progress that the child's is."""
        self.error: dict[str, Any] | None = None
        self.memory: dict[str, int | None] = {}
        """The memory that the child says it needs, and that is available."""
        self._job = job
        self._store = store
        self._tenant_id = job.tenant_id
        self._checkpoint = dict(job.checkpoint)
        self._workdir = workdir
        self._lease = lease
        self._artifacts = store.artifacts
        self._span = span

    @property
    def checkpoint(self) -> dict[str, str]:
        """The files (name -> sha256) that a next attempt starts from."""
        return dict(self._checkpoint)

    def receive(self, message: dict[str, Any]) -> None:
        match message:
            case {"type": "stage", "stage": stage}:
                self._lease.enter_stage(stage)
            case {"type": "memory", **told}:
                self.memory = told
            case {"type": "progress", "progress": progress, "is_last": is_last}:
                shown = {**progress, "fraction": self._span.of(progress["fraction"])}
                self._lease.tell(shown, is_milestone=is_last)
            case {"type": "checkpoint", "file": name}:
                if not self._workdir.has(name):
                    return  # the child is ahead of us: an earlier message took this file
                reference = self._workdir.move(self._artifacts, self._tenant_id, name)
                self._keep({name: reference.sha256}, without=name)
            case {"type": "finished", "files": names, "replaces": replaced}:
                kept = {
                    name: self._workdir.put(self._artifacts, self._tenant_id, name).sha256
                    for name in names
                }
                self._keep(kept, without=replaced)
            case {"type": "head", "file": name, "report": report}:
                self._publish(name, report)
            case {"type": "error", "error": error}:
                self.error = error
            case _:
                logger.warning("child.unknown_message type=%s", message.get("type"))

    def _publish(self, name: str, report: str) -> None:
        try:
            first = success.first_head(self._job, self._workdir, report, self._store)
        except DatabaseUnavailable:
            logger.warning("head.later reason=database")  # the job's end publishes it
            return
        self._checkpoint[name] = first.head.sha256
        self._lease.publish(first, self._checkpoint)

    def _keep(self, files: dict[str, str], *, without: str) -> None:
        old = self._checkpoint.pop(without, None)
        self._checkpoint |= files
        self._lease.keep(self._checkpoint, superseded=[old] if old else [])

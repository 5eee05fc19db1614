"""Show how far a job has come while someone waits."""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Protocol, TextIO

from nmtune_client._jobs.values import JobData, Progress
from nmtune_client._show.live import LogLines, live
from nmtune_client._show.plain import duration, fitted

_BAR_WIDTH = 24
_TRAINS = ("training", "comparing")


class Observer(Protocol):
    """Receives the states of a job."""

    def update(self, job: JobData) -> None:
        """The job as it is now."""

    def close(self) -> None:
        """No more will come; the last update may not have been of a final job."""


class ProgressBar:
    """One line that moves; in a log a line for each stage, candidate and tenth of the way.

    `training nmtune  epoch 12/30  [==========>     ]  43%  ETA 0:12  loss 0.412`.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._live = live(stream)
        self._began = time.monotonic()

    def update(self, job: JobData) -> None:
        """Show `job`, if that changes what is seen."""
        if isinstance(self._live, LogLines):
            self._live.show(log_line(job), _step(job))
        else:
            elapsed = time.monotonic() - self._began
            line = bar_line(job, elapsed_seconds=elapsed, width=self._live.width)
            self._live.show(line, None)

    def close(self) -> None:
        """Leave the last line standing and the cursor below it."""
        self._live.close()


class _Silent:
    """Shows nothing."""

    def update(self, job: JobData) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class _Callback(_Silent):
    """Calls a function with each state that differs from the last."""

    def __init__(self, function: Callable[[JobData], None]) -> None:
        self._function = function
        self._last: JobData | None = None

    def update(self, job: JobData) -> None:
        if job != self._last:
            self._last = job
            self._function(job)


def observer_of(progress: bool | Callable[[JobData], None]) -> Observer:
    """What the `progress` argument of a wait asks for."""
    if callable(progress):
        return _Callback(progress)
    return ProgressBar() if progress else _Silent()


def stage_line(job: JobData) -> str:
    """What the job is at, in words that change only with stage, candidate, attempt and status."""
    if job.status != "running":
        return f"{job.id} {job.status}{_again(job)}{_waiting(job)}"
    candidate = job.progress.candidate if job.progress and job.stage in _TRAINS else None
    stage = job.stage or "starting"
    return f"{job.id} {stage}{f' {candidate}' if candidate else ''}{_again(job)}"


def log_line(job: JobData) -> str:
    """The same with the share that is done and the time to come: `... training nmtune  43%`."""
    parts = [stage_line(job)]
    progress = job.progress or Progress()
    if job.status == "running" and progress.fraction is not None:
        parts.append(f"{100 * _within_one(progress.fraction):.0f}%")
        if progress.eta_seconds is not None:
            parts.append(f"ETA {duration(progress.eta_seconds)}")
    return "  ".join(parts)


def _step(job: JobData) -> tuple[str, int | None]:
    """What has to change for a log to get another line."""
    fraction = job.progress.fraction if job.progress and job.status == "running" else None
    return stage_line(job), None if fraction is None else int(10 * _within_one(fraction))


def bar_line(job: JobData, *, elapsed_seconds: float, width: int | None = None) -> str:
    """The whole line of the bar; what matters least is left out where `width` is too little."""
    if job.status != "running" or job.waiting:
        return f"{job.status}{_again(job)}  {duration(elapsed_seconds)}{_waiting(job)}"
    progress = job.progress or Progress()
    stage = f"{job.stage or 'starting'}{_again(job)}"
    # behind training, the last epoch's figures say nothing more
    trains = job.stage in _TRAINS
    parts = {"stage": f"{stage} {progress.candidate}" if trains and progress.candidate else stage}
    if trains and progress.epoch is not None and progress.n_epochs is not None:
        digits = len(str(progress.n_epochs))
        parts["epoch"] = f"epoch {progress.epoch:{digits}}/{progress.n_epochs}"
    if progress.fraction is not None:
        parts["bar"] = _bar(progress.fraction)
        parts["share"] = f"{100 * _within_one(progress.fraction):3.0f}%"
    if progress.eta_seconds is not None:
        parts["time"] = f"ETA {duration(progress.eta_seconds)}"
    elif progress.fraction is None:
        parts["time"] = duration(elapsed_seconds)
    loss = progress.losses.get("total")
    if trains and isinstance(loss, int | float):
        parts["loss"] = f"loss {loss:.4g}"
    return fitted(parts, width, least=("loss", "bar", "epoch", "time"))


def _bar(fraction: float) -> str:
    n_full = int(_within_one(fraction) * _BAR_WIDTH)
    head = ">" if n_full < _BAR_WIDTH else ""
    return f"[{('=' * n_full + head).ljust(_BAR_WIDTH)}]"


def _within_one(fraction: float) -> float:
    return min(1.0, max(0.0, fraction))


def _waiting(job: JobData) -> str:
    """What it waits for, and until when by the clock on the wall."""
    if not job.waiting:
        return ""
    until = str(job.waiting.get("until", ""))
    try:
        until = f" until {datetime.fromisoformat(until).astimezone():%H:%M:%S}"
    except ValueError:
        until = ""
    return f"  waits{until}: {job.waiting.get('message', '')}"


def _again(job: JobData) -> str:
    """Says when a worker was lost and the job began anew."""
    return f" (attempt {job.attempt})" if job.attempt > 1 else ""

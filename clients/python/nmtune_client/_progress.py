"""Home of the progress bar: what a waiting person sees on stderr."""

import shutil
import sys
import time
from collections.abc import Callable
from datetime import datetime
from typing import Protocol, TextIO

from nmtune_client._text import duration, shorten
from nmtune_client._types import JobData, Progress

_BAR_WIDTH = 24
_CLEAR_TO_END = "\x1b[K"


class Observer(Protocol):
    """Whoever wants to see a job move on."""

    def update(self, job: JobData) -> None:
        """The job as it is now."""

    def close(self) -> None:
        """No more will come; the last update may not have been of a final job."""


class ProgressBar:
    """A line on a terminal that is drawn over and over; elsewhere, a plain line for each stage.

    Terminal: `training nmtune  epoch 12/30  [==========>     ]  43%  ETA 0:12  loss 0.412`.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._is_terminal = self._stream.isatty()
        self._began = time.monotonic()
        self._shown = ""
        self._is_open = False

    def update(self, job: JobData) -> None:
        """Show `job`, if that changes what is seen."""
        if self._is_terminal:
            width = shutil.get_terminal_size().columns
            self._draw(shorten(bar_line(job, elapsed_seconds=self._elapsed()), width - 1))
        else:
            self._say(stage_line(job))

    def close(self) -> None:
        """Leave the last line standing and the cursor below it."""
        if self._is_open:
            self._write("\n")
            self._is_open = False

    def _elapsed(self) -> float:
        return time.monotonic() - self._began

    def _draw(self, line: str) -> None:
        if line != self._shown:
            self._write(f"\r{line}{_CLEAR_TO_END}")
            self._shown, self._is_open = line, True

    def _say(self, line: str) -> None:
        if line != self._shown:
            self._write(f"{line}\n")
            self._shown = line

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


class _Silent:
    """Shows nothing."""

    def update(self, job: JobData) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class _Told(_Silent):
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
        return _Told(progress)
    return ProgressBar() if progress else _Silent()


def stage_line(job: JobData) -> str:
    """What the job is at, in words that change only with stage, candidate, attempt and status."""
    if job.status != "running":
        return f"{job.id} {job.status}{_again(job)}{_waiting(job)}"
    candidate = job.progress.candidate if job.progress and job.stage == "training" else None
    stage = job.stage or "starting"
    return f"{job.id} {stage}{f' {candidate}' if candidate else ''}{_again(job)}"


def bar_line(job: JobData, *, elapsed_seconds: float) -> str:
    """The whole line of a terminal's progress bar."""
    if job.status != "running" or job.waiting:
        return f"{job.status}{_again(job)}  {duration(elapsed_seconds)}{_waiting(job)}"
    progress = job.progress or Progress()
    stage = f"{job.stage or 'starting'}{_again(job)}"
    # behind training, the last epoch's figures say nothing more
    trains = job.stage == "training"
    parts = [f"{stage} {progress.candidate}" if trains and progress.candidate else stage]
    if trains and progress.epoch is not None and progress.n_epochs is not None:
        digits = len(str(progress.n_epochs))
        parts.append(f"epoch {progress.epoch:{digits}}/{progress.n_epochs}")
    if progress.fraction is not None:
        parts += [_bar(progress.fraction), f"{100 * _within_one(progress.fraction):3.0f}%"]
    if progress.eta_seconds is not None:
        parts.append(f"ETA {duration(progress.eta_seconds)}")
    elif progress.fraction is None:
        parts.append(duration(elapsed_seconds))
    loss = progress.losses.get("total")
    if trains and isinstance(loss, int | float):
        parts.append(f"loss {loss:.4g}")
    return "  ".join(parts)


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

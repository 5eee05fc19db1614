"""Run groups of cells, in this process or in several, within a budget of time."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context

import torch

from benchmarks.study import cells
from benchmarks.study.cells import Cell
from benchmarks.study.noise import Confusions
from benchmarks.study.results import Line
from benchmarks.study.sizes import Size
from benchmarks.study.task import Task


class Clock:
    """How long the run has taken, and whether another group fits into its budget."""

    def __init__(self, budget: float | None) -> None:
        self._started, self._budget, self._longest = time.monotonic(), budget, 0.0

    @property
    def seconds(self) -> float:
        """Since the run began."""
        return time.monotonic() - self._started

    @property
    def has_time(self) -> bool:
        """Whether the longest group so far would end within the budget."""
        return self._budget is None or self.seconds + self._longest <= self._budget

    def took(self, seconds: float) -> None:
        """Remember how long a group took."""
        self._longest = max(self._longest, seconds)


def results_of(
    size: Size,
    task: Task,
    found: Confusions,
    groups: list[Sequence[Cell]],
    clock: Clock,
    *,
    workers: int,
) -> Iterator[list[Line]]:
    """The results of each group, as they come, until the time is used up."""
    if workers == 1 or len(groups) == 1:
        for group in groups:
            if not clock.has_time:
                return
            started = clock.seconds
            yield cells.run(size, task, group, found)
            clock.took(clock.seconds - started)
        return
    pool = ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)
    )
    with pool:
        begun: dict[Future[list[Line]], float] = {}
        waiting = list(groups)
        while waiting or begun:
            while waiting and len(begun) < workers and clock.has_time:
                begun[pool.submit(cells.run, size, task, waiting.pop(0), found)] = clock.seconds
            if not begun:
                return
            done, _ = wait(begun, return_when=FIRST_COMPLETED)
            for one in done:
                clock.took(clock.seconds - begun.pop(one))
                yield one.result()

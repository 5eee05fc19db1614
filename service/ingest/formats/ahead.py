"""Work ahead: results in the order of their items, made by a few threads."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

from service.ingest.errors import BadInput

MAX_THREADS: Final = 4

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def in_order(make: Callable[[_Item], _Result], items: Iterable[_Item]) -> Iterator[_Result]:
    """`make` of each item, as many at once as there are cores, at most MAX_THREADS.

    For work that releases Python's lock, such as pyarrow's readers. Errors come in the order of the
    items too; an error of the items themselves (a BadInput) comes after all results before it.
    """
    n_threads = min(MAX_THREADS, len(os.sched_getaffinity(0)))
    waiting: deque[Future[_Result]] = deque()
    trouble: BadInput | None = None
    with ThreadPoolExecutor(n_threads, "ahead") as pool:
        left = iter(items)
        try:
            while True:
                try:
                    waiting.append(pool.submit(make, next(left)))
                except StopIteration:
                    break
                except BadInput as error:
                    trouble = error
                    break
                if len(waiting) > n_threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
    if trouble is not None:
        raise trouble

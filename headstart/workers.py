"""Work done by threads: items in, results out in the same order, a bounded number ahead."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_in_order(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    threads: int | None = None,
    ahead: int = 0,
) -> Generator[Result]:
    """Call `function` on each item in threads and give the results in order.

    At most `ahead` items (default: four a thread) are under way or waiting at a time, so memory
    stays bounded however slow the consumer is. Closing the iterator cancels what has not begun.
    """
    threads = threads or cpu_count()
    ahead = ahead or 4 * threads
    source = iter(items)
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="headstart-decode") as pool:
        try:
            for item in source:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def cpu_count() -> int:
    """The number of processors that this process may use, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1

"""The library's own work in threads."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import trio

from tplus_trio.scopes import open_plain_nursery

__all__ = ["run_in_thread"]

T = TypeVar("T")


async def run_in_thread(function: Callable[[], T]) -> T:
    """Call a function that blocks in a thread.

    A virtual clock of trio's that jumps (``MockClock(autojump_threshold=0)``) stands still meanwhile: a thread is work,
    but the run loop does not see it, and would jump to the next deadline.

    Returns:
        What the function returns.

    Raises:
        Exception: What the function raises, as it is.

    Cancelling it returns at once; the thread goes on, and its result is dropped.
    """
    testing: Any = sys.modules.get("trio.testing")  # a program that did not load it has no clock that jumps
    if testing is None or not isinstance(trio.lowlevel.current_clock(), testing.MockClock):
        return await trio.to_thread.run_sync(function, abandon_on_cancel=True)
    async with open_plain_nursery() as nursery:
        # trio does not jump while a task waits for all others to be blocked; this one waits without end.
        nursery.start_soon(testing.wait_all_tasks_blocked, math.inf)
        return await trio.to_thread.run_sync(function, abandon_on_cancel=True)

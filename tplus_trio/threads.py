"""Blocking work that the library runs in threads."""

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
    """Call a blocking function in a thread.

    trio's autojump clock (``MockClock(autojump_threshold=0)``) does not advance during the call. trio does not count a
    thread as work, so the clock would otherwise jump to the next deadline.

    Args:
        function: Takes no arguments. It may block.

    Returns:
        The return value of the function.

    Raises:
        Exception: any exception of the function, unchanged.

    Cancelling returns at once. The thread runs on, and its result is discarded.
    """
    testing: Any = sys.modules.get("trio.testing")  # a program without this module has no autojump clock
    if testing is None or not isinstance(trio.lowlevel.current_clock(), testing.MockClock):
        return await trio.to_thread.run_sync(function, abandon_on_cancel=True)
    async with open_plain_nursery() as nursery:
        # The clock does not jump while a task is in wait_all_tasks_blocked; with math.inf, this task stays in it.
        nursery.start_soon(testing.wait_all_tasks_blocked, math.inf)
        return await trio.to_thread.run_sync(function, abandon_on_cancel=True)

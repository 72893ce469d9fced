"""A check for leaks: tasks that still run and descriptors that are still open after a block."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Container, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import trio
import trio.testing

__all__ = ["assert_no_leaks"]

_TESTING_FOLDER: Final = str(Path(__file__).parent) + os.sep
_DESCRIPTORS: Final = "/proc/self/fd" if Path("/proc/self/fd").is_dir() else "/dev/fd"
_STEP: Final = 0.05


@asynccontextmanager
async def assert_no_leaks(*, grace: float = 1.0) -> AsyncGenerator[None]:
    """Check that the body leaves no task running and no descriptor open that was not there before.

    ::

        async with assert_no_leaks():
            async with MarketDataClient(url, connector=network) as client:
                await my_bot(client)

    Open clients inside the block: a client from outside keeps connections for its next request. Tasks of the embedded
    exchange do not count. If the system cannot list descriptors, only tasks are checked.

    Args:
        grace: The time in seconds, on trio's clock, that ending tasks may still take, 0 or more.

    Raises:
        AssertionError: A task or descriptor was left; the message names it. An exception of the body is raised
            unchanged instead.
    """
    before = _tasks_and_descriptors()
    yield
    await trio.testing.wait_all_tasks_blocked()
    left = _left_since(before)
    with trio.move_on_after(grace):
        while left:
            await trio.sleep(_STEP)
            left = _left_since(before)
    if left:
        raise AssertionError(f"left behind: {', '.join(sorted(left.values()))}")


def _left_since(before: Container[object]) -> dict[object, str]:
    return {key: what for key, what in _tasks_and_descriptors().items() if key not in before}


def _tasks_and_descriptors() -> dict[object, str]:
    """Return the tasks and descriptors that exist, and their names."""
    tasks: dict[object, str] = {task: f"task {task.name}" for task in _tasks()}
    return tasks | dict(_descriptors())


def _tasks() -> Iterator[trio.lowlevel.Task]:
    """Yield every task of this run, except those of the embedded exchange."""
    root = trio.lowlevel.current_root_task()
    waiting = [] if root is None else [root]
    while waiting:
        task = waiting.pop()
        coroutine: Any = task.coro
        if _code_file(coroutine).startswith(_TESTING_FOLDER):
            continue
        yield task
        waiting += [child for nursery in task.child_nurseries for child in nursery.child_tasks]


def _code_file(coroutine: Any) -> str:
    code = getattr(coroutine, "cr_code", None)
    return "" if code is None else str(code.co_filename)


def _descriptors() -> Iterator[tuple[tuple[int, str], str]]:
    """Yield each open descriptor with its target, because its number is soon used again."""
    with suppress(OSError):
        for name in os.listdir(_DESCRIPTORS):  # noqa: PTH208 - of names alone
            with suppress(OSError, ValueError):
                target = os.readlink(f"{_DESCRIPTORS}/{name}")  # noqa: PTH115 - no file need be there
                yield (int(name), target), f"descriptor {name} ({target})"

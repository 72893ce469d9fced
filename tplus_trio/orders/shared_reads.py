"""Reads that several tasks want at the same time: one of them reads for all that wait."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeAlias, TypeVar

import trio

from tplus_trio.runs import RunLocal

__all__ = ["Progress", "SharedReads", "no_progress"]

R = TypeVar("R")

#: Called for each answer that a read has got.
Progress: TypeAlias = Callable[[], object]


def no_progress() -> None:
    """Take no note of progress."""


class _Shared(Generic[R]):
    """The reads of one thing."""

    def __init__(self) -> None:
        self.lock = trio.Lock()
        #: How many reads were begun.
        self.begun = 0
        #: The result of the last read that succeeded, and its number.
        self.latest: tuple[int, R] | None = None
        #: What the tasks that read or wait hear of progress.
        self.waiting: list[Progress] = []

    def progress(self) -> None:
        for call in tuple(self.waiting):
            call()


class SharedReads(Generic[R]):
    """Shares reads. A task that asks while another one reads waits, and then one of those that wait reads for all."""

    def __init__(self) -> None:
        self._shared: RunLocal[dict[Hashable, _Shared[R]]] = RunLocal(dict[Hashable, _Shared[R]])

    async def read(
        self, key: Hashable, read: Callable[[Progress], Awaitable[R]], on_progress: Progress = no_progress
    ) -> R:
        """Return the result of a read that was begun after this call.

        Cancelling it leaves nothing behind; others who want the same read it themselves.

        Args:
            key: What is read.
            read: Reads it. It is given what to call for each answer that came.
            on_progress: Called for each answer that came, also while another task reads.
        """
        shared = self._shared.get().setdefault(key, _Shared[R]())
        begun = shared.begun
        shared.waiting.append(on_progress)
        try:
            async with shared.lock:
                if shared.latest is None or shared.latest[0] <= begun:
                    shared.begun += 1
                    number = shared.begun
                    shared.latest = (number, await read(shared.progress))
                return shared.latest[1]
        finally:
            shared.waiting.remove(on_progress)

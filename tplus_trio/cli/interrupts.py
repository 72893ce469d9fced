"""Ctrl-C for a command that has to finish what it began: it cancels one part of the command, and the rest goes on."""

from __future__ import annotations

import signal
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeVar

import trio

from tplus_trio.scopes import open_plain_nursery

__all__ = ["Interrupts", "open_interrupts"]

T = TypeVar("T")

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Cancels the call under way when SIGINT or SIGTERM comes."""

    def __init__(self) -> None:
        #: Whether a signal has come.
        self.came: bool = False
        #: Called once, when the first signal comes.
        self.notice: Callable[[], object] = lambda: None
        self._scope: trio.CancelScope | None = None

    async def cut_short(self, call: Callable[[], Awaitable[T]]) -> T | None:
        """Carry out a call until a signal comes. Return its result, or None if it was cancelled or not begun."""
        with trio.CancelScope() as self._scope:
            if self.came:
                self._scope.cancel()
            return await call()
        return None

    async def receive(self, signals: AsyncIterator[int]) -> None:
        """Receive the signals, until cancelled."""
        async for _ in signals:
            if not self.came:
                self.came = True
                self.notice()
            if self._scope is not None:
                self._scope.cancel()


@asynccontextmanager
async def open_interrupts() -> AsyncGenerator[Interrupts]:
    """Receive SIGINT and SIGTERM during a block, instead of the command as a whole."""
    interrupts = Interrupts()
    with trio.open_signal_receiver(*_SIGNALS) as signals:
        async with open_plain_nursery() as nursery:
            nursery.start_soon(interrupts.receive, signals)
            yield interrupts

"""Lines on their way to standard output."""

from __future__ import annotations

import os
import select
import sys
from typing import Final

import trio

from tplus_trio.cli.failure import explaining
from tplus_trio.escapes import escape

__all__ = ["Lines", "Unread"]

#: How many lines may wait to be written.
_WAITING: Final = 1024


class Unread(Exception):
    """Nobody reads what is printed: there is nothing left to do."""


class Lines:
    """Writes lines in a thread, in order and as soon as it can.

    A terminal that stands still, or a pipe whose reader is slow, so holds up who prints, but neither the
    connections nor Ctrl-C. It writes past ``sys.stdout``, whose buffer would have to be flushed at the exit,
    however long its reader takes.
    """

    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[str](_WAITING)
        self._written = trio.Event()

    async def put(self, line: str) -> None:
        """Print a line, escaped, waiting while too many wait already."""
        try:
            await self._send.send(escape(line))
        except trio.BrokenResourceError:
            raise Unread from None

    async def finish(self) -> None:
        """Wait until all is written. Nothing can be printed after that."""
        self._send.close()
        await self._written.wait()

    async def write_out(self) -> None:
        """Write what is put until `finish`.

        Raises:
            Unread: standard output is closed.
            Failure: it cannot be written to.
        """
        out = sys.stdout
        if out is None:
            raise Unread
        descriptor, encoding = out.fileno(), out.encoding
        async with self._receive:
            async for first in self._receive:
                batch = [first]
                while (more := self._more()) is not None:
                    batch.append(more)
                data = "".join(f"{line}\n" for line in batch).encode(encoding, "replace")
                await trio.to_thread.run_sync(_write, descriptor, data, abandon_on_cancel=True)
        self._written.set()

    def _more(self) -> str | None:
        try:
            return self._receive.receive_nowait()
        except (trio.WouldBlock, trio.EndOfChannel):
            return None


def _write(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    with explaining("standard output", OSError):
        try:
            while rest:
                try:
                    rest = rest[os.write(descriptor, rest) :]
                except BlockingIOError:  # another process that has the same terminal or pipe made it so
                    select.select([], [descriptor], [])
        except BrokenPipeError:
            raise Unread from None

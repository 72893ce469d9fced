"""Prints lines to standard output from a thread."""

from __future__ import annotations

import os
import select
import sys
from typing import Final

import trio

from tplus_trio.cli.failure import explaining
from tplus_trio.escapes import escape

__all__ = ["Lines", "Unread", "write_all"]

#: Lines that may wait to be written before `Lines.put` blocks; one is about 100 bytes.
_WAITING: Final = 1024


class Unread(Exception):
    """The reader of standard output has closed it, so the command ends."""


class Lines:
    """Writes lines in order, from a thread.

    A stopped terminal or a slow reader of a pipe blocks the tasks that print, but neither the connections nor Ctrl-C.
    It writes to the file descriptor and not to ``sys.stdout``, because flushing that buffer at exit would wait for the
    reader.
    """

    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[str](_WAITING)
        self._written = trio.Event()

    async def put(self, line: str) -> None:
        """Escape a line and queue it; waits while the queue is full.

        Raises:
            Unread: The writer has ended, because standard output is closed.
        """
        await self.put_styled(escape(line))

    async def put_styled(self, line: str) -> None:
        """Queue a line that has terminal codes of this program, and nothing that is not escaped; as `put` otherwise.

        Raises:
            Unread: The writer has ended, because standard output is closed.
        """
        try:
            await self._send.send(line)
        except trio.BrokenResourceError:
            raise Unread from None

    async def finish(self) -> None:
        """Wait until every line is written. No line can be put after this call."""
        self._send.close()
        await self._written.wait()

    async def write_out(self) -> None:
        """Write the lines that are put, until `finish`.

        Raises:
            Unread: Standard output is closed.
            Failure: Writing to standard output failed.
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
                await trio.to_thread.run_sync(write_all, descriptor, data, abandon_on_cancel=True)
        self._written.set()

    def _more(self) -> str | None:
        try:
            return self._receive.receive_nowait()
        except (trio.WouldBlock, trio.EndOfChannel):
            return None


def write_all(descriptor: int, data: bytes) -> None:
    """Write bytes to a file descriptor; waits while it takes none.

    Raises:
        Unread: Its reader has closed it.
        Failure: Writing failed otherwise.
    """
    rest = memoryview(data)
    with explaining("standard output", OSError):
        try:
            while rest:
                try:
                    rest = rest[os.write(descriptor, rest) :]
                except BlockingIOError:  # another process made the shared terminal or pipe non-blocking
                    select.select([], [descriptor], [])
        except BrokenPipeError:
            raise Unread from None

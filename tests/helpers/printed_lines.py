"""What a command prints, kept in memory."""

from __future__ import annotations

import trio

from tplus_trio.cli.lines import Lines
from tplus_trio.escapes import escape

__all__ = ["PrintedLines"]


class PrintedLines(Lines):
    """Keeps the lines instead of writing them."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.is_finished = False

    async def put(self, line: str) -> None:
        await self.put_styled(escape(line))

    async def put_styled(self, line: str) -> None:
        await trio.lowlevel.checkpoint()
        self.lines.append(line)

    async def finish(self) -> None:
        await trio.lowlevel.checkpoint()
        self.is_finished = True

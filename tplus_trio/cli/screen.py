"""Shows frames on a terminal at a bounded rate, and leaves the terminal as it was."""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from typing import Final, TextIO

import trio
from rich.console import Console, ConsoleDimensions, RenderableType

from tplus_trio.cli.failure import Failure
from tplus_trio.cli.lines import Unread, write_all
from tplus_trio.escapes import escape

__all__ = ["Painter", "Screen", "is_screen"]

#: Frames a second at most.
_RATE: Final = 10.0
#: The share of a core that making frames may take: after a frame that is slow to make, the next one waits longer.
_SHARE: Final = 0.12
#: Seconds between two frames of which every line is written: a program may have printed over them.
_REPAINT: Final = 5.0
#: Seconds for which leaving waits for a terminal that takes no more output.
_PATIENCE: Final = 1.0
_SIZE: Final = (80, 24)

# Control sequences: the alternate screen without a cursor, and back; the cursor to a row; a frame that the terminal
# shows at once, where it can.
_ENTER: Final = "\x1b[?1049h\x1b[?25l\x1b[2J"
_LEAVE: Final = "\x1b[0m\x1b[?25h\x1b[?1049l"
_ROW: Final = "\x1b[{};1H\x1b[2K{}"
_FRAME: Final = "\x1b[?2026h{}\x1b[1;1H\x1b[?2026l"


def is_screen(out: TextIO | None, environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether frames can be shown on an output: it is a terminal that can move its cursor."""
    return out is not None and out.isatty() and environ.get("TERM", "dumb") not in {"", "dumb"}


class Painter:
    """Makes the text that turns one frame on a terminal into the next. Pure.

    Args:
        encoding: The encoding of the terminal.
    """

    def __init__(self, encoding: str = "utf-8") -> None:
        # Rich asks the file for its encoding; nothing is written to it.
        file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        self._console = Console(
            file=file, force_terminal=True, legacy_windows=False, highlight=False, markup=False, emoji=False
        )
        self._shown: list[str] = []
        self._size = (0, 0)

    def forget(self) -> None:
        """Write every line of the next frame."""
        self._size = (0, 0)

    def paint(self, frame: RenderableType, width: int, height: int) -> str:
        """Return what to write to show a frame: the lines that differ from those of the last one."""
        text = ""
        if (width, height) != self._size:
            self._shown, self._size, text = [], (width, height), "\x1b[0m\x1b[2J"
        self._console.size = ConsoleDimensions(width, height)
        with self._console.capture() as captured:
            self._console.print(frame, end="", height=height, crop=True, no_wrap=True, overflow="crop")
        lines = captured.get().rstrip("\n").split("\n")[:height]
        lines += [""] * (height - len(lines))
        before = self._shown or [""] * height
        both = enumerate(zip(before, lines, strict=True), 1)
        rows = [_ROW.format(row, new) for row, (old, new) in both if old != new]
        self._shown = lines
        return _FRAME.format(text + "".join(rows)) if text or rows else ""


class _HeldLog(logging.Handler):
    """Keeps the newest log records."""

    def __init__(self) -> None:
        super().__init__()
        self.records: deque[logging.LogRecord] = deque(maxlen=20)

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


class Screen:
    """A terminal that shows frames.

    A stopped or slow terminal delays the next frame, and neither the tasks that use the network nor Ctrl-C.

    Args:
        out: The terminal; None is standard output.
    """

    def __init__(self, out: TextIO | None = None) -> None:
        out = out or sys.stdout
        self._descriptor, self._encoding = out.fileno(), out.encoding
        self._painter = Painter(out.encoding)
        self._writing = threading.Lock()
        self._frame = trio.Lock()
        self._log = _HeldLog()

    @property
    def log_line(self) -> str:
        """The newest log message; empty without one. Log messages are not printed over the frames."""
        return escape(self._log.records[-1].getMessage()) if self._log.records else ""

    async def show(self, draw: Callable[[], RenderableType]) -> None:
        """Show what ``draw`` returns, again and again, until cancelled. Then the terminal is as it was.

        Raises:
            Unread: The terminal is closed.
            Failure: Writing to it failed.
        """
        with self._hold_log():
            try:
                await self._write(_ENTER)
                async with trio.open_nursery(strict_exception_groups=True) as nursery:
                    nursery.start_soon(self._pause_at_signal)
                    await self._show(draw)
            finally:
                with (
                    suppress(Unread, Failure),
                    trio.CancelScope(shield=True, deadline=trio.current_time() + _PATIENCE),
                ):
                    await self._write(_LEAVE)

    async def _show(self, draw: Callable[[], RenderableType]) -> None:
        repainted = trio.current_time()
        while True:
            if trio.current_time() - repainted >= _REPAINT:
                self._painter.forget()
                repainted = trio.current_time()
            began = time.thread_time()
            frame = self._painter.paint(draw(), *self._measure())
            cost = time.thread_time() - began
            if frame:
                async with self._frame:
                    await self._write(frame)
            await trio.sleep(max(1 / _RATE, cost / _SHARE))

    def _measure(self) -> tuple[int, int]:
        """Return the columns and rows of the terminal as it is now."""
        try:
            width, height = os.get_terminal_size(self._descriptor)
        except OSError:
            return _SIZE
        return (width or _SIZE[0], height or _SIZE[1])

    async def _write(self, text: str) -> None:
        data = text.encode(self._encoding, "replace")
        await trio.to_thread.run_sync(self._write_in_thread, data, abandon_on_cancel=True)

    def _write_in_thread(self, data: bytes) -> None:
        with self._writing:  # a frame whose writing was cancelled comes to its end first
            write_all(self._descriptor, data)

    async def _pause_at_signal(self) -> None:
        """Leave the screen while the process is stopped by Ctrl-Z."""
        if sys.platform == "win32":
            return
        with trio.open_signal_receiver(signal.SIGTSTP) as signals:
            async for _ in signals:
                async with self._frame:
                    await self._write(_LEAVE)
                    os.kill(os.getpid(), signal.SIGSTOP)
                    await self._write(_ENTER)
                    self._painter.forget()

    @contextmanager
    def _hold_log(self) -> Generator[None]:
        """Keep log records while frames are shown, if they would be printed over them. Warnings are printed later."""
        root = logging.getLogger()
        handlers = root.handlers[:] if sys.stderr is not None and sys.stderr.isatty() else []
        for handler in handlers:
            root.removeHandler(handler)
        root.addHandler(self._log)
        try:
            yield
        finally:
            root.removeHandler(self._log)
            for handler in handlers:
                root.addHandler(handler)
                for record in self._log.records:
                    if record.levelno >= logging.WARNING:
                        handler.handle(record)

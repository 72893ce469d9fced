"""Frames on a terminal: what is written, how often, and how the terminal is left."""

from __future__ import annotations

import io
import logging
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TextIO

import pytest
import trio
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text
from trio.testing import MockClock

from tests.helpers.screens import cells
from tplus_trio.cli import screen as screens
from tplus_trio.cli.failure import Failure
from tplus_trio.cli.lines import Unread
from tplus_trio.cli.screen import Painter, Screen, is_screen

pty = pytest.importorskip("pty")

ENTER, LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"


# What is painted.


def test_the_first_frame_is_painted_whole() -> None:
    painted = Painter().paint(Text("one\ntwo"), 20, 4)
    assert "\x1b[2J" in painted
    assert cells(painted, 4) == ["one", "two", "", ""]


def test_only_rows_that_changed_are_painted() -> None:
    painter = Painter()
    painter.paint(Text("one\ntwo\nthree"), 20, 4)
    assert painter.paint(Text("one\ntwo\nthree"), 20, 4) == ""
    painted = painter.paint(Text("one\n2\nthree"), 20, 4)
    assert "2" in painted
    assert "three" not in painted
    assert "\x1b[2J" not in painted


def test_a_shorter_frame_leaves_nothing_of_the_last_one() -> None:
    painter = Painter()
    painter.paint(Text("one\ntwo\nthree"), 20, 4)
    painted = painter.paint(Text("one"), 20, 4)
    assert re.findall(r"\x1b\[(\d+);1H\x1b\[2K", painted) == ["2", "3"]


def test_another_size_is_painted_whole() -> None:
    painter = Painter()
    painter.paint(Text("one\ntwo"), 20, 4)
    painted = painter.paint(Text("one\ntwo"), 30, 3)
    assert "\x1b[2J" in painted
    assert cells(painted, 3) == ["one", "two", ""]


def test_nothing_is_written_beyond_the_terminal() -> None:
    painted = Painter().paint(Text("\n".join("x" * 50 for _ in range(20))), 10, 5)
    assert cells(painted, 5) == ["x" * 10] * 5
    assert "\n" not in painted


# Where frames can be shown.


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("out", "term", "expected"),
    [
        (Terminal(), "xterm", True),
        (Terminal(), "dumb", False),
        (Terminal(), "", False),
        (io.StringIO(), "xterm", False),
        (None, "xterm", False),
    ],
)
def test_what_is_a_screen(out: TextIO | None, term: str, expected: bool) -> None:
    assert is_screen(out, {"TERM": term}) is expected
    assert not is_screen(out, {})


# A real terminal.


class Pty:
    """A terminal: ``out`` for the program, and what it has shown."""

    def __init__(self) -> None:
        self.master, slave = pty.openpty()
        self.out = os.fdopen(slave, "w", encoding="utf-8")
        os.set_blocking(self.master, False)
        self._text = ""

    def read(self) -> str:
        try:
            while data := os.read(self.master, 65536):
                self._text += data.decode()
        except OSError:  # nothing is there
            pass
        return self._text

    async def wait_for(self, text: str) -> str:
        with trio.fail_after(10):
            while text not in self.read():  # noqa: ASYNC110 - a terminal does not tell
                await trio.sleep(0.005)
        return self._text

    def resize(self, width: int, height: int) -> None:
        import fcntl  # noqa: PLC0415 - not on Windows
        import struct  # noqa: PLC0415 - only Unix has it
        import termios  # noqa: PLC0415 - only Unix has it

        fcntl.ioctl(self.out, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))


@pytest.fixture
def terminal() -> Iterator[Pty]:
    with ExitStack() as stack:
        terminal = Pty()
        stack.callback(os.close, terminal.master)
        stack.callback(terminal.out.close)
        yield terminal


class Sized:
    """Shows the size that it is given."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(f"<{options.max_width}x{options.height}>")


async def test_a_cancelled_screen_leaves_the_terminal_as_it_was(terminal: Pty) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Screen(terminal.out).show, Sized)
        await terminal.wait_for("<80x24>")
        nursery.cancel_scope.cancel()
    text = terminal.read()
    assert text.startswith(ENTER)
    assert text.endswith(LEAVE)
    assert text.count(LEAVE) == 1


async def test_a_failing_screen_leaves_the_terminal_as_it_was(terminal: Pty) -> None:
    def draw() -> Text:
        raise ZeroDivisionError

    with pytest.RaisesGroup(ZeroDivisionError):
        await Screen(terminal.out).show(draw)
    assert terminal.read().endswith(LEAVE)


async def test_it_follows_the_size(terminal: Pty) -> None:
    async with trio.open_nursery() as nursery:
        terminal.resize(50, 10)
        nursery.start_soon(Screen(terminal.out).show, Sized)
        await terminal.wait_for("<50x10>")
        terminal.resize(120, 40)
        await terminal.wait_for("<120x40>")
        nursery.cancel_scope.cancel()


async def test_a_terminal_that_nobody_reads_delays_nothing_else(terminal: Pty, monkeypatch: pytest.MonkeyPatch) -> None:
    """The frames stay in the terminal's buffer until it is full. Cancelling ends the screen within its patience."""
    monkeypatch.setattr(screens, "_PATIENCE", 0.2)
    terminal.resize(400, 200)  # one frame is larger than the buffer
    frames = 0

    def draw() -> Text:
        nonlocal frames
        frames += 1
        return Text("\n".join(f"{frames}" * 400 for _ in range(200)))

    began = time.monotonic()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Screen(terminal.out).show, draw)
        await trio.sleep(0.4)
        drawn = frames
        nursery.cancel_scope.cancel()
    assert drawn < 3, "no frame is made while the last one is not written"
    assert time.monotonic() - began < 5
    terminal.read()


async def count_frames(terminal: Pty, monkeypatch: pytest.MonkeyPatch, cost: float) -> int:
    """Return how many frames are made in ten seconds, if each takes so many seconds of CPU time."""
    spent, frames = 0.0, 0

    async def write(_: Screen, __: str) -> None:
        await trio.lowlevel.checkpoint()

    def draw() -> Text:
        nonlocal spent, frames
        spent += cost
        frames += 1
        return Text(str(frames))

    monkeypatch.setattr(Screen, "_write", write)  # a thread, for which a virtual clock does not wait
    monkeypatch.setattr(time, "thread_time", lambda: spent)
    with trio.move_on_after(10):
        await Screen(terminal.out).show(draw)
    return frames


async def test_at_most_ten_frames_a_second(
    terminal: Pty, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    assert 99 <= await count_frames(terminal, monkeypatch, 0.001) <= 101


async def test_frames_that_are_slow_to_make_are_few(
    terminal: Pty, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    frames = await count_frames(terminal, monkeypatch, 0.05)
    assert frames * 0.05 == pytest.approx(10 * screens._SHARE, rel=0.1)


@pytest.mark.parametrize("error", [Unread(), Failure("standard output: Input/output error")])
async def test_a_terminal_that_is_gone(terminal: Pty, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def write_all(_: int, __: bytes) -> None:
        raise error

    monkeypatch.setattr(screens, "write_all", write_all)
    with pytest.raises(type(error)):
        await Screen(terminal.out).show(Sized)


async def test_log_messages_are_not_printed_over_the_frames(terminal: Pty, monkeypatch: pytest.MonkeyPatch) -> None:
    printed = Terminal()
    monkeypatch.setattr(sys, "stderr", printed)
    handler, log = logging.StreamHandler(printed), logging.getLogger("tests.screen")
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        screen = Screen(terminal.out)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(screen.show, Sized)
            await terminal.wait_for("<80x24>")
            log.warning("a \x1b[2J warning")
            assert screen.log_line == "a \\x1b[2J warning"
            assert printed.getvalue() == ""
            nursery.cancel_scope.cancel()
        assert printed.getvalue() == "a \x1b[2J warning\n", "it is printed once the screen is left"
        log.warning("later")
        assert printed.getvalue().endswith("later\n")
    finally:
        root.removeHandler(handler)


@pytest.mark.skipif(not hasattr(signal, "SIGTSTP"), reason="only Unix can stop a process")
async def test_a_stopped_process_leaves_the_screen(terminal: Pty, monkeypatch: pytest.MonkeyPatch) -> None:
    stops: list[tuple[int, int]] = []

    def stop(process: int, signum: int) -> None:
        assert terminal.read().endswith(LEAVE)
        stops.append((process, signum))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(Screen(terminal.out).show, Sized)
        await terminal.wait_for("<80x24>")
        kill = os.kill
        monkeypatch.setattr(os, "kill", stop)
        kill(os.getpid(), signal.SIGTSTP)
        with trio.fail_after(5):
            while terminal.read().count("<80x24>") < 2:  # noqa: ASYNC110 - likewise
                await trio.sleep(0.005)
        nursery.cancel_scope.cancel()
    assert stops == [(os.getpid(), signal.SIGSTOP)]
    assert terminal.read().count(ENTER) == 2

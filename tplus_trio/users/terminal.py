"""Asks for a password at the terminal, and restores the terminal's echo however the prompt ends."""

from __future__ import annotations

import atexit
import contextlib
import getpass
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Final

from tplus_trio.secret import SecretText

try:
    import termios
except ImportError:  # not a POSIX system: getpass reads there without changing the terminal's settings
    termios = None  # type: ignore[assignment]  # checked before each use

__all__ = ["ask_password", "has_terminal", "restore_echo"]

#: The terminals with an open prompt: a file descriptor that we opened, and the settings before the prompt.
_open: Final[list[tuple[int, list[Any]]]] = []


def has_terminal() -> bool:
    """Whether standard input is a terminal."""
    return sys.stdin is not None and sys.stdin.isatty()


def ask_password(prompt: str) -> str:
    """Ask for a password without echo. Blocks until a line is typed.

    Ctrl-C reaches the main thread only. In another thread the prompt stays open after it; a caller that stops waiting
    for that thread calls `restore_echo`. The end of the program calls it too.

    Raises:
        EOFError: The terminal was closed.
        KeyboardInterrupt: Ctrl-C was typed, and this is the main thread.
    """
    with _settings_kept():
        return SecretText(getpass.getpass(prompt))


def restore_echo() -> None:
    """Restore the settings that each terminal with an open prompt had before it."""
    if termios is None:
        return
    for descriptor, settings in _open:
        with contextlib.suppress(termios.error):
            termios.tcsetattr(descriptor, termios.TCSANOW, settings)


@contextmanager
def _settings_kept() -> Generator[None]:
    """Remember the terminal's settings while the body changes them."""
    kept = _current_settings()
    if kept is None:
        yield
        return
    _open.append(kept)
    try:
        yield
    finally:
        _open.remove(kept)
        os.close(kept[0])


def _current_settings() -> tuple[int, list[Any]] | None:
    """The terminal that getpass uses, as an open descriptor, and its settings; None if they cannot be read."""
    if termios is None:
        return None
    try:
        descriptor = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        try:
            descriptor = os.dup(sys.stdin.fileno())
        except (OSError, ValueError, AttributeError):
            return None
    try:
        return descriptor, termios.tcgetattr(descriptor)
    except termios.error:
        os.close(descriptor)
        return None


# The end of the program kills a thread with an open prompt, and its cleanup does not run.
atexit.register(restore_echo)

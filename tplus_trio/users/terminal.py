"""Asking for a password at the terminal, whose echo comes back whatever ends the question."""

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
except ImportError:  # not a POSIX system: its own getpass reads without an echo to restore
    termios = None  # type: ignore[assignment]  # checked before each use

__all__ = ["ask_password", "has_terminal", "restore_echo"]

#: The terminals at which a question is open, as file descriptors of our own, with their settings before it.
_open: Final[list[tuple[int, list[Any]]]] = []


def has_terminal() -> bool:
    """Whether there is a terminal to ask at."""
    return sys.stdin is not None and sys.stdin.isatty()


def ask_password(prompt: str) -> str:
    """Ask for a password, without an echo. It blocks until it is typed.

    Raises:
        EOFError: The terminal was closed.
        KeyboardInterrupt: Ctrl-C was typed, and this is the main thread.

    Asked in another thread, it goes on after a Ctrl-C, which reaches the main thread only. Who gives up waiting for it
    calls `restore_echo`, which is also done when the program ends.
    """
    with _settings_kept():
        return SecretText(getpass.getpass(prompt))


def restore_echo() -> None:
    """Give each terminal with an open question the settings back that it had before."""
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
    """The settings of the terminal that getpass asks at; None if they cannot be had."""
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


# A thread that still asks is ended with the program, without a chance to clean up.
atexit.register(restore_echo)

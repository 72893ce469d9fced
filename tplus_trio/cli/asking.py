"""Asks a question at the terminal."""

from __future__ import annotations

import os
import sys
from typing import Final

import trio

from tplus_trio.cli.failure import say
from tplus_trio.escapes import escape

__all__ = ["ask"]

_YES: Final = frozenset({"y", "yes"})


async def ask(question: str) -> bool:
    """Print a question to standard error, and wait for an answer. Cancelling it leaves a thread that waits for a line.

    Returns:
        Whether the answer is ``y`` or ``yes``; False at the end of the input.
    """
    answer = await trio.to_thread.run_sync(_read_line, f"{question} [y/N] ", abandon_on_cancel=True)
    return answer.strip().lower() in _YES


def _read_line(prompt: str) -> str:
    sys.stderr.write(escape(prompt))
    sys.stderr.flush()
    # Not `sys.stdin.readline`: its lock, held by a thread that was left behind, aborts the end of the program.
    line = os.read(sys.stdin.fileno(), 4096)
    if not line.endswith(b"\n"):
        say("")  # the input has ended, and the cursor is still behind the question
    return line.decode(errors="replace")

"""Runs programs in processes of their own, which end with the test in any case."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["PATIENCE", "Ended", "end", "finished", "line", "read_lines", "started"]

#: Seconds within which anything must happen, also on a busy machine.
PATIENCE = 30


class Ended:
    """How a process ended, and after how many seconds."""

    def __init__(self, process: subprocess.Popen[str], began: float) -> None:
        self.out, self.err = process.communicate(timeout=PATIENCE)
        self.seconds = time.monotonic() - began
        self.status = process.returncode


@contextmanager
def started(*args: str | Path, home: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    """Run a Python program in the background: ``started("-m", "tplus_trio", "demo")``."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    if home is not None:
        environment |= {"HOME": str(home), "TPLUS_PASSWORD": "a password"}
    process = subprocess.Popen(
        [sys.executable, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def line(process: subprocess.Popen[str]) -> str:
    """Return the next line that a process prints."""
    assert process.stdout is not None
    text = process.stdout.readline()
    assert text.endswith("\n"), Ended(process, time.monotonic()).err
    return text[:-1]


def read_lines(process: subprocess.Popen[str], n: int) -> list[str]:
    """Return the next lines that a process prints."""
    return [line(process) for _ in range(n)]


def end(process: subprocess.Popen[str], signum: signal.Signals) -> Ended:
    """End a process."""
    began = time.monotonic()
    process.send_signal(signum)
    return Ended(process, began)


def finished(*args: str | Path) -> Ended:
    """Run a program to its end."""
    began = time.monotonic()
    with started(*args) as process:
        return Ended(process, began)

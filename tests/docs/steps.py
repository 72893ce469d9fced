"""Does what the pages of *Start* say, in a fresh environment: ``python -m tests.docs.steps [SECONDS]``.

It runs the commands and programs as the pages show them, in an empty folder where the page does not ask for the folder
of the repository, and prints the time after each. It fails if a step does, or if the first state of a live book takes
more than SECONDS. It needs the package index, and the ports 8011 and 3032.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.helpers.pages import ROOT, blocks

#: Seconds within which a step has to be done.
PATIENCE = 600


class Steps:
    """A fresh environment, and the time since it was begun."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._began = time.monotonic()
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        self._environment = {**kept, "VIRTUAL_ENV": str(folder / ".venv"), "PYTHONUNBUFFERED": "1"}
        self._environment["PATH"] = f"{folder / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"

    def run(self, command: str, *, folder: Path | None = None) -> str:
        """Run a command to its end, and return what it printed."""
        done = subprocess.run(
            command,
            shell=True,
            cwd=folder or self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        self.report(command)
        if done.returncode:
            sys.exit(f"{command}\n{done.stdout}{done.stderr}")
        return done.stdout

    @contextmanager
    def started(self, command: str, *, folder: Path | None = None) -> Iterator[subprocess.Popen[str]]:
        """Run a command beside the body. Its first line has to come before the body begins."""
        process = subprocess.Popen(
            command.split(),
            cwd=folder or self._folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # a program without a handler of signals ends with a traceback
            text=True,
        )
        with process:
            try:
                yield process
            finally:
                process.send_signal(signal.SIGINT)
                process.wait(PATIENCE)

    def save(self, name: str, program: str) -> None:
        """Write a program into the folder, as a reader does."""
        (self._folder / name).write_text(program, encoding="utf-8")

    def report(self, step: str) -> float:
        """Print a step and the time since the beginning, and return the time in seconds."""
        seconds = time.monotonic() - self._began
        print(f"{seconds:6.1f} s  {step}")
        return seconds


def line(process: subprocess.Popen[str]) -> str:
    """Return the next line that a program prints."""
    assert process.stdout is not None
    return process.stdout.readline()


def main() -> None:
    """Take the steps, and stop at the first that fails."""
    install, *_ = blocks("start/install.md", "sh")
    make, add, demo = install.splitlines()
    (serve,) = (block.strip() for block in blocks("start/live_book.md", "sh"))
    (test,) = (block.strip() for block in blocks("start/first_test.md", "sh"))
    with tempfile.TemporaryDirectory() as folder:
        steps = Steps(Path(folder))
        steps.run(make.partition(" && ")[0])
        steps.run(add, folder=ROOT)
        with steps.started(serve) as exchange:
            assert line(exchange).strip().endswith("8011")
            steps.save("book.py", blocks("start/live_book.md")[0])
            with steps.started("python book.py") as book:
                assert "PriceLevel" in line(book)
                seconds = steps.report("python book.py, the first state of the book")
                if sys.argv[1:] and seconds > float(sys.argv[1]):
                    sys.exit(f"that took more than {sys.argv[1]} s")
            steps.save("first.py", blocks("start/first_order.md")[0])
            assert steps.run("python first.py").splitlines()[-1] == "gone: Canceled"
            with steps.started("python examples/market_maker.py", folder=ROOT) as bot:
                time.sleep(3)
                assert bot.poll() is None
            assert bot.returncode == 0
            steps.report("python examples/market_maker.py, ended with Ctrl-C")
        steps.run(test, folder=ROOT)
        steps.run(demo)


if __name__ == "__main__":
    main()

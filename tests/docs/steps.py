"""Does what the pages of *Start* and *How to* say, in a fresh environment: ``python -m tests.docs.steps [SECONDS]``.

It runs the commands and programs as the pages show them, in an empty folder where the page does not ask for the folder
of the repository, and prints the time after each. It fails if a step does, or if the first state of a live book takes
more than SECONDS. It needs the package index, and the ports 8011 and 3032.

The pages of *How to* whose blocks are parts of programs, such as a function, are run by the tests of the documents, in
the same environment.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.helpers.pages import ROOT, blocks, text_of

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
    def started(
        self, command: str, *, folder: Path | None = None, end: signal.Signals = signal.SIGINT
    ) -> Iterator[subprocess.Popen[str]]:
        """Run a command beside the body, then end it with a signal."""
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
                process.send_signal(end)
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


def start(steps: Steps, limit: float | None) -> None:
    """Take the steps of *Start*."""
    install, *_ = blocks("start/install.md", "sh")
    make, add, demo = install.splitlines()
    (serve,) = (block.strip() for block in blocks("start/live_book.md", "sh"))
    (test,) = (block.strip() for block in blocks("start/first_test.md", "sh"))
    steps.run(make.partition(" && ")[0])
    steps.run(add, folder=ROOT)
    with steps.started(serve) as exchange:
        assert line(exchange).strip().endswith("8011")
        steps.save("book.py", blocks("start/live_book.md")[0])
        with steps.started("python book.py") as book:
            assert "PriceLevel" in line(book)
            seconds = steps.report("python book.py, the first state of the book")
            if limit is not None and seconds > limit:
                sys.exit(f"that took more than {limit:g} s")
        steps.save("first.py", blocks("start/first_order.md")[0])
        assert steps.run("python first.py").splitlines()[-1] == "gone: Canceled"
        quote(steps, signal.SIGINT)
    steps.run(test, folder=ROOT)
    steps.run(demo)


def quote(steps: Steps, end: signal.Signals) -> None:
    """Run the market maker for some seconds, and end it in order."""
    with steps.started("python examples/market_maker.py", folder=ROOT, end=end) as bot:
        time.sleep(3)
        assert bot.poll() is None
    assert bot.returncode == 0
    steps.report(f"python examples/market_maker.py, ended with {end.name}")


def main() -> None:
    """Take the steps, and stop at the first that fails."""
    with tempfile.TemporaryDirectory() as folder:
        steps = Steps(Path(folder))
        start(steps, float(sys.argv[1]) if sys.argv[1:] else None)
        (serve,) = (block.strip() for block in blocks("start/live_book.md", "sh"))
        record_and_replay(steps, serve)
        with steps.started(serve) as exchange:
            assert line(exchange)
            run_programs(steps)
            quote(steps, signal.SIGTERM)  # as systemd does
        run_test_files(steps)
        steps.run("pip install --upgrade pip")
        steps.run("pip install --group test", folder=ROOT)
        steps.run("python -m pytest -q tests/docs", folder=ROOT)


def record_and_replay(steps: Steps, serve: str) -> None:
    """Record from an exchange, and play that in its place; make a table of it."""
    page = "howto/record_and_replay.md"
    commands, stream, export = (block.strip() for block in blocks(page, "sh"))
    record, replay = commands.splitlines()
    with steps.started(serve) as exchange:
        assert line(exchange)
        steps.run(record)
    with steps.started(replay) as player:
        assert line(player)
        with steps.started(stream) as reader:
            assert line(reader).startswith("depth ")
            steps.report(f"{stream}, the first line")
    (extra,) = re.findall(r"`(pip install .*?)`", text_of(page))
    steps.run(extra, folder=ROOT)
    steps.run(export)


#: What a reader of these pages adds to try the blocks: each program ends by itself.
_THREADS = """
prices = Prices("http://127.0.0.1:8011", 200)
while True:
    try:
        print(prices.best())
        break
    except Exception as exc:
        assert type(exc).__name__ == "BookNotSynced", exc
prices.close()
print(best_bid("http://127.0.0.1:8011", 200))
"""
_CELLS = """
import ast, asyncio, sys
async def main():
    names = {}
    for cell in sys.stdin.read().split("# next cell"):
        code = eval(compile(cell, "cell", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
        if code is not None:
            await code
asyncio.run(main())
"""


def run_programs(steps: Steps) -> None:
    """Run what the pages on porting, threads and notebooks show against the exchange."""
    steps.save("port.py", blocks("howto/port_from_tpluspy.md")[0])
    with steps.started("python port.py") as program:
        assert line(program).startswith("start again from")
        assert line(program).startswith("the next change")
    steps.report("python port.py, two lines")
    thread = blocks("howto/threads.md")
    steps.save("threads.py", thread[0] + thread[1] + _THREADS)
    assert steps.run("python threads.py").count("PriceLevel") == 3
    steps.save("cells.py", _CELLS)
    steps.save("cells.txt", "# next cell\n".join(blocks("howto/notebook.md")[:3]))
    steps.run("python cells.py < cells.txt")


def run_test_files(steps: Steps) -> None:
    """Save each block of the pages on tests as a test file, and run all of them."""
    for page in ("test_with_virtual_time", "test_recipes", "record_and_replay"):
        for number, block in enumerate(blocks(f"howto/{page}.md")):
            steps.save(f"test_{page}_{number}.py", block)
    steps.run("pytest -q")


if __name__ == "__main__":
    main()

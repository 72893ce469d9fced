"""Runs a fresh server and a fresh receiver for each measurement, with the peers in turn."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

from .job import Job

__all__ = ["Figures", "Samples", "Script", "awake", "interleave", "script", "with_server"]

_ROOT = Path(__file__).resolve().parents[2]
#: Seconds after which a run is stopped.
_PATIENCE = 120.0

Figures = dict[str, float]
Script = Callable[[], Figures]


class RunFailedError(Exception):
    """A run returned no figures; the text is the reason in one line."""


@dataclass
class Samples:
    """The figures of one participant's runs."""

    figures: list[Figures] = field(default_factory=list)
    failure: str = ""

    def median(self, name: str) -> float | None:
        """Return the median of a figure; None without figures or after a failed run: fewer rounds do not compare."""
        values = [] if self.failure else [run[name] for run in self.figures if name in run]
        return median(values) if values else None


def interleave(scripts: Mapping[str, Script], rounds: int) -> dict[str, Samples]:
    """Run A B C, A B C, …, so that changes of the machine affect all alike. Who fails is not run again."""
    samples = {name: Samples() for name in scripts}
    for _ in range(rounds):
        for name, run in scripts.items():
            if samples[name].failure:
                continue
            try:
                samples[name].figures.append(run())
            except RunFailedError as exc:
                samples[name].failure = str(exc)
                print(f"{name}: {exc}", file=sys.stderr)
    return samples


def script(arguments: Sequence[str], *, patience: float = _PATIENCE) -> Figures:
    """Run a Python process for at most ``patience`` seconds; its last line of output is the result, in JSON."""
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=_ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(_ROOT), os.environ.get("PYTHONPATH", "")])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        out, err = process.communicate(timeout=patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise RunFailedError(f"gave no answer within {patience:g} s") from None
    lines = out.strip().splitlines()
    if process.returncode != 0 or not lines:
        raise RunFailedError((err.strip().splitlines() or [f"ended with {process.returncode}"])[-1][:200])
    figures: Figures = json.loads(lines[-1])
    return figures


def with_server(receiver: str, job: Job) -> Script:
    """Run a receiver beside a server of its own."""

    def run() -> Figures:
        with _server(job) as port:
            return script(["-m", f"tests.benchmarks.receive_{receiver}", replace(job, port=port).to_text()])

    return run


#: Runs an endless loop on one core at the lowest priority.
_SPINNER = """
import os, sys
os.sched_setaffinity(0, {int(sys.argv[1])})
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
while True: pass
"""


def awake(run: Script) -> Script:
    """Make the same run while no core sleeps, so that no message has to wake one."""

    def run_awake() -> Figures:
        if not hasattr(os, "SCHED_IDLE"):
            raise RunFailedError("cores can be kept awake on Linux only")
        with ExitStack() as stack:
            for core in os.sched_getaffinity(0):
                spinner = stack.enter_context(subprocess.Popen([sys.executable, "-c", _SPINNER, str(core)]))
                stack.callback(spinner.kill)
            return run()

    return run_awake


@contextmanager
def _server(job: Job) -> Iterator[int]:
    options: dict[str, Any] = {"--feed": job.feed, "--messages": job.messages, "--rate": job.rate}
    given = [str(text) for option in options.items() for text in option]
    with subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.server", *given], cwd=_ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            port = process.stdout.readline()
            if not port:
                raise RunFailedError("the server did not start")
            yield int(port)
        finally:
            process.kill()

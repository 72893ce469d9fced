"""``python -m tests.benchmarks.orders``: what an order costs and how long it takes, beside the official client.

The first row is the CPU time of ``create_limit_order`` without the network: building, signing and encoding. The others
are the latency of creates over REST and over the control channel, at an even rate, and the CPU time of the client. The
clients send in turns of two seconds, because the speed of a shared machine changes within seconds. Each client and its
exchange run in processes of their own, and speak over TCP. All clients stay on one core and all exchanges on another:
to wake a core that sleeps takes about 100 us, and if the scheduler may place them, it decides the ratio of a round.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Final

from .job import Job
from .pairs import Figures, Samples, interleave, script

WAYS: Final = ("rest", "control")
PEERS: Final = ("trio", "tpluspy")
#: Seconds for a run besides those in which orders are sent.
_PATIENCE: Final = 60.0
#: Seconds until the first turn, in which the clients and their exchanges start.
_START: Final = 10.0


def run(peer: str, job: Job) -> Figures:
    """Run a client beside an exchange of its own."""
    with _on_core(1):
        exchange = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.order_exchange"], stdout=subprocess.PIPE, text=True
        )
    with exchange:
        try:
            assert exchange.stdout is not None
            job = replace(job, port=int(exchange.stdout.readline()))
            patience = _PATIENCE + (len(PEERS) * job.messages / job.rate if job.rate else 0.0)
            with _on_core(0):
                return script(["-m", f"tests.benchmarks.send_{peer}", job.to_text()], patience=patience)
        finally:
            exchange.kill()


@contextmanager
def _on_core(number: int) -> Iterator[None]:
    """Keep the processes that are started in this block on one core, where there is more than one (Linux only)."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(cores) > 1:
        os.sched_setaffinity(0, {cores[number]})
    try:
        yield
    finally:
        if len(cores) > 1:
            os.sched_setaffinity(0, cores)


def measure(what: str, job: Job, rounds: int, figures: dict[str, str]) -> None:
    """Let both clients do a job in turns, and print a line for each figure."""
    if job.what == "latency":
        samples = {peer: Samples() for peer in PEERS}
        for _ in range(rounds):
            for peer, figures_of_peer in zip(PEERS, _in_turns(job), strict=True):
                samples[peer].figures.append(figures_of_peer)
    else:
        samples = interleave({peer: partial(run, peer, job) for peer in PEERS}, rounds)
    for name, unit in figures.items():
        ours, others = (samples[peer].median(name) for peer in PEERS)
        ratio = "" if ours is None or others is None else f"{ours / others:.2f}"
        print(
            f"{what:<26}{name:<8}{_number(ours):>12}{_number(others):>12}  {unit:<4}{ratio:>7}  {_each(samples, name)}"
        )
    sys.stdout.flush()


def _in_turns(job: Job) -> list[Figures]:
    """Let all clients run at the same time and send in turns."""
    begin = time.time() + _START
    jobs = [replace(job, extra={**job.extra, "begin": begin, "place": place}) for place, _ in enumerate(PEERS)]
    with ThreadPoolExecutor() as threads:
        return list(threads.map(run, PEERS, jobs))


def _number(value: float | None) -> str:
    return "failed" if value is None else f"{value:.1f}"


def _each(samples: dict[str, Samples], name: str) -> str:
    """The ratio of each round, to show how far they are apart."""
    ours, others = ([figures.get(name) for figures in samples[peer].figures] for peer in PEERS)
    return " ".join(f"{a / b:.2f}" for a, b in zip(ours, others, strict=False) if a is not None and b)


def main() -> None:
    """Measure what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.orders", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="runs of each client (default: %(default)s)")
    parser.add_argument("--orders", type=int, default=10_000, help="orders of a run (default: %(default)s)")
    parser.add_argument("--rate", type=int, default=100, help="orders a second (default: %(default)s)")
    parser.add_argument("--ways", default=",".join(WAYS), help="some of rest,control; none measures CPU only")
    options = parser.parse_args()
    ways = [way for way in options.ways.split(",") if way not in {"", "none"}]
    if unknown := set(ways) - set(WAYS):
        parser.error(f"--ways takes some of {', '.join(WAYS)}, not {', '.join(sorted(unknown))}")
    print(f"{'':<26}{'':<8}{'tplus_trio':>12}{'tpluspy':>12}  {'':<4}{'ratio':>7}  of each round")
    build = Job(what="build", messages=options.orders)
    measure("build, sign and encode", build, options.runs, {"cpu_us": "us"})
    for way in ways:
        job = Job(what="latency", messages=options.orders, rate=options.rate, extra={"way": way})
        measure(f"create over {way}", job, options.runs, {"p50": "us", "p99": "us", "cpu_us": "us"})


if __name__ == "__main__":
    main()

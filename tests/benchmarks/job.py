"""The job of a receiver, and the functions that all receivers share."""

from __future__ import annotations

import gc
import json
import os
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

__all__ = [
    "LATENCIES",
    "TICK",
    "Job",
    "Meter",
    "Pauses",
    "ask",
    "cpu_of",
    "latency_figures",
    "memory_figures",
    "percentile",
    "rss",
    "tell",
    "ticker_figures",
]


@dataclass(frozen=True)
class Job:
    """One run of one receiver."""

    #: ``feed``, ``book``, ``live``, ``ticker``, ``latency``, ``streams``, ``shared``, ``joined``, ``crowd`` or
    #: ``resync``; for orders, ``build`` or ``latency``.
    what: str = "feed"
    feed: str = "depth 1+1"
    #: The number of messages on each stream after the first.
    messages: int = 0
    #: Messages per second; 0 sends as fast as they are received.
    rate: int = 0
    streams: int = 1
    port: int = 0
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """The server's base URL."""
        return f"http://127.0.0.1:{self.port}"

    def due_in(self, number: int) -> float:
        """Return the seconds from now until an order of a latency job is due, at the job's even rate.

        Two clients send in turns: ``extra`` has when the first turn begins, in seconds since the Unix epoch, and this
        client's place. So they meet the same state of a shared machine, which changes within seconds.
        """
        in_a_turn = round(self.rate * TURN)
        turn, place = divmod(number, in_a_turn)
        since = (2 * turn + int(self.extra["place"])) * TURN + place / self.rate
        begin = float(self.extra["begin"])
        return begin + since - time.time()

    def to_text(self) -> str:
        """Return the job as text for a command line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_command_line(cls) -> Job:
        """Read the job of this process from its command line."""
        return cls(**json.loads(sys.argv[1]))


def tell(**figures: Any) -> None:
    """Print the figures."""
    print(json.dumps(figures), flush=True)


class Meter:
    """The CPU time, user and system, of this process from the moment at which the flood is requested."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._wall = 0.0
        self._cpu = 0.0

    def start(self) -> None:
        """Request the flood. The first message has arrived, and no other is on its way."""
        ask(self._job.port, "/go")
        self._wall = time.perf_counter()
        self._cpu = time.process_time()

    def figures(self, messages: int) -> dict[str, float]:
        """Return the cost of the messages."""
        cpu = time.process_time() - self._cpu
        wall = time.perf_counter() - self._wall
        return {"cpu_us": cpu / messages * 1e6, "wall_us": wall / messages * 1e6}


async def cpu_of(work: Callable[[int], Awaitable[None]], count: int) -> float:
    """Microseconds of CPU time for each of ``count`` pieces of work: the best of ten parts, as machines are shared."""
    part, best = max(count // 10, 1), float("inf")
    for _ in range(10):
        start = time.process_time()
        await work(part)
        best = min(best, time.process_time() - start)
    return best / part * 1e6


def ask(port: int, path: str) -> None:
    """Send a request to the server, and wait for its answer."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        connection.recv(1000)


def rss() -> int:
    """Return the resident memory of this process in bytes."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that this share of the sorted values does not exceed."""
    return values[min(len(values) - 1, int(len(values) * share))]


def latency_figures(delays_ns: list[int]) -> dict[str, float]:
    """Return latencies in microseconds, without the first tenth, which is for warming up."""
    rest = sorted(delays_ns[len(delays_ns) // 10 :])
    return {name: percentile(rest, share) / 1e3 for name, share in LATENCIES.items()}


class Pauses:
    """The longest pause of the garbage collector, which no task can avoid."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._start = 0.0
        gc.callbacks.append(self._note)

    def _note(self, phase: str, _info: dict[str, int]) -> None:
        if phase == "start":
            self._start = time.perf_counter()
        else:
            self.longest = max(self.longest, time.perf_counter() - self._start)


def ticker_figures(delays: list[float], pauses: Pauses) -> dict[str, float]:
    """Return delays in milliseconds."""
    delays.sort()
    late = {"worst_ms": delays[-1], "p99_ms": percentile(delays, 0.99), "gc_ms": pauses.longest}
    return {name: seconds * 1e3 for name, seconds in late.items()}


def memory_figures(streams: int, one: int, idle: int) -> dict[str, float]:
    """Return the kilobytes of each stream beyond the first: before the flood, and after it."""
    more = max(streams - 1, 1) * 1000
    return {"idle_kb": (idle - one) / more, "used_kb": (rss() - one) / more}


#: The figures of a list of latencies.
LATENCIES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}
#: Seconds for which one client sends orders before it is the other one's turn.
TURN = 2.0
#: Seconds for which the ticker beside a busy feed sleeps.
TICK = 0.001

"""Runs the measurements and makes the rows of the table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, Final

from .books import BOOKS
from .job import LATENCIES, Job
from .pairs import Samples, Script, awake, interleave, script, with_server

__all__ = ["GROUPS", "Beside", "Row", "Scale"]

OURS: Final = "tplus_trio"
TPLUSPY: Final = "tpluspy"
CEILING: Final = "ceiling"
BARE: Final = "bare trio"


@dataclass(frozen=True)
class Scale:
    """The size of a run."""

    rounds: int = 5
    #: The divisor of a full run's sizes.
    divisor: int = 1

    def count(self, messages: int) -> int:
        """Return a number of messages at this scale."""
        return max(messages // self.divisor, 50)


@dataclass
class Beside:
    """A figure with which a row's own is compared."""

    name: str
    value: float | None
    #: The least legal ``value / own``; None if there is no limit.
    floor: float | None = None
    #: Why there is no figure.
    note: str = ""


@dataclass
class Row:
    """A line of the table. Less is better in every unit."""

    group: str
    name: str
    unit: str
    value: float | None
    beside: list[Beside] = field(default_factory=list)
    note: str = ""

    def ratio(self, other: Beside) -> float | None:
        """Return the other's figure divided by this one's."""
        return other.value / self.value if self.value and other.value is not None else None

    def met(self, other: Beside) -> bool | None:
        """Return whether the floor is met; None if there is none, or no figure."""
        ratio = self.ratio(other)
        return None if ratio is None or other.floor is None else ratio >= other.floor

    def to_json(self) -> dict[str, Any]:
        """Return the row, with its ratios."""
        beside = [{**asdict(other), "ratio": self.ratio(other), "met": self.met(other)} for other in self.beside]
        return {**asdict(self), "beside": beside}


#: The rows of a group, and all its samples for the JSON.
Outcome = tuple[list[Row], dict[str, Samples]]


def _beside(samples: dict[str, Samples], name: str, figure: str, floor: float | None = None) -> Beside:
    theirs = samples[name]
    return Beside(name, theirs.median(figure), floor, theirs.failure)


def _row(group: str, name: str, unit: str, samples: Samples, figure: str, beside: Sequence[Beside] = ()) -> Row:
    return Row(group, name, unit, samples.median(figure), list(beside), samples.failure)


#: Feed, messages of a full run, and the least ratios to tpluspy and to the ceiling.
_FLOORS: Final = {
    "depth 1+1": (200_000, 3.5, 0.33),
    "depth 5+5": (150_000, 2.2, 0.22),
    "trades": (150_000, 3.0, 0.25),
    "user trades": (100_000, 3.0, 0.25),
    "klines": (150_000, 3.0, 0.25),
    "orders": (60_000, 3.0, 0.25),
}


def feeds(scale: Scale) -> Iterator[Outcome]:
    """CPU time per message of each feed."""
    for feed, (messages, floor, ceiling_floor) in _FLOORS.items():
        job = Job("feed", feed, scale.count(messages))
        scripts = {
            OURS: with_server("trio", job),
            TPLUSPY: with_server("tpluspy", job),
            CEILING: with_server("ceiling", job),
        }
        samples = interleave(scripts, scale.rounds)
        beside = [
            _beside(samples, TPLUSPY, "cpu_us", floor),
            _beside(samples, CEILING, "cpu_us", ceiling_floor),
        ]
        rows = [_row("feeds", feed, "us CPU/message", samples[OURS], "cpu_us", beside)]
        yield rows, {f"{feed}: {name}": runs for name, runs in samples.items()}


def latency(scale: Scale) -> Iterator[Outcome]:
    """Time from the server's send to the consumer, on depth 1+1.

    The higher rate is measured again while no core sleeps: a core that slept needs time to wake and is slow at
    first, which is the machine's share of the slowest messages.
    """
    for rate, seconds in ((1000, 8), (10_000, 5)):
        job = Job("latency", messages=scale.count(rate * seconds), rate=rate)
        peers = {OURS: with_server("trio", job), TPLUSPY: with_server("tpluspy", job)}
        samples = interleave({**peers, BARE: with_server("bare", job)}, scale.rounds)
        floors = {"p50": 1.3, "p99": 1.1, "p99.9": None, "cpu_us": None}
        yield _latency(f"{rate // 1000}k/s", samples, floors)
        if rate >= 10_000:
            samples = interleave({name: awake(run) for name, run in peers.items()}, scale.rounds)
            yield _latency(f"{rate // 1000}k/s, awake", samples, {"p50": None, "p99": None})


def _latency(name: str, samples: dict[str, Samples], floors: dict[str, float | None]) -> Outcome:
    rows = []
    for figure, floor in floors.items():
        what, unit = (figure, "us") if figure in LATENCIES else ("CPU", "us CPU/message")
        beside = [_beside(samples, TPLUSPY, figure, floor)]
        if what == "CPU" and BARE in samples:
            beside.append(_beside(samples, BARE, figure))
        rows.append(_row("latency", f"{name}, {what}", unit, samples[OURS], figure, beside))
    return rows, {f"latency {name}: {peer}": runs for peer, runs in samples.items()}


_MOST: Final = 500


def streams(scale: Scale) -> Iterator[Outcome]:
    """Many streams in one process, on depth 1+1."""
    sizes = (1, 10, 100, _MOST)
    scripts: dict[str, Script] = {}
    for size in sizes:
        # Several reads' worth of messages for each: the first message, which wakes a stream, costs more than a message.
        messages = max(scale.count(200_000) // size, scale.count(2000))
        job = Job("streams", messages=messages, streams=size)
        scripts |= {f"{OURS} {size}": with_server("trio", job), f"{TPLUSPY} {size}": with_server("tpluspy", job)}
    samples = interleave(scripts, scale.rounds)
    rows = []
    for size in sizes:
        ours = samples[f"{OURS} {size}"]
        theirs = _beside(samples, f"{TPLUSPY} {size}", "cpu_us")
        beside = [Beside(TPLUSPY, theirs.value, note=theirs.note)]
        if size > 1:
            one = samples[f"{OURS} 1"].median("cpu_us")
            beside.append(Beside("one stream", one, 1 / 1.5 if size == _MOST else None))
        name = f"{size} stream{'s' if size > 1 else ''}"
        rows.append(_row("streams", name, "us CPU/message", ours, "cpu_us", beside))
    for size in (100, _MOST):
        for figure, when in (("idle_kb", "idle"), ("used_kb", "after the flood")):
            theirs = _beside(samples, f"{TPLUSPY} {size}", figure)
            limit = [Beside("limit", 100.0, 1.0)] if figure == "idle_kb" else []
            beside = [*limit, Beside(TPLUSPY, theirs.value, note=theirs.note)]
            name = f"{size} streams, {when}"
            rows.append(_row("streams", name, "KB/stream", samples[f"{OURS} {size}"], figure, beside))
    yield rows, {f"streams: {name}": runs for name, runs in samples.items()}


def neighbour(scale: Scale) -> Iterator[Outcome]:
    """The effect of busy feeds (depth 1+1) on a task that wants to run every millisecond."""
    for streams, beside in ((1, "1 stream"), (100, "100 streams")):
        job = Job("ticker", messages=scale.count(800_000) // streams, streams=streams)
        peers = {OURS: with_server("trio", job), TPLUSPY: with_server("tpluspy", job)}
        samples = interleave(peers, scale.rounds)
        rows = [
            _row("neighbour", f"1 ms ticker, {beside}, {name}", unit, samples[OURS], figure, [peer])
            for figure, name, unit in (
                ("worst_ms", "worst delay", "ms late"),
                ("p99_ms", "p99 delay", "ms late"),
                ("gc_ms", "longest GC", "ms"),
            )
            for peer in [_beside(samples, TPLUSPY, figure)]
        ]
        yield rows, {f"neighbour, {beside}: {name}": runs for name, runs in samples.items()}
    job = Job("ticker", messages=scale.count(900_000) // 300, streams=300, extra={"books": True})
    samples = interleave({OURS: with_server("trio", job)}, scale.rounds)
    limits = {"worst_ms": ("worst delay", []), "p99_ms": ("p99 delay", [Beside("limit", 20.0, 1.0)])}
    rows = [
        _row("neighbour", f"1 ms ticker, 300 live books, {name}", "ms late", samples[OURS], figure, limit)
        for figure, (name, limit) in limits.items()
    ]
    yield rows, {f"neighbour, 300 live books: {name}": runs for name, runs in samples.items()}


def shared(scale: Scale) -> Iterator[Outcome]:
    """Consumers of one feed: CPU time per message before their own work begins, and memory of each."""
    limits = {1: None, 10: 1 / 1.5, 100: 1 / 3}
    messages = scale.count(100_000)
    scripts = {f"{OURS} {size}": with_server("trio", Job("shared", messages=messages, streams=size)) for size in limits}
    samples = interleave(scripts, scale.rounds)
    one = samples[f"{OURS} 1"].median("cpu_us")
    rows = [
        _row("shared", f"{size} consumers of a feed", "us CPU/message", samples[f"{OURS} {size}"], "cpu_us", beside)
        for size, floor in limits.items()
        for beside in [[] if floor is None else [Beside("one consumer", one, floor)]]
    ]
    memory = interleave({OURS: with_server("trio", Job("joined", streams=1000))}, scale.rounds)
    limit = [Beside("limit", 5.0, 1.0)]
    rows.append(_row("shared", "a further consumer, idle", "KB", memory[OURS], "idle_kb", limit))
    yield rows, {f"shared: {name}": runs for name, runs in {**samples, "memory": memory[OURS]}.items()}


#: Levels a side, messages of a full run, and the least ratios of a live and of a local book to tpluspy's decoding.
_BOOK_FLOORS: Final = {"1+1": (200_000, 5.5, 2.5), "5+5": (150_000, 3.5, 1.3)}


def books(scale: Scale) -> Iterator[Outcome]:
    """CPU time per message of books over a feed, with fresh prices and with those of `feeds`; and `local_books`."""
    for levels, (messages, live_floor, local_floor) in _BOOK_FLOORS.items():
        for feed in (f"depth {levels}, fresh", f"depth {levels}"):
            count = scale.count(messages)
            scripts = {
                TPLUSPY: with_server("tpluspy", Job("feed", feed, count)),
                "LiveBook, changes()": with_server("trio", Job("live", feed, count)),
                "LocalBook over stream_depth": with_server("trio", Job("book", feed, count)),
            }
            samples = interleave(scripts, scale.rounds)
            decoding = samples[TPLUSPY].median("cpu_us")
            rows = [
                _row(
                    "books",
                    f"{name}, {feed.removeprefix('depth ')}",
                    "us CPU/message",
                    samples[name],
                    "cpu_us",
                    [beside],
                )
                for name, floor in zip(list(scripts)[1:], (live_floor, local_floor), strict=True)
                for beside in [Beside("tpluspy, decode alone", decoding, floor, samples[TPLUSPY].failure)]
            ]
            yield rows, {f"books, {feed}: {name}": runs for name, runs in samples.items()}
    yield from local_books(scale)


def local_books(scale: Scale) -> Iterator[Outcome]:
    """A book in memory with 5,000 levels a side: apply a change of 1+1 levels, read the best levels."""
    changes = str(scale.count(40_000))
    scripts = {name: partial(script, ["-m", "tests.benchmarks.books", name, changes]) for name in BOOKS}
    samples = interleave(scripts, scale.rounds)
    beside = [_beside(samples, name, "cpu_us") for name in BOOKS if name != OURS]
    row = _row("books", "apply + best, 5,000 levels", "us CPU/change", samples[OURS], "cpu_us", beside)
    yield [row], {f"apply: {name}": runs for name, runs in samples.items()}


def crowd(scale: Scale) -> Iterator[Outcome]:
    """1,000 live books in one process, each with a change a second, beside as many streams of tpluspy."""
    job = Job("crowd", messages=10 if scale.divisor == 1 else 2, streams=1000, rate=1000)
    samples = interleave({OURS: with_server("trio", job), TPLUSPY: with_server("tpluspy", job)}, scale.rounds)
    figures = {"cpu_us": ("CPU", "us CPU/message"), "used_kb": ("memory", "KB/book"), "back_s": ("in sync again", "s")}
    rows = [
        _row("crowd", f"1,000 live books, {name}", unit, samples[OURS], figure, beside)
        for figure, (name, unit) in figures.items()
        for beside in [[Beside("limit", 10.0, 1.0)] if figure == "back_s" else [_beside(samples, TPLUSPY, figure)]]
    ]
    yield rows, {f"crowd: {name}": runs for name, runs in samples.items()}


def resync(scale: Scale) -> Iterator[Outcome]:
    """The time for which a live book is out of sync."""
    job = Job("resync", extra={"times": 40 if scale.divisor == 1 else 10})
    samples = interleave({OURS: with_server("trio", job)}, scale.rounds)
    rows = [
        _row("resync", "lost connection to synced book", "ms", samples[OURS], "lost_ms"),
        _row("resync", "gap to synced book, same connection", "ms", samples[OURS], "gap_ms"),
    ]
    yield rows, {f"resync: {name}": runs for name, runs in samples.items()}


_IMPORT: Final = """
import time; wall, cpu = time.perf_counter(), time.process_time()
{}
print('{{"wall_ms": %r, "cpu_ms": %r}}' % ((time.perf_counter() - wall) * 1e3, (time.process_time() - cpu) * 1e3))
"""
_IMPORTS: Final = {
    "import of tplus_trio": {
        OURS: "import tplus_trio",
        TPLUSPY: "from tplus.client import MarketDataClient",
    },
    "import of MarketDataClient": {
        OURS: "import tplus_trio; tplus_trio.MarketDataClient",
        TPLUSPY: "from tplus.client import MarketDataClient",
    },
    "import, and a client made": {
        OURS: "import tplus_trio; tplus_trio.MarketDataClient('http://127.0.0.1:1')",
        TPLUSPY: "from tplus.client import MarketDataClient; MarketDataClient('http://127.0.0.1:1')",
    },
}


def imports(scale: Scale) -> Iterator[Outcome]:
    """The time to import a client in a fresh interpreter. It has twice as many rounds, because a run is short."""
    for name, peers in _IMPORTS.items():
        scripts = {peer: partial(script, ["-c", _IMPORT.format(text)]) for peer, text in peers.items()}
        interleave(scripts, 1)  # so that all modules are compiled and in the machine's cache
        samples = interleave(scripts, 2 * scale.rounds)
        floor = 1.0 if name == "import of tplus_trio" else None
        beside = [_beside(samples, TPLUSPY, "wall_ms", floor)]
        row = _row("import", name, "ms", samples[OURS], "wall_ms", beside)
        yield [row], {f"{name}: {peer}": runs for peer, runs in samples.items()}


#: The parts of a run, in the order of the table.
GROUPS: Final[dict[str, Callable[[Scale], Iterator[Outcome]]]] = {
    "feeds": feeds,
    "latency": latency,
    "streams": streams,
    "neighbour": neighbour,
    "shared": shared,
    "books": books,
    "crowd": crowd,
    "resync": resync,
    "import": imports,
}

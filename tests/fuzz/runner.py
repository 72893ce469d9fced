"""Runs a target on many inputs, and watches it: what it raises, how long it takes, how much memory it keeps."""

from __future__ import annotations

import resource
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from random import Random
from types import FrameType
from typing import Final

import attrs

from .mutate import Change, change_json

__all__ = ["CASES", "Hang", "Report", "Target", "change", "fuzz", "keep", "watched"]

CASES: Final = Path(__file__).parent / "cases"
#: Seconds that an input may take.
LIMIT: Final = 3.0
#: Megabytes that a run may grow by after its first tenth, by which caches are full.
GROWTH: Final = 64.0
#: How many inputs of each part are changed further, how long they may be, and how many words are looked for.
_KEPT: Final = 200
_LONG: Final = 4000
_WORDS: Final = 20_000


class Hang(BaseException):
    """An input took too long. Nobody may catch it."""


@attrs.frozen
class Target:
    """Something that reads bytes.

    Attributes:
        run: Takes the first line and the rest of an input; gives a word for what came of it.
        seeds: Good inputs for each first line.
        change: Makes new ones of them.
        words: What occurs in this format.
    """

    run: Callable[[str, bytes], str]
    seeds: Mapping[str, Sequence[bytes]]
    change: Change = change_json
    words: Sequence[bytes] = ()

    def __call__(self, data: bytes) -> str:
        head, _, body = data.partition(b"\n")
        return self.run(head.decode(errors="replace"), body)

    def inputs(self) -> list[bytes]:
        """The seeds, whole."""
        return [b"%s\n%s" % (head.encode(), body) for head, bodies in self.seeds.items() for body in bodies]


@attrs.define
class Report:
    """What came of a run."""

    inputs: int = 0
    seconds: float = 0.0
    refused: int = 0
    words: set[str] = attrs.field(factory=set[str])
    slowest: float = 0.0
    #: Megabytes, after the first tenth and at the end.
    memory: tuple[float, float] = (0.0, 0.0)
    #: Where it failed, how, and on what.
    failures: dict[str, tuple[str, bytes]] = attrs.field(factory=dict[str, tuple[str, bytes]])

    @property
    def growth(self) -> float:
        return self.memory[1] - self.memory[0]


def change(target: Target, random: Random, corpus: Mapping[bytes, Sequence[bytes]]) -> bytes:
    """A new input; at times one part's input for another."""
    heads = list(corpus)
    head, source = random.choice(heads), random.choice(heads)
    body, other = random.choice(corpus[head]), random.choice(corpus[source])
    if not random.randrange(40):
        head = source
    return head + b"\n" + target.change(random, body, other, target.words)


def fuzz(target: Target, inputs: int, seed: int) -> Report:
    """Run a target on so many inputs. The same seed gives the same ones."""
    random, report = Random(seed), Report()
    good, memory = target.inputs(), 0.0
    corpus = {head.encode(): list(bodies) for head, bodies in target.seeds.items()}
    start = before = time.perf_counter()
    with watched() as arm:
        for n in range(inputs):
            data = good[n] if n < len(good) else change(target, random, corpus)
            arm()
            try:
                word = target(data)
            except (Exception, Hang) as error:  # noqa: BLE001 - all that is no answer is a defect
                where = _place(error)
                if where not in report.failures:
                    report.failures[where] = (f"{error!r:.300}", _shortest(target, data, where, arm))
                continue
            finally:
                now = time.perf_counter()
                report.slowest, before = max(report.slowest, now - before), now
            refused = word.startswith("refused")
            report.refused += refused
            if word not in report.words and len(report.words) < _WORDS:
                report.words.add(word)
                # What was refused once is refused again, whatever else is changed.
                head, _, body = data.partition(b"\n")
                if not refused and head in corpus and len(body) < _LONG:
                    if len(corpus[head]) == _KEPT:
                        del corpus[head][random.randrange(_KEPT // 10, _KEPT)]
                    corpus[head].append(body)
            if n * 10 // inputs != (n + 1) * 10 // inputs:
                memory = _memory()
                report.memory = (report.memory[0] or memory, memory)
    report.inputs, report.seconds = inputs, time.perf_counter() - start
    return report


def _shortest(target: Target, data: bytes, where: str, arm: Callable[[], None]) -> bytes:
    """Leave out what the failure does not need."""

    def fails(shorter: bytes) -> bool:
        arm()
        try:
            target(shorter)
        except (Exception, Hang) as error:  # noqa: BLE001 - any
            return _place(error) == where
        return False

    size, deadline = len(data) // 2, time.monotonic() + LIMIT
    while size and not where.startswith("Hang"):
        at = 0
        while at < len(data) and time.monotonic() < deadline:
            if fails(shorter := data[:at] + data[at + size :]):
                data = shorter
            else:
                at += size
        size //= 2
    return data


def _place(error: BaseException) -> str:
    """What was raised, and where: failures of the same place count as one."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}"


@contextmanager
def watched() -> Iterator[Callable[[], None]]:
    """Raise `Hang` in what takes too long; what is yielded begins the count anew."""
    number = seen = ticks = 0

    def arm() -> None:
        nonlocal number
        number += 1

    def tick(_: int, __: FrameType | None) -> None:
        nonlocal seen, ticks
        ticks = ticks + 1 if number == seen else 0
        seen = number
        if ticks >= 3:
            ticks = 0
            raise Hang

    before = signal.signal(signal.SIGALRM, tick)
    signal.setitimer(signal.ITIMER_REAL, LIMIT / 3, LIMIT / 3)
    try:
        yield arm
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def keep(name: str, data: bytes) -> Path:
    """Store a failing input where the tests run it."""
    path = CASES / name / sha256(data).hexdigest()[:12]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def _memory() -> float:
    """The resident memory in megabytes; where only the highest can be had, that."""
    status = Path("/proc/self/statm")
    if status.exists():
        return int(status.read_text().split()[1]) * resource.getpagesize() / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3

"""Runs many worlds, and adds up their outcomes."""

from __future__ import annotations

import logging
import multiprocessing
import warnings
from collections import Counter
from collections.abc import Generator, Iterable
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import partial

import attrs

from .bugs import BUGS
from .bugs_network import FOUND_BY
from .network_worlds import is_network, run_network_world
from .world import Outcome, run_world

__all__ = ["Totals", "find", "run_seed", "run_seeds", "strict", "workers"]


@attrs.define
class Totals:
    """The sums over all worlds so far."""

    seeds: int = 0
    seconds: float = 0.0
    #: The seed with the highest value of each figure.
    slowest: tuple[float, int] = (0.0, -1)
    most_snapshots: tuple[int, int] = (0, -1)
    items: int = 0
    faults: Counter[str] = attrs.field(factory=Counter)
    violations: list[Outcome] = attrs.field(factory=list)

    def add(self, outcome: Outcome) -> None:
        """Count a world."""
        self.seeds += 1
        self.seconds += outcome.seconds
        self.slowest = max(self.slowest, (outcome.recovery, outcome.seed))
        self.most_snapshots = max(self.most_snapshots, (outcome.snapshots, outcome.seed))
        self.items += outcome.items
        self.faults += outcome.faults
        if outcome.violation is not None:
            self.violations.append(outcome)


def run_seed(seed: int, bug: str | None = None, *, verbose: bool = False) -> Outcome:
    """Run one world, with a bug planted or without. Warnings are violations.

    One seed in ten makes a network world. If a bug of connections is planted, each seed makes a network world of
    the kind that finds the bug.
    """
    kind = FOUND_BY.get(bug) if bug is not None else None
    with strict(), BUGS[bug]() if bug is not None else nullcontext():
        if kind is not None or is_network(seed):
            return run_network_world(seed, kind)
        return run_world(seed, verbose=verbose)


@contextmanager
def strict() -> Generator[None]:
    """Turn warnings into errors, and log nothing: faults cause log records all the time."""
    log = logging.getLogger("tplus_trio")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            yield
    finally:
        log.setLevel(level)


def run_seeds(seeds: Iterable[int], bug: str | None = None, *, jobs: int = 1) -> Generator[Outcome]:
    """Run worlds in order, in this process or in several."""
    if jobs == 1:
        yield from map(partial(run_seed, bug=bug), seeds)
        return
    with workers(jobs) as pool:
        yield from pool.map(partial(run_seed, bug=bug), seeds, chunksize=8)


def find(bug: str, most: int, *, hint: int = 0) -> Outcome | None:
    """Find a world that shows a planted bug; the seed ``hint`` is tried first. Return None if there is none."""
    seeds = (hint, *(seed for seed in range(most) if seed != hint))
    return next((outcome for outcome in run_seeds(seeds, bug) if outcome.violation is not None), None)


@contextmanager
def workers(jobs: int) -> Generator[ProcessPoolExecutor]:
    """Open processes to run worlds in. Worlds that have not begun when the context is left are dropped."""
    pool = ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)

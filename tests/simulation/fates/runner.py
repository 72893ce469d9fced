"""Runs many worlds of order programs, and adds up their outcomes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Literal, TypeAlias
from unittest import mock

import attrs

from tests.simulation.runner import strict, workers
from tplus_trio.clients import user_orders

from .bugs import FATE_BUGS
from .guesses import GUESSES
from .settings import FateSettings
from .world import FateOutcome, run_fates

__all__ = ["FateTotals", "Plan", "find", "run_plan", "run_seed"]

Way: TypeAlias = Literal["rest", "control"]


@attrs.frozen
class Plan:
    """How worlds are run: which way the orders go, and what is wrong with the client.

    Attributes:
        way: ``rest`` or ``control``.
        bug: The name of a planted bug; None plants none.
        guess: The name of a guessing rule in place of the client's resolution; None is the client's own.
        broken: The name of a rule that is declared although it does not hold.
    """

    way: Way
    bug: str | None = None
    guess: str | None = None
    broken: str | None = None

    def planted(self) -> AbstractContextManager[None]:
        """Return the context in which the client has its bug, or guesses."""
        return nullcontext() if self.bug is None else FATE_BUGS[self.bug]()


@attrs.define
class FateTotals:
    """The sums over all worlds so far."""

    worlds: int = 0
    calls: int = 0
    resolvable: int = 0
    unresolved: int = 0
    late_copies: int = 0
    faults: Counter[str] = attrs.field(factory=Counter[str])
    fates: Counter[tuple[str, str]] = attrs.field(factory=Counter[tuple[str, str]])
    wrong: Counter[str] = attrs.field(factory=Counter[str])
    crashes: int = 0

    def add(self, outcome: FateOutcome) -> None:
        """Count a world."""
        self.worlds += 1
        self.calls += outcome.calls
        self.resolvable += outcome.resolvable
        self.unresolved += outcome.unresolved
        self.late_copies += outcome.late_copies
        self.faults += outcome.faults
        self.fates += outcome.fates
        self.wrong.update(finding.wrong for finding in outcome.findings)
        self.crashes += outcome.crash is not None


def run_seed(seed: int, plan: Plan, *, verbose: bool = False) -> FateOutcome:
    """Run one world. Warnings are errors."""
    settings = FateSettings.of(seed, by_control=plan.way == "control", broken=plan.broken)
    with strict(), plan.planted(), mock.patch.object(user_orders, "_ORDERS_PAGE", settings.page):
        return run_fates(settings, guess=None if plan.guess is None else GUESSES[plan.guess], verbose=verbose)


def find(bug: str, way: Way, most: int, *, hint: int = 0) -> FateOutcome | None:
    """Find a world that shows a planted bug; the seed ``hint`` is tried first. Return None if there is none.

    That something takes too long shows no bug: none of them delays anything.
    """
    seeds = (hint, *(seed for seed in range(most) if seed != hint))
    outcomes = run_plan(seeds, Plan(way, bug=bug))
    return next((outcome for outcome in outcomes if _shows_bug(outcome)), None)


def _shows_bug(outcome: FateOutcome) -> bool:
    return outcome.crash is not None or any(finding.wrong != "late" for finding in outcome.findings)


def run_plan(seeds: Iterable[int], plan: Plan, *, jobs: int = 1) -> Generator[FateOutcome]:
    """Run worlds in order, in this process or in several."""
    if jobs == 1:
        yield from map(partial(run_seed, plan=plan), seeds)
        return
    with workers(jobs) as pool:
        yield from pool.map(partial(run_seed, plan=plan), seeds, chunksize=8)

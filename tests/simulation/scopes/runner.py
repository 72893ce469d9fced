"""Runs many worlds of scopes."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from unittest import mock

import attrs

from tests.simulation.fates.runner import Way
from tests.simulation.fates.world import FateOutcome
from tests.simulation.runner import strict, workers
from tplus_trio.clients import user_orders

from .bugs import SCOPE_BUGS
from .settings import ScopeSettings
from .world import run_scopes

__all__ = ["ScopePlan", "find", "run_plan", "run_seed"]


@attrs.frozen
class ScopePlan:
    """How worlds are run.

    Attributes:
        way: Which way the orders go.
        bug: The name of a planted bug; None plants none.
    """

    way: Way
    bug: str | None = None

    def planted(self) -> AbstractContextManager[None]:
        """Return the context in which the client has its bug."""
        return nullcontext() if self.bug is None else SCOPE_BUGS[self.bug]()


def run_seed(seed: int, plan: ScopePlan, *, verbose: bool = False) -> FateOutcome:
    """Run one world. Warnings are errors."""
    settings = ScopeSettings.of(seed, by_control=plan.way == "control")
    with strict(), plan.planted(), mock.patch.object(user_orders, "_ORDERS_PAGE", settings.page):
        return run_scopes(settings, verbose=verbose)


def run_plan(seeds: Iterable[int], plan: ScopePlan, *, jobs: int = 1) -> Generator[FateOutcome]:
    """Run worlds in order, in this process or in several."""
    if jobs == 1:
        yield from map(partial(run_seed, plan=plan), seeds)
        return
    with workers(jobs) as pool:
        yield from pool.map(partial(run_seed, plan=plan), seeds, chunksize=8)


def find(bug: str, way: Way, most: int, *, hint: int = 0) -> FateOutcome | None:
    """Find a world that shows a planted bug; the seed ``hint`` is tried first. Return None if there is none."""
    seeds = (hint, *(seed for seed in range(most) if seed != hint))
    outcomes = run_plan(seeds, ScopePlan(way, bug))
    return next((outcome for outcome in outcomes if outcome.crash is not None or outcome.findings), None)

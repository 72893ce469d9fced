"""Scopes of orders under faults: dozens of worlds each way, and one that shows each planted bug."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import pytest

from tests.simulation.fates.runner import FateTotals, Way
from tests.simulation.fates.world import FateOutcome
from tests.simulation.scopes.bugs import SCOPE_BUGS
from tests.simulation.scopes.runner import ScopePlan, find, run_plan
from tests.simulation.scopes.sweeps import ScopeSweep, run_sweep, run_sweeps

pytestmark = pytest.mark.long

SEEDS: Final = 25
#: Every so many checkpoints of each call a world is cancelled.
STRIDE: Final = 13
#: One sweep in so many is run: a prime number, so that all calls, networks, places and moments come up.
PART: Final = 101
MOST: Final = 300
#: A world that shows each bug. If it no longer does, the worlds are searched from the first.
SHOWS_IN: Final[dict[str, tuple[Way, int]]] = {
    "cancel-not-waited-for": ("rest", 1),
    "cancelled-call-forgotten": ("rest", 1),
    "created-again": ("rest", 34),
    "exception-replaced": ("rest", 2),
    "fill-counted-twice": ("rest", 14),
    "foreign-order-cancelled": ("rest", 0),
    "key-freed-too-early": ("rest", 9),
    "left-before-proved": ("control", 1),
    "renewal-leaves-two": ("control", 16),
    "replace-after-a-doubt": ("rest", 32),
    "rests-without-lease": ("rest", 46),
    "shield-without-bound": ("control", 2),
    "torn-line-is-an-order": ("rest", 45),
}
#: A call whose sweep shows a bug.
SWEPT: Final = {
    "left-before-proved": ScopeSweep("keep", "up", "inside", "waiting", False, True, 2),
    "shield-without-bound": ScopeSweep("cancel all", "half-open", "outside", "waiting", True, False, 2),
}
ways = pytest.mark.parametrize("way", ["rest", "control"])


def totals_of(outcomes: Iterable[FateOutcome]) -> FateTotals:
    """Add up outcomes. Something wrong in one of them fails the test."""
    totals, found = FateTotals(), list[str]()
    for outcome in outcomes:
        totals.add(outcome)
        found += [f"{outcome.seed}{outcome.origin}: {finding}" for finding in outcome.findings]
        found += [] if outcome.crash is None else [f"{outcome.seed}{outcome.origin}: {outcome.crash}"]
    assert not found, "\n".join(found)
    return totals


@ways
def test_worlds(way: Way) -> None:
    totals = totals_of(run_plan(range(SEEDS), ScopePlan(way)))
    assert totals.calls > 15 * SEEDS
    ends = {ended for kind, ended in totals.fates if kind == "scope"}
    assert ends == {"NoneType", "BodyError", "Cancelled", "OrdersLeftResting"}


@ways
def test_calls_that_are_cancelled_at_their_checkpoints(way: Way) -> None:
    totals = totals_of(run_sweeps(by_control=way == "control", stride=STRIDE, part=PART))
    assert totals.worlds > 15


@pytest.mark.parametrize("bug", sorted(SCOPE_BUGS))
def test_a_planted_bug_is_found(bug: str) -> None:
    way, seed = SHOWS_IN.get(bug, ("rest", 0))
    assert find(bug, way, MOST, hint=seed) is not None


@pytest.mark.parametrize("bug", sorted(SWEPT))
def test_a_sweep_finds_a_planted_bug(bug: str) -> None:
    with SCOPE_BUGS[bug]():
        assert any(outcome.findings for outcome in run_sweep(SWEPT[bug]))


def test_the_same_seed_makes_the_same_world() -> None:
    first, second = (
        [(outcome.fates, outcome.faults) for outcome in run_plan(range(3), ScopePlan("control"))] for _ in range(2)
    )
    assert first == second

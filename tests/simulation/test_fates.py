"""Order programs under faults: dozens of worlds each way, and one that shows each planted bug."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import pytest

from tests.simulation.fates.guesses import GUESSES
from tests.simulation.fates.runner import FateTotals, Plan, run_plan
from tests.simulation.fates.sweeps import run_sweeps
from tests.simulation.fates.world import FateOutcome

SEEDS = 60
#: Every so many checkpoints of each call a world is cancelled.
STRIDE = 5
#: One sweep in so many is run: a prime number, so that all kinds, faults, places and moments come up.
PART = 13

Way = Literal["rest", "control"]
ways = pytest.mark.parametrize("way", ["rest", "control"])


def totals_of(outcomes: Iterable[FateOutcome]) -> FateTotals:
    totals = FateTotals()
    for outcome in outcomes:
        totals.add(outcome)
    return totals


@ways
def test_worlds(way: Way) -> None:
    totals = totals_of(run_plan(range(SEEDS), Plan(way)))
    assert totals.crashes == 0
    assert totals.calls > 10 * SEEDS


@ways
def test_calls_that_are_cancelled_at_their_checkpoints(way: Way) -> None:
    totals = totals_of(run_sweeps(by_control=way == "control", stride=STRIDE, part=PART))
    assert totals.crashes == 0


@ways
@pytest.mark.parametrize("guess", sorted(GUESSES))
def test_guesses_are_false(guess: str, way: Way) -> None:
    totals = totals_of(run_plan(range(25), Plan(way, guess=guess)))
    assert totals.crashes == 0
    assert totals.wrong["false"] > 0

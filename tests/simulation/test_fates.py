"""Order programs under faults: dozens of worlds each way, and one that shows each planted bug."""

from __future__ import annotations

from typing import Literal

import pytest

from tests.simulation.fates.runner import FateTotals, Plan, run_plan

SEEDS = 60


@pytest.mark.parametrize("way", ["rest", "control"])
def test_worlds(way: Literal["rest", "control"]) -> None:
    totals = FateTotals()
    for outcome in run_plan(range(SEEDS), Plan(way)):
        totals.add(outcome)
    assert totals.crashes == 0
    assert totals.calls > 10 * SEEDS

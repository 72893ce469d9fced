"""The simulation: hundreds of small worlds, and one that shows each planted bug."""

from __future__ import annotations

import pytest

from tests.simulation.bugs import BUGS
from tests.simulation.faults import KINDS
from tests.simulation.network_worlds import NETWORK_KINDS
from tests.simulation.runner import Totals, find, run_seed

pytestmark = pytest.mark.long

SEEDS = 300
CHUNK = 150
MOST = 300
#: A world that shows each bug. If it no longer does, the worlds are searched from the first.
SHOWS_IN = {
    "snapshot-before-subscribing": 14,
    "stale-snapshot-accepted": 100,
    "buffer-dropped-on-resync": 28,
    "gap-unsaid": 37,
    "answer-need-not-reach-the-feed": 38,
    "page-ends-at-the-first-known-trade": 21,
    "trade-known-by-id-alone": 92,
    "status-is-no-news": 7,
    "older-candles-never-change": 25,
    "bad-row-vanishes": 124,
}


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_worlds(first: int) -> None:
    totals = Totals()
    for seed in range(first, first + CHUNK):
        totals.add(run_seed(seed))
    found = [f"python -m tests.simulation --seed {world.seed}  # {world.violation}" for world in totals.violations]
    assert not found, "\n".join(found)
    kinds = {*KINDS, *(f"network: {kind}" for kind in NETWORK_KINDS)}
    assert kinds <= set(totals.faults), "a fault that never happens proves nothing"
    print(f"{totals.seeds} worlds, {totals.seconds / 3600:.1f} simulated hours, {totals.faults.total()} faults")


@pytest.mark.parametrize("bug", BUGS)
def test_planted_bugs_are_found(bug: str) -> None:
    outcome = find(bug, MOST, hint=SHOWS_IN.get(bug, 1))
    assert outcome is not None, f"{MOST} worlds, and nobody noticed"
    print(f"{bug}: world {outcome.seed}; {(outcome.violation or '')[:300]}")


@pytest.mark.parametrize("seed", [1, 15, 37])
def test_a_seed_replays(seed: int) -> None:
    assert run_seed(seed).digest == run_seed(seed).digest

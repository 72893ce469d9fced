"""The simulation: hundreds of small worlds, and every planted bug found in one of them."""

from __future__ import annotations

import os
from collections.abc import Generator
from concurrent.futures import Future, ProcessPoolExecutor

import pytest
from simulation.bugs import BUGS
from simulation.faults import KINDS
from simulation.runner import Totals, find, run_seed, workers
from simulation.world import Outcome

SEEDS = 320
CHUNK = 40
MOST = 300


@pytest.fixture(scope="module")
def pool() -> Generator[ProcessPoolExecutor]:
    with workers(min(os.cpu_count() or 1, 8)) as pool:
        yield pool


@pytest.fixture(scope="module")
def worlds(pool: ProcessPoolExecutor) -> list[Future[Outcome]]:
    return [pool.submit(run_seed, seed) for seed in range(SEEDS)]


@pytest.fixture(scope="module")
def hunts(pool: ProcessPoolExecutor) -> dict[str, Future[Outcome | None]]:
    return {bug: pool.submit(find, bug, MOST) for bug in BUGS}


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_worlds(first: int, worlds: list[Future[Outcome]]) -> None:
    found = [
        f"python -m tests.simulation --seed {outcome.seed}  # {outcome.violation}"
        for outcome in (world.result() for world in worlds[first : first + CHUNK])
        if outcome.violation is not None
    ]
    assert not found, "\n".join(found)


def test_everything_went_wrong(worlds: list[Future[Outcome]]) -> None:
    totals = Totals()
    for world in worlds:
        totals.add(world.result())
    assert set(KINDS) <= set(totals.faults), "a fault that never happens proves nothing"
    print(f"{totals.seeds} worlds, {totals.seconds / 3600:.1f} simulated hours, {totals.faults.total()} faults")


@pytest.mark.parametrize("bug", BUGS)
def test_planted_bugs_are_found(bug: str, hunts: dict[str, Future[Outcome | None]]) -> None:
    outcome = hunts[bug].result()
    assert outcome is not None, f"{MOST} worlds, and nobody noticed"
    print(f"{bug}: {outcome.seed + 1} worlds; {(outcome.violation or '')[:300]}")


@pytest.mark.parametrize("seed", [1, 15, 37])
def test_a_seed_replays(seed: int) -> None:
    assert run_seed(seed).digest == run_seed(seed).digest

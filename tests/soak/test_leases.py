"""Nothing of a killed market maker rests longer than its lease; without a lease, it does."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from tests.soak.leases import BOUND, kill_in_memory, measure_cost


@pytest.mark.parametrize("seed", range(20))
async def test_what_a_killed_bot_left_expires_with_its_lease(seed: int, autojump_clock: MockClock) -> None:
    assert await kill_in_memory(seed, 4.0) <= 4.0 + BOUND


async def test_without_a_lease_it_rests(autojump_clock: MockClock) -> None:
    assert await kill_in_memory(0, None) > 4.0 + BOUND


async def test_a_lease_costs_time_quoted_and_requests(autojump_clock: MockClock) -> None:
    without, with_lease = [await measure_cost(lease, 10.0, 60.0) for lease in (None, 4.0)]
    assert 0.99 < without.quoted <= 1
    assert 0.8 < with_lease.quoted < without.quoted
    assert with_lease.orders > without.orders + 60  # each order every 2 s: a cancel and a create

"""The small worlds about connections: several worlds of each kind."""

from __future__ import annotations

import pytest

from tests.simulation.network_worlds import NETWORK_EVERY, NETWORK_KINDS, kind_of, run_network_world
from tests.simulation.runner import strict

pytestmark = pytest.mark.long

#: Worlds of each kind.
EACH = 3


@pytest.mark.parametrize("kind", NETWORK_KINDS)
def test_network_worlds(kind: str) -> None:
    seeds = [
        seed for seed in range(0, EACH * NETWORK_EVERY * len(NETWORK_KINDS), NETWORK_EVERY) if kind_of(seed) == kind
    ]
    with strict():
        worlds = [run_network_world(seed) for seed in seeds]
    found = [f"seed {world.seed}: {world.violation}" for world in worlds if world.violation is not None]
    assert len(worlds) == EACH
    assert not found, "\n".join(found)

"""Small worlds about connections: each seed draws one kind of trouble and its numbers, and checks its promise.

The large worlds mix faults, so they can only check that everything recovers. Here one thing happens at a time, and the
limits are narrow: no reconnection, an exact number of sign-ins, at most a tenth of the requests refused.
"""

from __future__ import annotations

import warnings
from collections import Counter
from functools import partial
from typing import Final

import trio
from trio.testing import MockClock

from tplus_trio.testing import Exchange
from tplus_trio.users import User

from .determinism import deterministic
from .invariants import ensure
from .network_kinds import NETWORK_KINDS, NetworkWorld
from .settings import sources
from .world import Outcome, explain

__all__ = ["NETWORK_EVERY", "NETWORK_KINDS", "is_network", "kind_of", "run_network_world"]

#: One seed in this many makes a network world, so that every kind comes within 130 seeds.
NETWORK_EVERY: Final = 10
#: The remainder that makes a seed a network world. Rare faults of the mixed worlds are in seeds with other last digits.
_NETWORK_AT: Final = 3
#: Virtual seconds after which a world is stopped.
_END: Final = 600.0
#: One world in this many of a heavy kind runs with all its books.
_HEAVY_EVERY: Final = 50


def is_network(seed: int) -> bool:
    """Return whether a seed makes a small world about connections instead of one that mixes all faults."""
    return seed % NETWORK_EVERY == _NETWORK_AT


def kind_of(seed: int) -> str:
    """Return the kind of trouble in a seed's network world."""
    return tuple(NETWORK_KINDS)[seed // NETWORK_EVERY % len(NETWORK_KINDS)]


def run_network_world(seed: int, kind: str | None = None) -> Outcome:
    """Run the network world of a seed.

    Args:
        seed: The seed.
        kind: The kind of trouble; None takes the seed's own.

    Returns:
        The outcome. The kind is counted among the faults as ``"network: <kind>"``.
    """
    name = kind_of(seed) if kind is None else kind
    outcome = Outcome(seed, faults=Counter({f"network: {name}": 1}))
    clock = MockClock(autojump_threshold=0)
    rng = sources(seed, "network")

    async def main() -> None:
        start = trio.current_time()
        exchange = Exchange(seed=seed, now_ns=lambda: 1_750_000_000 * 10**9 + round(trio.current_time() * 1e9))
        heavy = kind is None and seed // (NETWORK_EVERY * len(NETWORK_KINDS)) % _HEAVY_EVERY == 7
        world = NetworkWorld(rng, clock, heavy, exchange, User(rng.randbytes(32)))
        try:
            with trio.move_on_after(_END) as scope:
                await NETWORK_KINDS[name](world)
            ensure(not scope.cancelled_caught, f"nothing came to an end in {_END:.0f} s")
            ensure(not exchange.crashes, f"the exchange failed: {exchange.crashes}")
        except BaseException as exc:  # noqa: BLE001 - whatever comes out of a world condemns it
            outcome.violation = explain(exc)
        outcome.seconds = trio.current_time() - start

    strict = name != "loose groups"
    with warnings.catch_warnings():
        # trio deprecates loose groups; programs that still request them must work.
        warnings.filterwarnings(
            "ignore", message=".*strict_exception_groups=False", category=trio.TrioDeprecationWarning
        )
        deterministic(partial(trio.run, main, clock=clock, strict_exception_groups=strict))
    return outcome

"""The settings of a seed's world."""

from __future__ import annotations

import random
from typing import Final, Self

import attrs

from tplus_trio import RestartPolicy
from tplus_trio.models import AssetIdentifier

__all__ = ["MARKETS", "MOST_DELAY", "MOST_REST_DELAY", "MOST_RETRY_AFTER", "Settings", "sources"]

#: The most seconds by which a fault raises the latency.
MOST_DELAY: Final = 3.0
#: The most seconds by which an answer is delayed.
MOST_REST_DELAY: Final = 5.0
#: The longest `Retry-After` of a refusal, in seconds.
MOST_RETRY_AFTER: Final = 4

MARKETS = (
    AssetIdentifier(200),
    AssetIdentifier(201),
    AssetIdentifier("82af49447d8a07e3bd95bd0d56f35241523fbab1@00000000000000a4b1"),
)


def sources(seed: int, name: str) -> random.Random:
    """Return a random source for one part of a world. The draws of one part change nothing in another."""
    return random.Random(f"{seed}/{name}")


@attrs.frozen(kw_only=True)
class Settings:
    """The settings of a world, drawn once at its beginning. Times are in seconds."""

    seed: int
    assets: tuple[AssetIdentifier, ...]
    #: The markets whose numbers rise by ten.
    by_tens: frozenset[AssetIdentifier]
    latency: float | tuple[float, float]
    #: For how long faults happen.
    chaos: float
    #: Mean times between faults, and between the traders' actions.
    between_faults: float
    between_actions: float
    token_ttl: float
    timeout: float
    ping_interval: float
    ping_timeout: float
    restart: RestartPolicy
    #: Whether market data is read by a signed-in user.
    signed_in: bool
    #: The longest cut of the network.
    most_partition: float = 20.0

    @classmethod
    def of(cls, seed: int) -> Self:
        """Draw the settings of a seed."""
        rng = sources(seed, "settings")
        assets = MARKETS[: rng.choice((1, 2, 2, 3))]
        return cls(
            seed=seed,
            assets=assets,
            by_tens=frozenset(asset for asset in assets if rng.random() < 0.1),
            latency=rng.choice((0.0, 0.02, (0.001, 0.05), (0.0, 0.4))),
            chaos=rng.choice((10.0, 20.0, 60.0)) * rng.uniform(0.5, 1.5),
            between_faults=rng.choice((2.0, 6.0, 12.0)),
            between_actions=rng.choice((0.3, 1.0, 3.0)),
            token_ttl=rng.choice((3600.0, 3600.0, 45.0)),
            timeout=rng.uniform(2.0, 8.0),
            ping_interval=rng.uniform(3.0, 15.0),
            ping_timeout=rng.uniform(3.0, 10.0),
            restart=RestartPolicy(
                initial_delay=rng.uniform(0.05, 0.5), max_delay=rng.uniform(0.5, 6.0), within=rng.uniform(5.0, 60.0)
            ),
            signed_in=rng.random() < 0.3,
        )

    @property
    def most_latency(self) -> float:
        """Return the longest time from one end of the network to the other, without faults."""
        return self.latency[1] if isinstance(self.latency, tuple) else self.latency

    @property
    def notice(self) -> float:
        """Return the longest time in which a dead connection is noticed."""
        return self.ping_interval + self.ping_timeout + 2 * (self.most_latency + MOST_DELAY) + 0.5

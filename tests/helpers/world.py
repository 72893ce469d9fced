"""What many tests stand on: an exchange with one market, a network in memory, and a client, on a virtual clock."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import attrs
import pytest
import trio

from tplus_trio import AssetIdentifier, MarketDataClient, OrderBookClient, StreamState, User
from tplus_trio.streams.lifecycle import Action, Trigger
from tplus_trio.streams.session import Session
from tplus_trio.testing import Exchange, MemoryNetwork

__all__ = ["ASSET", "DEPTH", "SNAPSHOT", "URL", "World", "open_world", "record_states"]

ASSET = AssetIdentifier(200)
DEPTH = f"/marketdepth/diff/{ASSET}"
SNAPSHOT = f"/marketdepth/{ASSET}"
URL = "http://exchange"


@attrs.frozen
class World:
    """An exchange, the way to it, and the clients of one user."""

    exchange: Exchange
    network: MemoryNetwork
    md: MarketDataClient
    oms: OrderBookClient
    user: User

    def change(self, n: int = 1) -> None:
        """Let the book change ``n`` times, a little differently each time."""
        for _ in range(n):
            number = self.exchange.book(ASSET).sequence_number
            quantity = 0 if number % 7 == 3 else 1 + number % 9
            if number % 2:
                self.exchange.publish_diff(ASSET, bids=[(Decimal(99 - number % 11), quantity)])
            else:
                self.exchange.publish_diff(ASSET, asks=[(Decimal(101 + number % 13), quantity)])


@asynccontextmanager
async def open_world(
    *,
    latency: float | tuple[float, float] = 0.0,
    changes: int = 5,
    seed: int = 0,
    orders: Mapping[str, Any] | None = None,
    **options: Any,
) -> AsyncIterator[World]:
    """A market with a few levels, and clients that draw the longest delays.

    ``options`` are those of both clients, ``orders`` those of the client of orders only.
    """
    exchange = Exchange()
    exchange.add_market(ASSET)
    user = User()
    options = {"jitter": lambda: 1.0, "now_ns": exchange.now_ns, **options}
    async with (
        MemoryNetwork(exchange, latency=latency, seed=seed) as network,
        MarketDataClient(URL, connector=network, **options) as md,
        OrderBookClient(URL, connector=network, default_user=user, **options, **(orders or {})) as oms,
    ):
        world = World(exchange, network, md, oms, user)
        world.change(changes)
        yield world
    assert exchange.crashes == []
    await trio.lowlevel.checkpoint()


def record_states(monkeypatch: pytest.MonkeyPatch) -> list[tuple[StreamState, float]]:
    """Every change of a stream's state from now on, and when it is."""
    seen: list[tuple[StreamState, float]] = []
    apply = Session._apply

    def watched(self: Session, trigger: Trigger, *reason: str) -> Action:
        before = self.state
        action = apply(self, trigger, *reason)
        if self.state is not before:
            seen.append((self.state, round(trio.current_time(), 6)))
        return action

    monkeypatch.setattr(Session, "_apply", watched)
    return seen

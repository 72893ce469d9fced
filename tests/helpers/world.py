"""An exchange with one market, a network in memory and its clients, for a virtual clock."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import attrs
import pytest
import trio

from tplus_trio import AssetIdentifier, MarketDataClient, OrderBookClient, Stream, StreamState, TplusError, User
from tplus_trio.scopes import open_plain_nursery
from tplus_trio.streams.lifecycle import Action, Trigger
from tplus_trio.streams.session import Session
from tplus_trio.testing import Exchange, MemoryNetwork

__all__ = [
    "ASSET",
    "DEPTH",
    "SNAPSHOT",
    "URL",
    "World",
    "drain",
    "failure_of",
    "feeds_are_live",
    "open_world",
    "record_states",
    "served_streams",
    "trading_market",
]

ASSET = AssetIdentifier(200)
DEPTH = f"/marketdepth/diff/{ASSET}"
SNAPSHOT = f"/marketdepth/{ASSET}"
URL = "http://exchange"


@attrs.frozen
class World:
    """An exchange, its network, and the clients of one user."""

    exchange: Exchange
    network: MemoryNetwork
    md: MarketDataClient
    oms: OrderBookClient
    user: User

    def change(self, n: int = 1) -> None:
        """Change the book ``n`` times, differently each time."""
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
    """Open a market with a few levels, and clients that draw the longest delays.

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


async def feeds_are_live(world: World) -> None:
    """Wait until the client follows the orders and trades of its user: its first request about orders made it begin."""
    with trio.fail_after(60):
        while sum(stream.state is StreamState.LIVE for stream in world.oms.statistics().streams) < 2:  # noqa: ASYNC110 - no such event
            await trio.sleep(0.01)


@asynccontextmanager
async def trading_market() -> AsyncIterator[tuple[MemoryNetwork, MarketDataClient]]:
    """Open a client of an exchange whose market trades once a second. At the end, no connection may be open."""

    async def trade() -> None:
        while True:
            network.exchange.publish_trade(200, 5, 1)
            network.exchange.publish_diff(200, bids=[(5, 1)])
            await trio.sleep(1)

    async with MemoryNetwork() as network, open_plain_nursery() as nursery:
        network.exchange.add_market(200)
        nursery.start_soon(trade)
        async with MarketDataClient(URL, connector=network) as md:
            yield network, md
        assert network.open_connections == 0


def served_streams(network: MemoryNetwork) -> int:
    """Count the streams that the exchange serves. The client may keep a further connection for REST."""
    return network.exchange.connections


async def drain(stream: Stream[Any]) -> None:
    """Receive until the stream ends or fails."""
    async for _ in stream:
        pass


async def failure_of(stream: Stream[Any]) -> TplusError:
    """Enter a stream, and return the error that its iteration raises within an hour."""
    with trio.fail_after(3600):
        async with stream:
            try:
                await drain(stream)
            except TplusError as exc:
                return exc
    raise AssertionError("the stream ended without an error")


def record_states(monkeypatch: pytest.MonkeyPatch) -> list[tuple[StreamState, float]]:
    """Return a list that gets each change of a stream's state from now on, with its time."""
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

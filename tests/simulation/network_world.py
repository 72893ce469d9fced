"""What the network worlds have in common."""

from __future__ import annotations

import random
from contextlib import AsyncExitStack
from typing import Any, Final

import attrs
import trio
from trio.testing import MockClock

from tplus_trio import LiveBook, MarketDataClient
from tplus_trio.testing import Exchange
from tplus_trio.users import User

from .invariants import ensure

__all__ = ["PATIENCE", "NetworkWorld", "all_synced", "open_books"]

#: Seconds within which books must be live again where nothing limits them.
PATIENCE: Final = 30.0


@attrs.define
class NetworkWorld:
    """The exchange, network and options of one world."""

    rng: random.Random
    clock: MockClock
    heavy: bool
    exchange: Exchange
    user: User

    def list_markets(self, n: int) -> list[int]:
        """List ``n`` markets with a bid each."""
        markets = list(range(200, 200 + n))
        for market in markets:
            self.exchange.add_market(market)
            self.exchange.publish_diff(market, bids=[("9.5", 1)], asks=[("10.5", 1)])
        return markets

    def options(self, connector: Any, **more: Any) -> dict[str, Any]:
        """Return arguments for a client."""
        return {"connector": connector, "jitter": self.rng.random, "now_ns": self.exchange.now_ns, **more}


async def open_books(stack: AsyncExitStack, md: MarketDataClient, markets: list[int]) -> list[LiveBook]:
    """Open a live book of each market, until the stack is closed."""
    return [await stack.enter_async_context(md.open_book(market)) for market in markets]


async def all_synced(books: list[LiveBook], seconds: float) -> None:
    """Check that all books come in sync within a number of seconds."""
    with trio.move_on_after(seconds) as scope:
        for book in books:
            await book.wait_synced()
    late = [book for book in books if not book.is_synced]
    ensure(not scope.cancelled_caught and not late, f"{len(late)} of {len(books)} books not live after {seconds:.0f} s")

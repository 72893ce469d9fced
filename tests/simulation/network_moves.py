"""The kind of network worlds in which a name moves to another site, while consumers of its feeds come and go."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Final

import trio

from tplus_trio import BookLost, MarketDataClient
from tplus_trio.models import AssetIdentifier
from tplus_trio.scopes import open_plain_nursery
from tplus_trio.streams.overflow.base import Overflow
from tplus_trio.testing import Exchange, MemoryNetwork, Replica, Request, Response

from .invariants import BookChecker, DepthChecker, ensure
from .network_world import PATIENCE, NetworkWorld, all_synced, open_books
from .reference import Reference

__all__ = ["moved"]

_OVERFLOWS: Final[tuple[Overflow, ...]] = ("block", "drop_oldest", "conflate")
#: The least and the longest time between two changes, in seconds. Often one comes while a snapshot is on its way.
_PAUSES: Final = ((0.2, 0.8), (0.02, 0.1))
#: The probability that a consumer requests a snapshot of its own after an item. The old site answers it.
_RESYNC: Final = 0.05
#: Seconds by which a book in sync may be late beside the network's latency.
_LATE: Final = 0.01


async def moved(world: NetworkWorld) -> None:
    """A name moves to another site. The old site answers REST from a frozen state over kept connections."""
    rng, exchange = world.rng, world.exchange
    markets = world.list_markets(rng.randrange(1, 4))
    reference = Reference(exchange)
    latency = rng.uniform(0.0, 0.1)
    async with MemoryNetwork(exchange, latency=latency, seed=1) as network, AsyncExitStack() as stack:
        old = _OldSite(exchange, reference)
        network.add_site("old", old)
        network.move("", "old")
        md = await stack.enter_async_context(MarketDataClient("http://md", **world.options(network)))
        books = await open_books(stack, md, markets)
        await all_synced(books, PATIENCE)
        joiners = await stack.enter_async_context(open_plain_nursery())
        for _ in range(rng.randrange(1, 9)):
            joiners.start_soon(_Joiner(world, md, rng.choice(markets), reference, latency).run)
        await trio.sleep(rng.choice((0.0, rng.uniform(0.0, 5.0))))
        old.freeze("/marketdepth")
        network.move("", "")
        for market in markets:
            exchange.publish_diff(market, bids=[("9.6", 2)])
        exchange.faults.close_streams("", rng.choice((1001, 1012)))

        least, most = rng.choice(_PAUSES)
        end = trio.current_time() + PATIENCE
        while trio.current_time() < end:
            await trio.sleep(rng.uniform(least, most))
            for market in markets:
                exchange.publish_diff(market, bids=[("9.4", rng.randrange(1, 9))])
        await trio.sleep(1.0)
        joiners.cancel_scope.cancel()
        for market, book in zip(markets, books, strict=True):
            ensure(book.is_synced, f"market {market} is not in sync 15 s and more after its name moved")
            ensure(book.snapshot() == exchange.book(market), f"market {market} shows what the exchange never had")


class _OldSite(Replica):
    """The site from which the name moves away. It notes when it answers from its frozen state.

    Args:
        exchange: The exchange.
        reference: Where it notes that.
    """

    def __init__(self, exchange: Exchange, reference: Reference) -> None:
        super().__init__(exchange)
        self._reference = reference

    def handle(self, request: Request) -> Response:
        before = self.frozen_answers
        response = super().handle(request)
        if self.frozen_answers > before:
            # Until the next change, a client that begins with this answer cannot know of those before it.
            market = AssetIdentifier(request.path.rpartition("/")[2])
            self._reference.books[market].stale_at = trio.current_time()
        return response


class _Joiner:
    """Reads a feed at random times, and checks what it reads.

    Args:
        world: The world.
        md: The client, whose feeds it shares.
        market: The market of the feed.
        reference: The states that the exchange had.
        latency: Of the network, in seconds.
    """

    def __init__(
        self, world: NetworkWorld, md: MarketDataClient, market: int, reference: Reference, latency: float
    ) -> None:
        self._rng = world.rng
        self._md = md
        self._market = market
        self._reference = reference
        self._latency = latency

    async def run(self) -> None:
        """Read the feed again and again, for a time each."""
        while True:
            await trio.sleep(self._rng.expovariate(1.0))
            read = self._rng.choice((self._read_book, self._read_stream))
            with trio.move_on_after(self._rng.choice((0.0, self._rng.expovariate(0.2)))):
                await read()

    async def _read_book(self) -> None:
        late = 2 * self._latency + _LATE
        checker = BookChecker(self._reference, AssetIdentifier(self._market), late, late)
        async with self._md.open_book(self._market, share=self._rng.random() < 0.8) as book:
            async for change in book.changes():
                if not isinstance(change, BookLost):
                    checker.check_change(change)
                    checker.check(book)
                if self._rng.random() < _RESYNC:
                    book.resync()

    async def _read_stream(self) -> None:
        rng = self._rng
        overflow = rng.choice(_OVERFLOWS)
        history = self._reference.books[AssetIdentifier(self._market)]
        checker = DepthChecker(history, merged=overflow != "block", gaps=overflow == "drop_oldest")
        buffer, pause, share = rng.choice((1, 4, 100)), rng.choice((0.0, 2.0)), rng.random() < 0.8
        async with self._md.stream_depth(self._market, buffer=buffer, overflow=overflow, share=share) as stream:
            async for item in stream:
                checker.take(item)
                if rng.random() < _RESYNC:
                    stream.resync()
                await trio.sleep(rng.uniform(0.0, pause))

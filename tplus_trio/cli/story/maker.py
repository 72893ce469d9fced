"""The market maker of the demonstration. As a program, it is the bot that is killed."""

from __future__ import annotations

import os
import sys
from decimal import Decimal
from itertools import accumulate
from typing import Final

import attrs
import trio

from tplus_trio.book.live import LiveBook
from tplus_trio.clients.market_data import MarketDataClient
from tplus_trio.clients.order_book import OrderBookClient
from tplus_trio.clients.order_scope import OrderScope
from tplus_trio.errors import TplusError
from tplus_trio.models import AssetIdentifier, BookLost, Side
from tplus_trio.users import User

__all__ = ["LEASE", "MAX_SILENCE", "Maker"]

#: Seconds after which an order expires that its bot does not renew.
LEASE: Final = 4.0
#: After so many seconds without a byte the connection is pinged, and after as many again it is given up.
MAX_SILENCE: Final = 1.0


@attrs.define(eq=False)
class Maker:
    """Quotes both sides of a live book while the book is in sync, and leaves no order behind.

    Attributes:
        asset: The market.
        quantity: The quantity of each quote, in base units.
        behind: The quantity of others that has to rest before a price is quoted, in base units.
        refusals: How many changes of a quote failed; the next change of the book tried again.
    """

    asset: AssetIdentifier
    quantity: Decimal
    behind: Decimal = Decimal(0)
    refusals: int = 0

    async def run(self, md: MarketDataClient, oms: OrderBookClient) -> None:
        """Quote until cancelled.

        Raises:
            TplusError: The book failed for good.
        """
        async with md.open_book(self.asset) as book:
            while True:
                async with (
                    book.while_synced(max_silence=MAX_SILENCE),
                    oms.order_scope(self.asset, lease=LEASE) as orders,
                    trio.open_nursery() as nursery,
                ):
                    nursery.start_soon(self._quote, book, orders, Side.BUY)
                    nursery.start_soon(self._quote, book, orders, Side.SELL)

    async def _quote(self, book: LiveBook, orders: OrderScope, side: Side) -> None:
        """Keep one order near the best price of the others, until the book is out of sync."""
        async for change in book.changes():
            if isinstance(change, BookLost):
                return
            levels = book.bids() if side is Side.BUY else book.asks()
            totals = accumulate(level.quantity for level in levels)
            least = self.quantity + self.behind
            price = next((level.price for level, total in zip(levels, totals, strict=True) if total > least), None)
            try:
                await orders.keep(
                    side.value, side, price or Decimal(1), self.quantity if price else Decimal(0), refill=True
                )
            except TplusError:  # the order has its old terms, or is in doubt: the next change tries again
                self.refusals += 1


async def _until_closed(descriptor: int, scope: trio.CancelScope) -> None:
    """Cancel a scope once the other end of a pipe is closed."""
    async with trio.lowlevel.FdStream(os.dup(descriptor)) as stream:
        while await stream.receive_some():
            pass
    scope.cancel()


async def _main(url: str, asset: str, quantity: str, behind: str) -> None:
    user = User()
    print(user.public_key, flush=True)
    async with MarketDataClient(url) as md, OrderBookClient(url, default_user=user) as oms:
        maker = Maker(AssetIdentifier(asset), Decimal(quantity), Decimal(behind))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_until_closed, sys.stdin.fileno(), nursery.cancel_scope)
            await maker.run(md, oms)


if __name__ == "__main__":
    _url, _asset, _quantity, _behind = sys.argv[1:]
    trio.run(_main, _url, _asset, _quantity, _behind)

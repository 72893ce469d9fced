"""A market maker: it quotes both sides of a live book while the book is in sync, and leaves no order behind.

Run: ``python examples/market_maker.py [MDS_URL [OMS_URL]]`` (or ``TPLUS_MDS_URL`` and ``TPLUS_OMS_URL``). To try
it on a simulated exchange, run ``python -m tplus_trio exchange``. ``docs/start/first_bot.md`` explains the bot.
"""

import os
import signal
import sys
from decimal import Decimal
from itertools import accumulate

import trio

from tplus_trio import BookLost, LiveBook, MarketDataClient, OrderBookClient, OrderScope, TplusError, User

MDS_URL = os.environ.get("TPLUS_MDS_URL", "http://127.0.0.1:8011")
OMS_URL = os.environ.get("TPLUS_OMS_URL", "http://127.0.0.1:3032")
ASSET, QUANTITY, LEASE = 200, Decimal("0.010"), 30.0  # the quantity in base units, the lease in seconds


async def make_market(md: MarketDataClient, oms: OrderBookClient, lease: float | None = LEASE) -> None:
    """Quote both sides until cancelled. Raises the error that ends the book for good."""
    async with md.open_book(ASSET) as book:
        while True:
            in_sync = book.while_synced(max_silence=2.0)
            async with in_sync, oms.order_scope(ASSET, lease=lease) as orders, trio.open_nursery() as nursery:
                nursery.start_soon(quote, book, orders, "Buy")  # a task for each side: neither waits for the other
                nursery.start_soon(quote, book, orders, "Sell")


async def quote(book: LiveBook, orders: OrderScope, side: str) -> None:
    """Keep one order at the best price of the others, until the book is out of sync."""
    async for change in book.changes():
        if isinstance(change, BookLost):
            return  # the body of while_synced is cancelled at this moment too
        levels = book.bids() if side == "Buy" else book.asks()
        totals = accumulate(level.quantity for level in levels)
        # The first price up to which more rests than the bot's own order.
        price = next((level.price for level, total in zip(levels, totals, strict=True) if total > QUANTITY), None)
        try:
            await orders.keep(side, side, price or Decimal(1), QUANTITY if price else 0, refill=True)
        except TplusError as exc:  # the order has its old terms, or is in doubt: the next change tries again
            print(f"{side} is not at {price}: {exc}")


async def main(mds_url: str = MDS_URL, oms_url: str = OMS_URL, lease: float | None = LEASE) -> None:
    """Make a market until SIGINT (Ctrl-C) or SIGTERM comes."""
    async with MarketDataClient(mds_url) as md, OrderBookClient(oms_url, default_user=User()) as oms:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(make_market, md, oms, lease)
                await anext(signals)
                nursery.cancel_scope.cancel()  # each block is left, and takes its orders back


if __name__ == "__main__":
    urls = sys.argv[1:] or [MDS_URL, OMS_URL]
    trio.run(main, urls[0], urls[-1])

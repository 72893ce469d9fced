"""A market maker: it quotes both sides of a live book while the book is in sync, and leaves no order behind.

Run: ``python examples/market_maker.py [MDS_URL [OMS_URL]]`` (or ``TPLUS_MDS_URL`` and ``TPLUS_OMS_URL``). To try
it on a simulated exchange, run ``python -m tplus_trio exchange``. ``docs/tutorial.md`` explains the bot and its test.
"""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from decimal import Decimal

import trio

from tplus_trio import BookSession, MarketDataClient, OrderBookClient, OrderScope, PriceLevel, TplusError, User

MDS_URL = os.environ.get("TPLUS_MDS_URL", "http://127.0.0.1:8011")
OMS_URL = os.environ.get("TPLUS_OMS_URL", "http://127.0.0.1:3032")
ASSET, QUANTITY, LEASE = 200, Decimal("0.010"), 30.0  # the quantity in base units, the lease in seconds
Levels = Callable[[], Sequence[PriceLevel]]


async def make_market(md: MarketDataClient, oms: OrderBookClient, lease: float | None = LEASE) -> None:
    async with md.open_book(ASSET) as book:
        while True:  # entering while_synced raises the error that ended the book for good
            async with (
                book.while_synced(max_silence=2.0) as session,
                oms.order_scope(ASSET, lease=lease) as orders,
                trio.open_nursery() as nursery,
            ):
                nursery.start_soon(quote, session, orders, "bid", "Buy", book.bids)
                nursery.start_soon(quote, session, orders, "ask", "Sell", book.asks)


async def quote(session: BookSession, orders: OrderScope, key: str, side: str, levels: Levels) -> None:
    async for _ in session.changes():
        price = price_beside(levels())
        try:
            await orders.keep(key, side, price or Decimal(1), QUANTITY if price else 0, refill=True)
        except TplusError as exc:  # the order has its old terms, or is in doubt: the next change tries again
            print("no new", key, "-", exc)


def price_beside(levels: Sequence[PriceLevel]) -> Decimal | None:
    """Return the best price at which more rests, there and at better prices, than the bot's own order."""
    total = Decimal(0)
    for level in levels:
        if (total := total + level.quantity) > QUANTITY:
            return level.price
    return None


async def main(mds_url: str = MDS_URL, oms_url: str = OMS_URL, lease: float | None = LEASE) -> None:
    async with MarketDataClient(mds_url) as md, OrderBookClient(oms_url, default_user=User()) as oms:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(make_market, md, oms, lease)
                await anext(signals)
                nursery.cancel_scope.cancel()  # each block is left, and takes its orders back


if __name__ == "__main__":
    urls = sys.argv[1:] or [MDS_URL, OMS_URL]
    trio.run(main, urls[0], urls[-1])

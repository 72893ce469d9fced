"""A bot that bids at the best bid while its book is in sync, and counts what it has bought.

Run: ``python examples/bid_bot.py [MDS_URL [OMS_URL]]`` (or ``TPLUS_MDS_URL`` and ``TPLUS_OMS_URL``). To try
it on a simulated exchange, run ``python -m tplus_trio exchange``. ``docs/tutorial.md`` explains the bot and its test.
"""

import os
import sys
from contextlib import suppress

import trio

from tplus_trio import LiveBook, MarketDataClient, NotFoundError, OrderBookClient, TplusError, User, new_order_id

MDS_URL = os.environ.get("TPLUS_MDS_URL", "http://127.0.0.1:8011")
OMS_URL = os.environ.get("TPLUS_OMS_URL", "http://127.0.0.1:3032")
ASSET = 200


class BidBot:
    """Keeps one bid of one unit, and replaces it every second."""

    def __init__(self, md: MarketDataClient, oms: OrderBookClient) -> None:
        self.md, self.oms, self.order_id, self.bought = md, oms, "", 0

    async def run(self) -> None:
        async with self.md.open_book(ASSET) as book, trio.open_nursery() as nursery:
            nursery.start_soon(self.count)
            while True:
                async with book.while_synced():  # raises the error that ended the book for good
                    await self.quote(book)

    async def quote(self, book: LiveBook) -> None:
        try:
            while True:
                with suppress(TplusError):  # the order service fails: try again in a second
                    await self.pull()
                    if (bid := book.best_bid) is not None:
                        self.order_id = new_order_id()  # chosen first, so that it can always be cancelled
                        await self.oms.create_limit_order(1, bid.price, "Buy", asset_id=ASSET, order_id=self.order_id)
                await trio.sleep(1)
        finally:
            with trio.move_on_after(2, shield=True), suppress(TplusError):
                await self.pull()

    async def pull(self) -> None:
        if self.order_id:
            with suppress(NotFoundError):  # it was filled, or never placed
                await self.oms.cancel_order(self.order_id, ASSET)

    async def count(self) -> None:
        async for event in self.oms.stream_user_trade_events():
            # A trade, or a Gap in which trades may be missing: ask REST for the total.
            orders, _ = await self.oms.get_user_orders()
            self.bought = sum(int(order.confirmed_filled_quantity) for order in orders)
            print(type(event).__name__, "- bought so far:", self.bought)


async def main(mds_url: str = MDS_URL, oms_url: str = OMS_URL) -> None:
    """Bid until cancelled."""
    async with MarketDataClient(mds_url) as md, OrderBookClient(oms_url, default_user=User()) as oms:
        await BidBot(md, oms).run()


if __name__ == "__main__":
    urls = sys.argv[1:] or [MDS_URL, OMS_URL]
    trio.run(main, urls[0], urls[-1])

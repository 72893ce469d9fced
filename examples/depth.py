"""A market's order book, kept by hand from a snapshot and the changes after it.

Run: ``python examples/depth.py [URL]``, the URL of the market data service (or ``TPLUS_MDS_URL``). A
simulated exchange to try it on: ``python -m tplus_trio exchange``. ``live_book.py`` does the same in less.
"""

import os
import sys

import trio

from tplus_trio import LocalBook, MarketDataClient, OrderBook, OrderBookDiff

URL = os.environ.get("TPLUS_MDS_URL", "http://127.0.0.1:8011")


async def main(url: str = URL, asset: str = "200") -> None:
    """Print the best levels at each change until cancelled."""
    book = LocalBook(OrderBook())
    async with MarketDataClient(url) as client, client.stream_depth(asset) as depth:
        async for item in depth:
            match item:
                case OrderBook():  # first, and after every loss: start again from here
                    book = LocalBook(item)
                case OrderBookDiff():  # strictly the next change
                    book.apply(item)
                case gap:  # comes with overflow="drop_oldest" only; a snapshot follows
                    print("gap", gap.reason)
            print(book.sequence_number, book.best_bid, book.best_ask)


if __name__ == "__main__":
    trio.run(main, sys.argv[1] if sys.argv[1:] else URL)

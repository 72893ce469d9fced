"""Maintains a market's order book by hand from a snapshot and the diffs after it.

Run: ``python examples/depth.py [URL]``, the URL of the market data service (or ``TPLUS_MDS_URL``). To
try it on a simulated exchange, run ``python -m tplus_trio exchange``. ``live_book.py`` does the same with less code.
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
                case OrderBook():  # comes first, and after every loss: start again from it
                    book = LocalBook(item)
                case OrderBookDiff():  # always the next change, none is missing
                    book.apply(item)
                case gap:  # only with overflow="drop_oldest"; a snapshot follows
                    print("gap", gap.reason)
            print(book.sequence_number, book.best_bid, book.best_ask)


if __name__ == "__main__":
    trio.run(main, sys.argv[1] if sys.argv[1:] else URL)

"""Prints a market's order book, which stays in sync by itself; reading it out of sync raises an error.

Run: ``python examples/live_book.py [URL]``, the URL of the market data service (or ``TPLUS_MDS_URL``). To
try it on a simulated exchange, run ``python -m tplus_trio exchange``.
"""

import os
import sys

import trio

from tplus_trio import BookLost, BookNotSynced, LiveBook, MarketDataClient, Side

URL = os.environ.get("TPLUS_MDS_URL", "http://127.0.0.1:8011")


def quote(book: LiveBook) -> str:
    """The spread and the price of one unit, or why there is none now."""
    try:
        return f"spread {book.spread}, a unit costs {book.vwap(Side.BUY, 1)}"
    except BookNotSynced as exc:  # before the first snapshot, and while the connection is lost
        return f"no price: {exc}"


async def main(url: str = URL, asset: str = "200") -> None:
    """Print the best levels at each change until cancelled."""
    async with MarketDataClient(url) as client, client.open_book(asset) as book:
        print(quote(book))
        await book.wait_synced()
        async for change in book.changes():  # the newest state; older ones are skipped
            if isinstance(change, BookLost):  # do not use the earlier prices any more
                print(f"lost: {change.reason}")
            else:
                print(change.sequence_number, change.best_bid, change.best_ask, quote(book))


if __name__ == "__main__":
    trio.run(main, sys.argv[1] if sys.argv[1:] else URL)

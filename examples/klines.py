"""Prints a market's candles: the current one at every change, and the next when it begins.

Run: ``python examples/klines.py [URL]``, the URL of the market data service (or ``TPLUS_MDS_URL``). To
try it on a simulated exchange, run ``python -m tplus_trio exchange``.
"""

import os
import sys

import trio

from tplus_trio import Gap, Interval, MarketDataClient

URL = os.environ.get("TPLUS_MDS_URL", "http://127.0.0.1:8011")


async def main(url: str = URL, asset: str = "200") -> None:
    """Print the last candles, then updates until cancelled."""
    async with MarketDataClient(url) as client:
        page = await client.get_klines(asset, limit=10, interval=Interval.MIN_1)
        for candle in reversed(page.items):  # a page begins with the newest
            print("before", candle.open_datetime, candle.close)
        async for update in client.stream_klines(asset):
            if isinstance(update, Gap):
                print("gap", update.reason)
            else:
                print(update.open_datetime, update.open, update.high, update.low, update.close, update.volume)


if __name__ == "__main__":
    trio.run(main, sys.argv[1] if sys.argv[1:] else URL)

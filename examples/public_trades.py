"""Prints the confirmed trades of all markets, each once and in order.

Run: ``python examples/public_trades.py [URL]``, the URL of the market data service (or ``TPLUS_MDS_URL``). To
try it on a simulated exchange, run ``python -m tplus_trio exchange``.
"""

import os
import sys

import trio

from tplus_trio import Gap, MarketDataClient

URL = os.environ.get("TPLUS_MDS_URL", "http://127.0.0.1:8011")


async def main(url: str = URL) -> None:
    """Print trades until cancelled."""
    async with MarketDataClient(url) as client:
        async for trade in client.stream_finalized_trades():
            if isinstance(trade, Gap):  # more trades were missed than could be requested
                print("gap", trade.reason)
            else:
                print(trade.asset_id, trade.trade_id, trade.quantity, "at", trade.price)


if __name__ == "__main__":
    trio.run(main, sys.argv[1] if sys.argv[1:] else URL)

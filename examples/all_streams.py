"""Prints five feeds at once from one nursery. If one fails for good, or at Ctrl-C, all of them end.

Run: ``python examples/all_streams.py [MARKET_DATA_URL [ORDER_BOOK_URL]]`` (or ``TPLUS_MDS_URL``, ``TPLUS_OMS_URL``).
One URL is used for both services. To try it on a simulated exchange, run ``python -m tplus_trio exchange``.
"""

import os
import sys

import trio

from tplus_trio import MarketDataClient, OrderBookClient, Stream, User, UserManager, load_user

MDS_URL = os.environ.get("TPLUS_MDS_URL", "http://127.0.0.1:8011")
OMS_URL = os.environ.get("TPLUS_OMS_URL", "http://127.0.0.1:3032")


async def _show(name: str, stream: Stream[object]) -> None:
    async with stream:
        async for item in stream:
            print(name, item)


async def main(mds_url: str = MDS_URL, oms_url: str = OMS_URL, user: User | None = None) -> None:
    """Print all five feeds until cancelled."""
    # The only stored user; a new user if none is stored.
    user = user or (load_user() if UserManager().usernames else User())
    md, oms = MarketDataClient(mds_url), OrderBookClient(oms_url, default_user=user)
    async with md, oms, trio.open_nursery() as nursery:
        nursery.start_soon(_show, "trade", md.stream_finalized_trades())
        nursery.start_soon(_show, "depth", md.stream_depth(200))
        nursery.start_soon(_show, "kline", md.stream_klines(200))
        nursery.start_soon(_show, "order", oms.stream_orders())
        nursery.start_soon(_show, "my trade", oms.stream_user_trade_events())


if __name__ == "__main__":
    urls = sys.argv[1:] or [MDS_URL, OMS_URL]
    trio.run(main, urls[0], urls[-1])

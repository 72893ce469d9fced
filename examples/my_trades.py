"""Prints a user's trades at every status: pending, confirmed, rolled back.

Run: ``python examples/my_trades.py [URL]``, the URL of the order book service (or ``TPLUS_OMS_URL``). To try it
on a simulated exchange, run ``python -m tplus_trio exchange``.
"""

import os
import sys

import trio

from tplus_trio import Gap, OrderBookClient, User, UserManager, load_user

URL = os.environ.get("TPLUS_OMS_URL", "http://127.0.0.1:3032")


async def main(url: str = URL, user: User | None = None) -> None:
    """Print the user's trades until cancelled."""
    # The only stored user; if none is stored, a new user, who has no trades.
    user = user or (load_user() if UserManager().usernames else User())
    async with OrderBookClient(url, default_user=user) as client, client.stream_user_trade_events() as trades:
        async for trade in trades:
            if isinstance(trade, Gap):  # trades may be missing here: ask for the orders or positions
                print("gap", trade.reason)
            else:
                side = "bought" if trade.is_buyer else "sold"
                print(trade.status, trade.asset_id, side, trade.quantity, "at", trade.price)


if __name__ == "__main__":
    trio.run(main, sys.argv[1] if sys.argv[1:] else URL)

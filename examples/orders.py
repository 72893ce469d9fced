"""Prints the events of a user's orders.

Run: ``python examples/orders.py [URL]``, the URL of the order book service (or ``TPLUS_OMS_URL``). To try it
on a simulated exchange, run ``python -m tplus_trio exchange``.
"""

import os
import sys

import trio

from tplus_trio import OrderBookClient, OrdersSnapshot, User, UserManager, load_user

URL = os.environ.get("TPLUS_OMS_URL", "http://127.0.0.1:3032")


async def main(url: str = URL, user: User | None = None) -> None:
    """Print order events until cancelled."""
    # The only stored user; if none is stored, a new user, who has no orders.
    user = user or (load_user() if UserManager().usernames else User())
    async with OrderBookClient(url, default_user=user) as client, client.stream_orders() as events:
        async for event in events:
            if isinstance(event, OrdersSnapshot):  # after an interruption: these orders are open, start again from them
                print("orders", [(order.order_id, order.status) for order in event.orders])
            else:
                print(event.event_type, event)


if __name__ == "__main__":
    trio.run(main, sys.argv[1] if sys.argv[1:] else URL)

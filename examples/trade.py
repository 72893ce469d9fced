"""Trades over REST or over the control channel, within limits.

Run: ``python examples/trade.py [rest|control] [URL]``, the URL of the order book service (or ``TPLUS_OMS_URL``). To try
it on a simulated exchange, run ``python -m tplus_trio exchange``.
"""

import os
import sys
from decimal import Decimal

import trio

from tplus_trio import (
    OrderBookClient,
    OrderLimitExceeded,
    OrderLimits,
    OrderRateLimit,
    OrderRejected,
    User,
    UserManager,
    load_user,
)

URL = os.environ.get("TPLUS_OMS_URL", "http://127.0.0.1:3032")
MARKET = 200
LIMITS = OrderLimits(max_quantity=Decimal(1), max_open=10)


async def main(way: str = "rest", url: str = URL, user: User | None = None) -> None:
    """Create three orders, change one, and cancel all that the account has in the market."""
    # The only stored user; if none is stored, a new user, who has no orders.
    user = user or (load_user() if UserManager().usernames else User())
    async with OrderBookClient(
        url,
        default_user=user,
        use_ws_control=way == "control",
        order_rate_limit=OrderRateLimit(rate=20, burst=10),
        limits=LIMITS,
        order_id_prefix="ex-",
    ) as orders:
        try:
            await orders.create_limit_order(Decimal(2), Decimal("9.00"), "Buy", asset_id=MARKET)
        except OrderLimitExceeded as exc:
            print("not sent:", exc)
        answer = await orders.create_limit_order(Decimal("0.010"), Decimal("8.00"), "Buy", asset_id=MARKET)
        await orders.replace_order(answer.order_id, MARKET, Decimal("0.010"), Decimal("8.10"))
        signed = [
            await orders.prepare_limit_order_request(MARKET, price, Decimal("0.010"), "Buy", None, None)
            for price in (Decimal("7.90"), Decimal("7.80"))
        ]
        batch = await orders.send_multiple_orders([order for _, order in signed])
        refused = [result for result in batch.batch_order_status if isinstance(result.error, OrderRejected)]
        print(len(refused), "of a batch refused; the most that may be held:", (await orders.exposure(MARKET)).longest)
        for result in await orders.cancel_all_orders(MARKET):
            print("cancelled" if result.error is None else f"not cancelled ({result.error}):", result.order_id)


if __name__ == "__main__":
    trio.run(main, sys.argv[1] if sys.argv[1:] else "rest", sys.argv[2] if sys.argv[2:] else URL)

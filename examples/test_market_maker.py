"""Tests the bot under faults. Run ``pytest examples``. ``tplus-trio[testing]`` has the fixtures; time is simulated."""

from decimal import Decimal

import trio
from market_maker import make_market

OTHER, TAKER = "0" * 64, "1" * 64


async def test_market_maker(exchange, network, market_data, order_book, user, nursery, autojump_clock):
    for side, price in (("Buy", 890), ("Sell", 1000), ("Sell", 1010)):
        exchange.place(OTHER, 200, side, price, 50)
    best_bid = exchange.place(OTHER, 200, "Buy", 900, 50)
    scope = trio.CancelScope()

    async def run():
        with scope:
            await make_market(market_data, order_book)

    def quotes():
        return sorted((order.details.limit_price, order.remaining) for order in exchange.resting(user))

    nursery.start_soon(run)
    await trio.sleep(1)
    assert quotes() == [(900, 10), (1000, 10)]

    # The best bid of others falls: the bot's bid follows, and is not taken for theirs.
    exchange.cancel(OTHER, best_bid.order_id)
    await trio.sleep(1)
    assert quotes() == [(890, 10), (1000, 10)]

    # Half of the bid is filled, behind the other order there: it is topped up.
    exchange.place(TAKER, 200, "Sell", 890, 55)
    exchange.place(OTHER, 200, "Buy", 890, 50)
    await trio.sleep(1)
    assert quotes() == [(890, 10), (1000, 10)]
    assert sum(trade.quantity for trade in exchange.user_trades(user)) == Decimal("0.005")

    # The leases are renewed: the orders rest an hour later, and each of them expires within the lease.
    await trio.sleep(3600)
    assert quotes() == [(890, 10), (1000, 10)]
    soon = exchange.now_ns() + 31 * 10**9
    assert all(order.details.time_in_force.timestamp_ns <= soon for order in exchange.resting(user))

    # The network is cut: what the bot cannot take back expires, and it quotes again afterwards.
    network.partition(60)
    await trio.sleep(31)
    assert quotes() == []
    await trio.sleep(90)
    assert quotes() == [(890, 10), (1000, 10)]

    # The bot is cancelled, with the network there: it raises Cancelled, and leaves no order behind.
    scope.cancel()
    await trio.sleep(0.5)
    assert scope.cancelled_caught
    assert quotes() == []
    assert order_book.orders_in_doubt == ()

"""Tests the bot under faults. Run ``pytest examples``. ``tplus-trio[testing]`` has the fixtures; time is simulated."""

import trio
from market_maker import make_market


async def test_market_maker(exchange, network, market_data, order_book, user, nursery, autojump_clock):
    other, taker = "0" * 64, "1" * 64
    for order_id, side, price in (("low", "Buy", 890), ("high", "Buy", 900), ("ask", "Sell", 1000)):
        exchange.place(other, 200, side, price, 50, order_id=order_id)
    scope = trio.CancelScope()

    async def run():
        with scope:
            await make_market(market_data, order_book)

    def quotes():
        return sorted((order.details.limit_price, order.remaining) for order in exchange.resting(user))

    nursery.start_soon(run)
    await trio.sleep(1)
    assert quotes() == [(900, 10), (1000, 10)]

    # The best bid of the others falls: the bot's bid follows.
    exchange.cancel(other, "high")
    await trio.sleep(1)
    assert quotes() == [(890, 10), (1000, 10)]

    # Half of the bid is filled, after the order before it in the queue: it is topped up.
    exchange.place(taker, 200, "Sell", 890, 55)
    exchange.place(other, 200, "Buy", 890, 50)
    await trio.sleep(1)
    assert quotes() == [(890, 10), (1000, 10)]
    assert len(exchange.user_trades(user)) == 1

    # The lease is renewed for as long as the bot lives.
    await trio.sleep(120)
    assert quotes() == [(890, 10), (1000, 10)]

    # The depth feed fails, and the bot must not quote; then the bot quotes again.
    exchange.faults.reject_handshakes(8, path="/marketdepth")
    exchange.faults.close_streams("/marketdepth")
    await trio.sleep(2)
    assert quotes() == []
    await trio.sleep(120)
    assert quotes() == [(890, 10), (1000, 10)]

    # The network is cut: what the bot cannot cancel expires, and it quotes again afterwards.
    network.partition(60)
    await trio.sleep(31)
    assert quotes() == []
    await trio.sleep(90)
    assert quotes() == [(890, 10), (1000, 10)]

    # The bot is cancelled: it must raise Cancelled, and leave no order behind.
    scope.cancel()
    await trio.sleep(0.5)
    assert scope.cancelled_caught
    assert quotes() == []

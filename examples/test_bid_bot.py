"""Tests the bot under faults. Run ``pytest examples``. ``tplus-trio[testing]`` has the fixtures; time is simulated."""

import trio
from bid_bot import BidBot

OTHER, SELLER = "0" * 64, "1" * 64


async def test_bid_bot(exchange, market_data, order_book, user, nursery, autojump_clock):
    _, _, high = (exchange.place(OTHER, 200, "Buy", price, 5).order_id for price in (890, 900, 950))
    bot, scope = BidBot(market_data, order_book), trio.CancelScope()

    async def run():
        with scope:
            await bot.run()

    def bids():
        return [order.limit_price for order in exchange.orders(user) if exchange.is_open(user, order.order_id)]

    nursery.start_soon(run)
    await trio.sleep(5)
    assert bids() == [950]

    # The depth feed is down and the price falls: the bot must have no order while its book is out of sync.
    exchange.faults.reject_handshakes(8, path="/marketdepth")
    exchange.faults.close_streams("/marketdepth")
    exchange.cancel(OTHER, high)
    await trio.sleep(2)
    assert bids() == []
    await trio.sleep(120)
    assert bids() == [900]

    # The bot's order is filled while the feed of its trades is down.
    exchange.faults.close_streams("/trades/user")
    await trio.sleep(0.001)
    exchange.place(SELLER, 200, "Sell", 900, 6)
    await trio.sleep(10)
    assert bot.bought == len(exchange.user_trades(user)) == 1
    assert bids() == [890]

    # The bot is cancelled: it must raise Cancelled, and leave no order behind.
    scope.cancel()
    await trio.sleep(5)
    assert scope.cancelled_caught
    assert bids() == []

"""What the demonstration takes for right and for wrong."""

from __future__ import annotations

from decimal import Decimal

import attrs
import pytest
import trio
from trio.testing import MockClock

from tplus_trio import AssetIdentifier, Gap, MarketDataClient, Trade, User, UserTrade
from tplus_trio.book.live import LiveBook
from tplus_trio.cli.story.evidence import BookStates, OwnTradesCheck, TradesCheck
from tplus_trio.testing import Exchange

MARKET = AssetIdentifier(200)


async def test_states_of_a_book(exchange: Exchange, market_data: MarketDataClient, autojump_clock: MockClock) -> None:
    async with market_data.open_book(200) as book, trio.open_nursery() as nursery:
        states = BookStates(book, exchange)
        nursery.start_soon(states.follow)
        for i in range(5):
            exchange.publish_diff(200, bids=[("9.5", i + 1)])
            await trio.sleep(1)
        nursery.cancel_scope.cancel()
    assert (states.equal, states.passed_over, states.problem) == (5, 0, None)


async def test_a_book_that_is_wrong(
    exchange: Exchange, market_data: MarketDataClient, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with market_data.open_book(200) as book:
        await book.wait_synced()
        states = BookStates(book, exchange)
        wrong = attrs.evolve(book.snapshot(), bids=[("1", "1")])
        monkeypatch.setattr(LiveBook, "snapshot", lambda _: wrong)
        states.compare()
        exchange.publish_diff(200, bids=[("9.5", 1)])
        states.compare()
    assert states.problem == "state #1000 of the book differs from the exchange's"
    assert (states.equal, states.passed_over) == (0, 1)


def trades_check(exchange: Exchange, *events: Trade | Gap) -> TradesCheck:
    check = TradesCheck("trades", exchange, MARKET)
    for event in events:
        check.take(event)
    return check


def test_trades(exchange: Exchange) -> None:
    exchange.add_market(201)
    one, two = exchange.publish_trade(200, "10", 1), exchange.publish_trade(200, "11", 1)
    other = exchange.publish_trade(201, "12", 1)
    gap = Gap(0, 1, "lost")
    stranger = attrs.evolve(two, price=Decimal(12))
    for events, matched, problem in (
        ((one, other, two), 2, None),
        ((one,), 1, "trades: only 1 of 2 trades arrived"),
        ((), 0, "trades: only 0 of 2 trades arrived"),
        ((two, one), 0, "trades: trade 1 is not the exchange's"),
        ((one, one, two), 1, "trades: trade 2 is not the exchange's"),
        ((one, stranger), 1, "trades: trade 2 is not the exchange's"),
        ((one, two, two), 2, "trades: trade 3 is not the exchange's"),
        ((one, gap, two), 1, "trades: trades may be missing: lost"),
    ):
        check = trades_check(exchange, *events)
        check.conclude()
        assert (check.matched, check.problem) == (matched, problem), events


def test_own_trades(exchange: Exchange) -> None:
    user, other = User(), User()
    exchange.place(other, 200, "Sell", 1000, 100)
    for _ in range(2):
        exchange.place(user, 200, "Buy", 1000, 1)
    one, two = exchange.user_trades(user)
    (foreign, _) = exchange.user_trades(other)
    in_gap = Gap(two.timestamp_ns - 1, two.timestamp_ns, "lost")
    beside = Gap(one.timestamp_ns - 2, one.timestamp_ns - 1, "lost")
    events: tuple[tuple[UserTrade | Gap, ...], ...] = ((one, two), (one, in_gap), (two, one, one))
    for right in events:
        check = OwnTradesCheck("user-trades", exchange, user)
        for event in right:
            check.take(event)
        assert check.complete
        check.conclude()
        assert check.problem is None, right
        assert check.arrived + len(check.missing()) == check.made == 2
    for wrong, problem in (
        ((one,), "an own trade is missing, and no gap was marked there"),
        ((one, beside), "an own trade is missing, and no gap was marked there"),
        ((one, two, foreign), "1 own trades arrived that the exchange did not make"),
    ):
        check = OwnTradesCheck("user-trades", exchange, user)
        for event in wrong:
            check.take(event)
        check.conclude()
        assert check.problem == f"user-trades: {problem}", wrong


def test_a_trade_whose_status_changes_counts_once(exchange: Exchange) -> None:
    user = User()
    exchange.faults.confirm_after(5)
    exchange.place(User(), 200, "Sell", 1000, 100)
    exchange.place(user, 200, "Buy", 1000, 1)
    (trade,) = exchange.user_trades(user)
    check = OwnTradesCheck("user-trades", exchange, user)
    check.take(trade)
    check.take(attrs.evolve(trade, status="Confirmed"))
    check.conclude()
    assert (check.problem, check.arrived, check.made) == (None, 1, 1)

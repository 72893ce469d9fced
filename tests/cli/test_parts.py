"""What the demo takes for right and for wrong, and how events are shown."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from tplus_trio import (
    AssetIdentifier,
    Gap,
    KlineUpdate,
    Order,
    OrderBook,
    OrderBookDiff,
    OrderCancelledEvent,
    OrderCreatedEvent,
    OrderCreateFailedEvent,
    OrderRemovedEvent,
    OrdersSnapshot,
    Ticker,
    Trade,
    UnknownOrderEvent,
    UserTrade,
)
from tplus_trio.cli.checks import MirrorCheck, RecordedCheck, checks_of
from tplus_trio.cli.show import as_json, as_text
from tplus_trio.models import LimitOrderDetails
from tplus_trio.testing import Exchange, Tape, TapeAnswer, TapeFrame

MARKET = AssetIdentifier(7)
KEY = "ab" * 32
ADDRESS = AssetIdentifier(f"{'82af49447d8a07e3bd95bd0d56f35241523fbab1'.ljust(64, '0')}@00000000000000a4b1")
NOON = 43_200 * 10**9

BOOK = OrderBook(asks=[("10.5", 1), (11, 2)], bids=[("9.5", "1.50")], sequence_number=5)
DIFFS = [
    OrderBookDiff([("9.5", 0)], [("10.5", "0.25")], 6),
    OrderBookDiff([(9, 3)], [], 7),
    OrderBookDiff([], [(11, 0)], 8),
]
TRADES = [Trade(MARKET, number, Decimal("10.5"), Decimal(1), NOON, False) for number in (1, 2, 3)]
CANDLES = [
    KlineUpdate(Decimal(1), Decimal(2), Decimal(1), Decimal(3), Decimal(4), NOON, NOON + 60 * 10**9, asset_id=MARKET)
]


def frame(path: str, data: object) -> TapeFrame:
    return TapeFrame(1, path, data if isinstance(data, str) else json.dumps(data, default=float))


def depth_frame(diff: OrderBookDiff) -> TapeFrame:
    return frame("/marketdepth/diff/7", {"bids": diff.bids, "asks": diff.asks, "sequence_number": diff.sequence_number})


def trade_frame(trade: Trade) -> TapeFrame:
    fields = {"asset_id": "7", "trade_id": trade.trade_id, "price": "10.50", "quantity": 1}
    return frame("/trades", {**fields, "timestamp_ns": NOON, "buyer_is_maker": False})


def candle_frame(candle: KlineUpdate) -> TapeFrame:
    names = ("open", "high", "low", "close", "volume", "open_timestamp_ns", "close_timestamp_ns")
    return frame("/klines/diff/7", [{name: getattr(candle, name) for name in names}])


TAPE = Tape(
    [
        TapeAnswer(0, "/marketdepth/7", '{"asks":[[10.5,1],[11,2]],"bids":[[9.5,"1.5"]],"sequence_number":5}'),
        frame("/marketdepth/diff/7", {"type": "subscriptions"}),
        *map(depth_frame, DIFFS),
        *map(trade_frame, [*TRADES, TRADES[1]]),
        *map(candle_frame, CANDLES),
        frame("/ticker/ws/7", "{}"),
    ]
)
WRONG_BOOK = OrderBook(asks=[("10.5", 1), (11, 2)], bids=[("9.6", "1.50")], sequence_number=5)


def conclude(path: str, events: Sequence[object]) -> RecordedCheck:
    check = checks_of(TAPE)[path]
    for event in events:
        check.take(event)
    check.conclude()
    return check


@pytest.mark.parametrize(
    ("path", "events", "count", "skipped"),
    [
        ("/marketdepth/diff/7", [BOOK, *DIFFS], 3, 0),
        ("/trades", TRADES, 3, 1),
        ("/klines/diff/7", CANDLES, 1, 0),
    ],
)
def test_what_is_right(path: str, events: Sequence[object], count: int, skipped: int) -> None:
    check = conclude(path, events)
    assert check.problem is None
    assert check.complete
    assert (check.matched, check.count, check.skipped) == (count, count, skipped)


@pytest.mark.parametrize(
    ("path", "events", "problem"),
    [
        ("/marketdepth/diff/7", [], "only 0 of 3 events arrived"),
        ("/marketdepth/diff/7", [BOOK, *DIFFS[:2]], "only 2 of 3 events arrived"),
        ("/marketdepth/diff/7", [BOOK, DIFFS[0], DIFFS[2]], "sequence number 8 does not follow"),
        ("/marketdepth/diff/7", [BOOK, DIFFS[0], DIFFS[0]], "sequence number 6 does not follow"),
        ("/marketdepth/diff/7", [BOOK, *DIFFS, OrderBookDiff([], [], 9)], "event 4 was not expected"),
        ("/marketdepth/diff/7", [BOOK, OrderBookDiff([], [], 6)], "event 1 was not expected"),
        ("/marketdepth/diff/7", [BOOK, DIFFS[0], BOOK], "event 2 was not expected"),
        ("/marketdepth/diff/7", [BOOK, Gap(1, 2, "slow")], "event 1 was not expected: gap from"),
        ("/marketdepth/diff/7", [DIFFS[0]], "event 1 was not expected"),
        ("/marketdepth/diff/7", [OrderBook(), *DIFFS], "the snapshot is number 0, not 5"),
        ("/marketdepth/diff/7", [WRONG_BOOK, *DIFFS], "the book differs"),
        ("/trades", TRADES[:2], "only 2 of 3 events arrived"),
        ("/trades", [TRADES[0], TRADES[2]], "event 2 was not expected: #3"),
        ("/trades", [*TRADES, TRADES[2]], "event 4 was not expected: #3"),
        ("/trades", [Gap(1, 2, "lost")], "event 1 was not expected"),
        ("/klines/diff/7", CANDLES * 2, "event 2 was not expected"),
    ],
)
def test_what_is_wrong(path: str, events: Sequence[object], problem: str) -> None:
    check = conclude(path, events)
    assert check.problem is not None
    assert problem in check.problem


def test_a_check_of_every_feed_that_can_be_checked() -> None:
    assert set(checks_of(TAPE)) == {"/marketdepth/diff/7", "/trades", "/klines/diff/7"}


def test_a_mirror() -> None:
    exchange = Exchange()
    exchange.add_market(MARKET)
    check = MirrorCheck("depth 7", exchange, MARKET)
    assert not check.complete
    check.take(exchange.book(MARKET))
    assert check.complete
    number = exchange.publish_diff(MARKET, bids=[(9, 1)])
    assert not check.complete
    check.take(OrderBookDiff([(9, 1)], [], number))
    assert check.complete
    check.conclude()
    assert check.problem is None


@pytest.mark.parametrize("diff", [OrderBookDiff([(9, 2)], [], 1001), OrderBookDiff([(9, 1)], [], 1002)])
def test_a_mirror_that_is_wrong(diff: OrderBookDiff) -> None:
    exchange = Exchange()
    exchange.add_market(MARKET)
    check = MirrorCheck("depth 7", exchange, MARKET)
    check.take(exchange.book(MARKET))
    exchange.publish_diff(MARKET, bids=[(9, 1)])
    check.take(diff)
    check.conclude()
    assert check.problem is not None


def user_trade(**changes: Any) -> UserTrade:
    arguments = {"is_maker": False, "is_buyer": True, "status": "Pending", **changes}
    return UserTrade(MARKET, 4, "mine", Decimal("10.50"), Decimal("1E+2"), NOON, **arguments)


ORDER = Order(
    signer=KEY,
    order_id="mine",
    base_asset=MARKET,
    book_price_decimals=2,
    book_quantity_decimals=3,
    details=LimitOrderDetails(1050, 5),
    side="Buy",
    creation_timestamp_ns=NOON,
)

LINES = [
    (BOOK, "7  #5  bids 1  asks 2  snapshot, best 9.5 / 10.5"),
    (OrderBook(), "7  #0  bids 0  asks 0  snapshot, best - / -"),
    (DIFFS[0], "7  #6  bids 1  asks 1  bid 9.5 = 0  ask 10.5 = 0.25"),
    (OrderBookDiff([], [(1, 1)] * 5, 6), "7  #6  bids 0  asks 5  ask 1 = 1, 1 = 1, and 3 more"),
    (TRADES[0], "7  #1  12:00:00.000  bought 1 at 10.5  Confirmed"),
    (Trade(ADDRESS, 1, 1, 2, NOON, True), "82af4944…@00a4b1  #1  12:00:00.000  sold 2 at 1  Confirmed"),
    (Trade(MARKET, 1, 1, 2, 10**30, True), f"7  #1  {10**30} ns  sold 2 at 1  Confirmed"),
    (user_trade(), "7  #4  12:00:00.000  bought 100 at 10.50 as taker  Pending  order mine"),
    (user_trade(is_maker=True, is_buyer=False), "7  #4  12:00:00.000  sold 100 at 10.50 as maker  Pending  order mine"),
    (CANDLES[0], "7  12:00:00.000  open 1  high 3  low 1  close 2  volume 4"),
    (
        Ticker(asset_id=MARKET, last_price=1, volume_24h=2, timestamp_ns=NOON),
        "7  12:00:00.000  last 1  bid -  ask -  24 h: volume 2  high -  low -",
    ),
    (OrderCreatedEvent(ORDER, bytes(64), NOON), "7  created  mine  Buy 5 at 1050"),
    (OrderCancelledEvent("mine", MARKET, KEY, NOON, reason="User"), "7  canceled  mine  reason User"),
    (
        OrderRemovedEvent(order_id="mine", asset_id=MARKET, user_id=KEY, timestamp_ns=NOON, reason="Completed"),
        "7  removed  mine  reason Completed  filled_quantity 0",
    ),
    (OrderCreateFailedEvent("mine", KEY), "7  createfailed  mine"),
    (UnknownOrderEvent("Frozen", {"order_id": "mine", "why": 1}), "7  unknown  Frozen  fields order_id, why"),
    (OrdersSnapshot((), NOON), "7  snapshot  12:00:00.000  orders 0"),
    (Gap(NOON, NOON + 10**9, "lost"), "7  gap from 12:00:00.000 to 12:00:01.000: lost"),
    ("anything else", "7  anything else"),
]


@pytest.mark.parametrize(("event", "text"), LINES)
def test_an_event_as_text(event: object, text: str) -> None:
    assert as_text("feed", "7", event) == f"feed         {text}"


def test_a_feed_of_no_market() -> None:
    assert as_text("orders", "", OrdersSnapshot((), NOON)) == "orders       snapshot  12:00:00.000  orders 0"


def test_an_event_as_json() -> None:
    assert json.loads(as_json(BOOK)) == {
        "kind": "OrderBook",
        "asks": [["10.5", "1"], ["11", "2"]],
        "bids": [["9.5", "1.50"]],
        "sequence_number": 5,
    }
    assert as_json(Gap(1, 2, "lost")) == '{"kind":"Gap","since_ns":1,"until_ns":2,"reason":"lost"}'
    assert json.loads(as_json(OrderCreateFailedEvent("mine", KEY)))["CreateFailed"]["order_id"] == "mine"


@pytest.mark.parametrize("event", [event for event, _ in LINES[:-1]])
def test_every_event_is_one_line_of_json(event: object) -> None:
    text = as_json(event)
    assert "\n" not in text
    assert json.loads(text)["kind"] == type(event).__name__

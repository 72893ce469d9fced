"""The matching engine: each rule by example, then all of them against one that tries every unit by hand."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.helpers.engine import ASSET, BUY, SELL, Details, brief, briefs, by_amount, limit, market
from tplus_trio.models import (
    GTC,
    GTD,
    IOC,
    MarketOrderDetails,
    Side,
)
from tplus_trio.testing.matching.engine import (
    Accepted,
    Engine,
    EngineOrder,
    Event,
    Fill,
    LevelChanged,
    Rejected,
)


class Market:
    """An engine, and orders in few words: each of another user's unless it is named."""

    def __init__(self) -> None:
        self.engine = Engine(ASSET)
        self._ids = itertools.count()

    def submit(self, order_id: str, side: Side, details: Details, user: str | None = None, now: int = 0) -> list[Event]:
        return self.engine.submit(EngineOrder(order_id, user or f"user {next(self._ids)}", side, details), now)

    def queue(self, side: Side) -> list[str]:
        return [state.order_id for state in self.engine.orders(side)]


@pytest.fixture
def book() -> Market:
    """Asks: a 3 and b 4 at 10, c 5 at 11. Bids: x 2 at 8."""
    book = Market()
    for order_id, side, price, quantity in [
        ("a", SELL, 10, 3),
        ("b", SELL, 10, 4),
        ("c", SELL, 11, 5),
        ("x", BUY, 8, 2),
    ]:
        book.submit(order_id, side, limit(price, quantity), user=f"owner of {order_id}")
    return book


def test_rests(book: Market) -> None:
    assert book.engine.levels(SELL) == [(10, 7), (11, 5)]
    assert book.engine.levels(BUY) == [(8, 2)]
    assert book.submit("t", BUY, limit(9, 1)) == [
        Accepted(EngineOrder("t", "user 0", BUY, limit(9, 1))),
        LevelChanged(BUY, 9, 1),
    ]
    assert book.queue(BUY) == ["t", "x"]
    assert (book.engine.asset, book.engine.order("nobody")) == (ASSET, None)


def test_price_then_time(book: Market) -> None:
    events = book.submit("t", BUY, limit(11, 9))
    assert briefs(events) == [
        ("accepted", "t"),
        ("fill", 10, 3, "a", "t"),
        ("done", "a", "Completed", 3, 30),
        ("fill", 10, 4, "b", "t"),
        ("done", "b", "Completed", 4, 40),
        ("fill", 11, 2, "c", "t"),
        ("done", "t", "Completed", 9, 92),
    ]
    fills = [event for event in events if isinstance(event, Fill)]
    assert [fill.trade_id for fill in fills] == [1, 2, 3]
    assert [(fill.taker.filled, fill.taker.amount, fill.buyer_is_maker) for fill in fills] == [
        (3, 30, False),
        (7, 70, False),
        (9, 92, False),
    ]
    assert events[-2:] == [LevelChanged(SELL, 10, 0), LevelChanged(SELL, 11, 3)]
    assert (state := book.engine.order("c")) is not None
    assert (state.filled, state.amount, state.remaining) == (2, 22, 3)


def test_the_rest_of_a_crossing_order_rests(book: Market) -> None:
    events = book.submit("t", SELL, limit(8, 5))
    assert briefs(events) == [("accepted", "t"), ("fill", 8, 2, "x", "t"), ("done", "x", "Completed", 2, 16)]
    assert [event.buyer_is_maker for event in events if isinstance(event, Fill)] == [True]
    assert events[-2:] == [LevelChanged(BUY, 8, 0), LevelChanged(SELL, 8, 3)]
    assert book.queue(SELL) == ["t", "a", "b", "c"]


def test_engines_may_share_trade_ids() -> None:
    ids = itertools.count(7)
    seen: list[int] = []
    for engine in (Engine(ASSET, trade_ids=ids), Engine(ASSET, trade_ids=ids)):
        engine.submit(EngineOrder("a", "u", SELL, limit(1, 1)), 0)
        events = engine.submit(EngineOrder("b", "v", BUY, limit(1, 1)), 0)
        seen += [event.trade_id for event in events if isinstance(event, Fill)]
    assert seen == [7, 8]


@pytest.mark.parametrize("in_force", [GTC(post_only=True), GTD(post_only=True, timestamp_ns=9)])
def test_post_only(book: Market, in_force: GTC | GTD) -> None:
    assert book.submit("t", BUY, limit(10, 1, in_force)) == [Rejected("t", "POST_ONLY_WOULD_CROSS")]
    own = book.submit("t", BUY, limit(10, 1, in_force), user="owner of a")
    assert own == [Rejected("t", "POST_ONLY_WOULD_CROSS")]
    assert briefs(book.submit("t", BUY, limit(9, 1, in_force))) == [("accepted", "t")]


def test_immediate_or_cancel(book: Market) -> None:
    events = book.submit("t", BUY, limit(10, 9, IOC()))
    assert briefs(events)[-1] == ("done", "t", "Canceled", 7, 70)
    assert book.queue(BUY) == ["x"]
    assert briefs(book.submit("u", BUY, limit(10, 9, IOC()))) == [
        ("accepted", "u"),
        ("done", "u", "Canceled", 0, 0),
    ]


@pytest.mark.parametrize(
    ("details", "reason"),
    [
        (limit(10, 8, IOC(fill_or_kill=True)), "FOK_NOT_FILLABLE"),
        (market(13, fill_or_kill=True), "FOK_NOT_FILLABLE"),
        (market(7, 69, fill_or_kill=True), "FOK_NOT_FILLABLE"),
        (by_amount(136, fill_or_kill=True), "FOK_NOT_FILLABLE"),
        (by_amount(9, fill_or_kill=True), "FOK_NOT_FILLABLE"),
        (limit(10, 7, IOC(fill_or_kill=True)), None),
        (market(12, fill_or_kill=True), None),
        (market(7, 70, fill_or_kill=True), None),
        (by_amount(135, fill_or_kill=True), None),
        (by_amount(25, fill_or_kill=True), None),
    ],
)
def test_fill_or_kill(book: Market, details: Details, reason: Any) -> None:
    before = book.engine.levels(SELL)
    events = book.submit("t", BUY, details)
    if reason:
        assert events == [Rejected("t", reason)]
        assert book.engine.levels(SELL) == before
    else:
        assert briefs(events)[-1][:3] == ("done", "t", "Completed")


@pytest.mark.parametrize(
    ("side", "details", "outcome"),
    [
        (BUY, market(8), ("Completed", 8, 81)),
        (BUY, market(13), ("Canceled", 12, 125)),
        (BUY, market(8, 80), ("Canceled", 7, 70)),
        (SELL, market(1, 1), ("Completed", 1, 8)),
        (BUY, by_amount(92), ("Completed", 9, 92)),
        (BUY, by_amount(91), ("Completed", 8, 81)),
        (BUY, by_amount(75), ("Completed", 7, 70)),
        (BUY, by_amount(9), ("Canceled", 0, 0)),
        (BUY, by_amount(134), ("Completed", 12, 125)),
        (BUY, by_amount(136), ("Canceled", 12, 125)),
        (BUY, by_amount(92, 1), ("Completed", 9, 92)),
        (SELL, by_amount(16, 1), ("Canceled", 1, 8)),
        (SELL, by_amount(15), ("Completed", 1, 8)),
    ],
)
def test_market_orders(book: Market, side: Side, details: MarketOrderDetails, outcome: tuple[Any, ...]) -> None:
    assert briefs(book.submit("t", side, details))[-1] == ("done", "t", *outcome)
    assert book.engine.order("t") is None


def test_a_market_order_has_no_limit() -> None:
    with pytest.raises(TypeError, match="market order"):
        _ = EngineOrder("t", "u", BUY, market(1)).limit


def test_nobody_trades_with_himself(book: Market) -> None:
    events = book.submit("t", BUY, limit(11, 9), user="owner of b")
    assert briefs(events) == [
        ("accepted", "t"),
        ("fill", 10, 3, "a", "t"),
        ("done", "a", "Completed", 3, 30),
        ("done", "t", "SelfTradePrevented", 3, 30),
    ]
    assert (book.queue(SELL), book.queue(BUY)) == (["b", "c"], ["x"])
    whole = book.submit("t", BUY, limit(11, 9, IOC(fill_or_kill=True)), user="owner of c")
    assert whole == [Rejected("t", "SELF_TRADE_PREVENTED")]
    # An order of one's own that it would not reach is in nobody's way.
    assert briefs(book.submit("t", BUY, limit(11, 4), user="owner of c"))[-1] == (
        "done",
        "t",
        "Completed",
        4,
        40,
    )


@pytest.mark.parametrize(
    ("details", "reason"),
    [
        (limit(9, 0), "INVALID_ORDER_QUANTITY"),
        (limit(0, 1), "INVALID_ORDER_PRICE"),
        (market(0), "INVALID_ORDER_QUANTITY"),
        (market(1, 0), "INVALID_ORDER_QUANTITY"),
        (by_amount(0), "INVALID_ORDER_QUANTITY"),
        (limit(9, 1, GTD(post_only=False, timestamp_ns=5)), "INVALID_ORDER_EXPIRED"),
    ],
)
def test_refused_whatever_the_book(book: Market, details: Details, reason: Any) -> None:
    assert book.submit("t", BUY, details, now=5) == [Rejected("t", reason)]


def test_an_id_is_taken_while_its_order_rests(book: Market) -> None:
    assert book.submit("a", BUY, limit(1, 1)) == [Rejected("a", "DUPLICATE_ORDER")]
    book.engine.cancel("a", 0)
    assert briefs(book.submit("a", BUY, limit(1, 1))) == [("accepted", "a")]


def test_cancel(book: Market) -> None:
    book.submit("t", BUY, limit(10, 1))
    assert [brief(event) for event in book.engine.cancel("a", 0)] == [
        ("done", "a", "Canceled", 1, 10),
        ("level", SELL, 10, 4),
    ]
    for order_id in ("a", "t", "nobody"):
        assert book.engine.cancel(order_id, 0) == [Rejected(order_id, "ORDER_NOT_FOUND")]
    assert book.queue(SELL) == ["b", "c"]


@pytest.mark.parametrize(
    ("price", "quantity", "queue"),
    [
        (10, 2, ["a", "b", "c"]),
        (10, 3, ["a", "b", "c"]),
        (10, 4, ["b", "a", "c"]),
        (11, 3, ["b", "c", "a"]),
        (9, 3, ["a", "b", "c"]),
    ],
)
def test_a_replaced_order_keeps_its_place_only_if_it_shrinks(
    book: Market, price: int, quantity: int, queue: list[str]
) -> None:
    assert briefs(book.engine.replace("a", price, quantity, 0)) == [("replaced", "a", 0, quantity)]
    assert book.queue(SELL) == queue


def test_replace_counts_what_has_traded(book: Market) -> None:
    book.submit("t", BUY, limit(10, 2))
    for quantity in (2, 1, 0, -1):
        assert book.engine.replace("a", 10, quantity, 0) == [Rejected("a", "INVALID_ORDER_QUANTITY")]
    assert book.engine.replace("a", 0, 5, 0) == [Rejected("a", "INVALID_ORDER_PRICE")]
    assert book.engine.replace("t", 10, 5, 0) == [Rejected("t", "ORDER_NOT_FOUND")]
    assert briefs(book.engine.replace("a", 12, 5, 0)) == [("replaced", "a", 2, 3)]
    assert book.engine.levels(SELL) == [(10, 4), (11, 5), (12, 3)]


def test_a_replaced_order_may_trade(book: Market) -> None:
    assert briefs(book.engine.replace("x", 10, 9, 0)) == [
        ("replaced", "x", 0, 9),
        ("fill", 10, 3, "a", "x"),
        ("done", "a", "Completed", 3, 30),
        ("fill", 10, 4, "b", "x"),
        ("done", "b", "Completed", 4, 40),
    ]
    assert book.engine.levels(BUY) == [(10, 2)]


def test_a_replacement_that_is_refused_changes_nothing(book: Market) -> None:
    book.submit("t", BUY, limit(9, 1, GTC(post_only=True)))
    assert book.engine.replace("t", 10, 5, 0) == [Rejected("t", "POST_ONLY_WOULD_CROSS")]
    assert book.engine.levels(BUY) == [(9, 1), (8, 2)]


def test_a_replaced_order_does_not_trade_with_itself_either(book: Market) -> None:
    book.submit("t", BUY, limit(9, 1), user="owner of a")
    assert briefs(book.engine.replace("t", 10, 1, 0)) == [
        ("replaced", "t", 0, 1),
        ("done", "t", "SelfTradePrevented", 0, 0),
    ]
    assert book.queue(BUY) == ["x"]


def test_amend_only_reduces(book: Market) -> None:
    book.submit("t", BUY, limit(10, 1))
    for quantity in (4, 1, 0):
        assert book.engine.amend("a", quantity, 0) == [Rejected("a", "INVALID_ORDER_QUANTITY")]
    assert [brief(event) for event in book.engine.amend("a", 2, 0)] == [
        ("amended", "a", 1, 1),
        ("level", SELL, 10, 5),
    ]
    assert [brief(event) for event in book.engine.amend("a", 2, 0)] == [("amended", "a", 1, 1)]
    assert book.queue(SELL) == ["a", "b", "c"]
    assert book.engine.amend("nobody", 1, 0) == [Rejected("nobody", "ORDER_NOT_FOUND")]


def test_a_total_that_ends_as_it_began_has_not_changed() -> None:
    book = Market()
    book.submit("a", SELL, limit(10, 1, GTD(post_only=False, timestamp_ns=5)))
    assert [brief(event) for event in book.submit("b", SELL, limit(10, 1), now=5)] == [
        ("done", "a", "Expired", 0, 0),
        ("accepted", "b"),
    ]
    assert book.engine.levels(SELL) == [(10, 1)]


def test_expiry() -> None:
    book = Market()
    for order_id, expiry in (("late", 30), ("early", 10), ("canceled", 10), ("moved", 20), ("later", 40)):
        book.submit(order_id, SELL, limit(10, 1, GTD(post_only=False, timestamp_ns=expiry)))
    book.submit("stays", SELL, limit(10, 1))
    book.engine.cancel("canceled", 0)
    book.engine.replace("moved", 11, 2, 0)
    assert book.engine.expire(9) == []
    assert [brief(event) for event in book.engine.expire(25)] == [
        ("done", "early", "Expired", 0, 0),
        ("done", "moved", "Expired", 0, 0),
        ("level", SELL, 10, 3),
        ("level", SELL, 11, 0),
    ]
    # What has expired does not trade, asked for or not.
    assert briefs(book.submit("t", BUY, limit(10, 1), now=30)) == [
        ("done", "late", "Expired", 0, 0),
        ("accepted", "t"),
        ("fill", 10, 1, "later", "t"),
        ("done", "later", "Completed", 1, 10),
        ("done", "t", "Completed", 1, 10),
    ]
    assert book.queue(SELL) == ["stays"]

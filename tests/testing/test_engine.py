"""The matching engine: each rule by example, then all of them against one that tries every unit by hand."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterable
from typing import Any, TypeAlias

import attrs
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tplus_trio.models import (
    GTC,
    GTD,
    IOC,
    AssetIdentifier,
    LimitOrderDetails,
    MarketBaseQuantity,
    MarketOrderDetails,
    MarketQuantity,
    MarketQuoteQuantity,
    Side,
)
from tplus_trio.testing.matching.engine import (
    Accepted,
    Amended,
    Done,
    Engine,
    EngineOrder,
    Event,
    Fill,
    LevelChanged,
    Rejected,
    Replaced,
)

BUY, SELL = Side.BUY, Side.SELL
ASSET = AssetIdentifier(200)
Details: TypeAlias = LimitOrderDetails | MarketOrderDetails


def limit(price: int, quantity: int, in_force: GTC | GTD | IOC | None = None) -> LimitOrderDetails:
    return LimitOrderDetails(price, quantity, in_force or GTC())


def market(quantity: int, cap: int | None = None, *, fill_or_kill: bool = False) -> MarketOrderDetails:
    return MarketOrderDetails(MarketQuantity(base_asset=MarketBaseQuantity(quantity, cap)), fill_or_kill)


def by_amount(amount: int, cap: int | None = None, *, fill_or_kill: bool = False) -> MarketOrderDetails:
    return MarketOrderDetails(MarketQuantity(quote_asset=MarketQuoteQuantity(amount, cap)), fill_or_kill)


def brief(event: Event) -> tuple[Any, ...]:
    """An event in few words, without the levels."""
    match event:
        case Accepted(order):
            return "accepted", order.order_id
        case Rejected(order_id, reason):
            return "rejected", order_id, reason
        case Fill():
            return "fill", event.price, event.quantity, event.maker.order_id, event.taker.order_id
        case Done(state, reason):
            return "done", state.order_id, reason, state.filled, state.amount
        case Replaced(state):
            return "replaced", state.order_id, state.filled, state.remaining
        case Amended(state):
            return "amended", state.order_id, state.filled, state.remaining
        case LevelChanged(side, price, quantity):
            return "level", side, price, quantity


def briefs(events: Iterable[Event]) -> list[tuple[Any, ...]]:
    return [brief(event) for event in events if not isinstance(event, LevelChanged)]


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


# ----------------------------------------------------------------------------------------------------
# Against a naive exchange: one list of orders, searched through for every single unit.


@attrs.define
class Row:
    order_id: str
    user: str
    side: Side
    details: Details
    arrival: int
    filled: int = 0
    amount: int = 0

    @property
    def terms(self) -> LimitOrderDetails:
        assert isinstance(self.details, LimitOrderDetails)
        return self.details


class Naive:
    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.arrivals = itertools.count()
        self.log: list[tuple[Any, ...]] = []

    def expire(self, now: int) -> None:
        for _, _, row in sorted(
            (row.terms.time_in_force.timestamp_ns, row.order_id, row)
            for row in self.rows
            if isinstance(row.terms.time_in_force, GTD) and row.terms.time_in_force.timestamp_ns <= now
        ):
            self.rows.remove(row)
            self.done(row, "Expired")

    def done(self, row: Row, reason: str) -> None:
        self.log.append(("done", row.order_id, reason, row.filled, row.amount))

    def find(self, order_id: str) -> Row | None:
        return next((row for row in self.rows if row.order_id == order_id), None)

    def submit(self, order_id: str, user: str, side: Side, details: Details, now: int) -> None:
        if self.find(order_id):
            self.log.append(("rejected", order_id, "DUPLICATE_ORDER"))
            return
        expiry = details.time_in_force if isinstance(details, LimitOrderDetails) else None
        if isinstance(expiry, GTD) and expiry.timestamp_ns <= now:
            self.log.append(("rejected", order_id, "INVALID_ORDER_EXPIRED"))
            return
        self.enter(Row(order_id, user, side, details, next(self.arrivals)), ("accepted", order_id))

    def enter(self, row: Row, first: tuple[Any, ...]) -> bool:
        """Let an order trade and rest; undo all of it if it turns out to be refused."""
        before = copy.deepcopy((self.rows, self.log))
        self.log.append(first)
        stop = self.trade(row)
        traded = row.details
        refused = None
        if isinstance(traded, LimitOrderDetails):
            complete = row.filled == traded.quantity
            crossed = stop == "self" or self.log[-1] != first
            post_only = not isinstance(traded.time_in_force, IOC) and traded.time_in_force.post_only
            whole = isinstance(traded.time_in_force, IOC) and traded.time_in_force.fill_or_kill
            if post_only and crossed:
                refused = "POST_ONLY_WOULD_CROSS"
        else:
            whole = traded.fill_or_kill
            complete = stop == "complete"
        if whole and not complete:
            refused = "SELF_TRADE_PREVENTED" if stop == "self" else "FOK_NOT_FILLABLE"
        if refused:
            self.rows, self.log = before
            self.log.append(("rejected", row.order_id, refused))
            return False
        if complete:
            self.done(row, "Completed")
        elif stop == "self":
            self.done(row, "SelfTradePrevented")
        elif isinstance(traded, MarketOrderDetails) or isinstance(traded.time_in_force, IOC):
            self.done(row, "Canceled")
        else:
            self.rows.append(row)
        return True

    def trade(self, row: Row) -> str:
        last_price = None
        while True:
            best = self.best_for(row)
            left = self.units_left(row, best.terms.limit_price if best else last_price)
            if left == 0:
                return "complete"
            if best is None or left < 0:
                return "stopped"
            if best.user == row.user:
                return "self"
            last_price = best.terms.limit_price
            self.trade_one(best, row, last_price)

    def units_left(self, row: Row, price: int | None) -> int:
        """More than 0: it wants another unit at that price. 0: it has it all. Less: it may not go on."""
        details = row.details
        if isinstance(details, LimitOrderDetails):
            return details.quantity - row.filled
        if base := details.quantity.base_asset:
            cap = base.max_sellable_amount if row.side is BUY else None
            spent = cap is not None and price is not None and row.amount + price > cap
            if row.filled < base.quantity and spent:
                return -1
            return base.quantity - row.filled
        quote = details.quantity.quote_asset
        assert quote is not None
        if price is not None and quote.quantity - row.amount < price:
            return 0 if row.filled else -1
        if row.side is SELL and quote.max_sellable_quantity is not None and row.filled == quote.max_sellable_quantity:
            return -1
        return 1

    def best_for(self, row: Row) -> Row | None:
        sign = 1 if row.side is BUY else -1
        reached = [
            other
            for other in self.rows
            if other.side is not row.side
            and (
                isinstance(row.details, MarketOrderDetails)
                or other.terms.limit_price * sign <= row.details.limit_price * sign
            )
        ]
        return min(reached, key=lambda other: (other.terms.limit_price * sign, other.arrival), default=None)

    def trade_one(self, maker: Row, taker: Row, price: int) -> None:
        match self.log[-1]:
            case ("fill", at, quantity, maker_id, taker_id) if (
                maker_id == maker.order_id and taker_id == taker.order_id
            ):
                self.log[-1] = ("fill", at, quantity + 1, maker_id, taker_id)
            case _:
                self.log.append(("fill", price, 1, maker.order_id, taker.order_id))
        for row in (maker, taker):
            row.filled += 1
            row.amount += price
        if maker.filled == maker.terms.quantity:
            self.rows.remove(maker)
            self.done(maker, "Completed")

    def cancel(self, order_id: str) -> None:
        if row := self.find(order_id):
            self.rows.remove(row)
            self.done(row, "Canceled")
        else:
            self.log.append(("rejected", order_id, "ORDER_NOT_FOUND"))

    def replace(self, order_id: str, price: int, quantity: int) -> None:
        row = self.find(order_id)
        if row is None:
            self.log.append(("rejected", order_id, "ORDER_NOT_FOUND"))
        elif quantity <= row.filled:
            self.log.append(("rejected", order_id, "INVALID_ORDER_QUANTITY"))
        else:
            new = attrs.evolve(row, details=limit(price, quantity, row.terms.time_in_force))
            first = ("replaced", order_id, row.filled, quantity - row.filled)
            at = self.rows.index(row)
            if price == row.terms.limit_price and quantity <= row.terms.quantity:
                self.rows[at] = new
                self.log.append(first)
                return
            self.rows.remove(row)
            new.arrival = next(self.arrivals)
            if not self.enter(new, first):
                self.rows.append(row)

    def amend(self, order_id: str, quantity: int) -> None:
        row = self.find(order_id)
        if row is None:
            self.log.append(("rejected", order_id, "ORDER_NOT_FOUND"))
        elif not row.filled < quantity <= row.terms.quantity:
            self.log.append(("rejected", order_id, "INVALID_ORDER_QUANTITY"))
        else:
            row.details = attrs.evolve(row.terms, quantity=quantity)
            self.log.append(("amended", order_id, row.filled, quantity - row.filled))

    def queue(self, side: Side) -> list[tuple[str, int, int, int]]:
        sign = -1 if side is BUY else 1
        rows = [row for row in self.rows if row.side is side]
        rows.sort(key=lambda row: (row.terms.limit_price * sign, row.arrival))
        return [(row.order_id, row.terms.limit_price, row.filled, row.terms.quantity) for row in rows]


prices, quantities, times = st.integers(1, 7), st.integers(1, 6), st.integers(1, 60)
flags = st.booleans()
order_ids = st.integers(0, 25).map(str)
details = (
    st.builds(
        limit,
        prices,
        quantities,
        st.builds(GTC, flags) | st.builds(GTD, flags, times) | st.builds(IOC, flags),
    )
    | st.builds(limit, prices, quantities)
    | st.builds(market, quantities, st.none() | st.integers(1, 30), fill_or_kill=flags)
    | st.builds(by_amount, st.integers(1, 60), st.none() | quantities, fill_or_kill=flags)
)
actions = (
    st.tuples(st.just("submit"), order_ids, st.sampled_from("uvw"), st.sampled_from([BUY, SELL]), details)
    | st.tuples(st.just("cancel"), order_ids)
    | st.tuples(st.just("replace"), order_ids, prices, quantities)
    | st.tuples(st.just("amend"), order_ids, quantities)
    | st.tuples(st.just("expire"))
)


def act(engine: Engine, naive: Naive, now: int, action: tuple[Any, ...]) -> list[Event]:
    """Do the same in both."""
    naive.log.clear()
    naive.expire(now)
    match action:
        case ("submit", order_id, user, side, terms):
            naive.submit(order_id, user, side, terms, now)
            return engine.submit(EngineOrder(order_id, user, side, terms), now)
        case ("cancel", order_id):
            naive.cancel(order_id)
            return engine.cancel(order_id, now)
        case ("replace", order_id, price, quantity):
            naive.replace(order_id, price, quantity)
            return engine.replace(order_id, price, quantity, now)
        case ("amend", order_id, quantity):
            naive.amend(order_id, quantity)
            return engine.amend(order_id, quantity, now)
        case _:
            return engine.expire(now)


def check_book(engine: Engine) -> None:
    """The book is not crossed, and its levels are what its orders add up to."""
    bids, asks = engine.levels(BUY), engine.levels(SELL)
    assert not bids or not asks or bids[0][0] < asks[0][0]
    for side, levels in ((BUY, bids), (SELL, asks)):
        totals: dict[int, int] = {}
        for state in engine.orders(side):
            assert state.remaining > 0
            assert state == engine.order(state.order_id)
            price = state.order.limit.limit_price
            totals[price] = totals.get(price, 0) + state.remaining
        assert list(totals.items()) == levels == sorted(levels, reverse=side is BUY)


class Ledger:
    """What went in, and where each unit of it is."""

    def __init__(self) -> None:
        self.wanted: dict[str, int] = {}
        self.traded: dict[str, int] = {}
        self.volume = 0

    def book(self, events: list[Event]) -> None:
        for event in events:
            match event:
                case Accepted(order):
                    self.traded[order.order_id] = 0
                    if isinstance(order.details, LimitOrderDetails):
                        self.wanted[order.order_id] = order.details.quantity
                case Replaced(state) | Amended(state):
                    self.wanted[state.order_id] = state.order.limit.quantity
                case Fill():
                    self.volume += event.quantity
                    for state in (event.maker, event.taker):
                        self.traded[state.order_id] += event.quantity
                        assert state.filled == self.traded[state.order_id]
                case Done(state):
                    self.check(state.order_id, state.filled, self.wanted.pop(state.order_id, None), state)
                case _:
                    pass

    def check(self, order_id: str, filled: int, wanted: int | None, state: Any) -> None:
        assert filled == self.traded[order_id]
        if wanted is not None:
            assert wanted == filled + state.remaining


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), actions), max_size=60))
@example(
    # What the amount no longer buys at 3 must not be spent on the order at 1 behind it.
    [
        (0, ("submit", "low", "v", BUY, limit(1, 1))),
        (0, ("submit", "high", "v", BUY, limit(3, 2))),
        (0, ("submit", "seller", "u", SELL, by_amount(4))),
    ]
)
def test_does_what_the_naive_one_does(steps: list[tuple[int, tuple[Any, ...]]]) -> None:
    engine, naive, ledger = Engine(ASSET), Naive(), Ledger()
    replayed: dict[Side, dict[int, int]] = {BUY: {}, SELL: {}}
    now = 0
    for passed, action in steps:
        now += passed
        events = act(engine, naive, now, action)
        assert briefs(events) == naive.log
        for side in (BUY, SELL):
            assert naive.queue(side) == [
                (state.order_id, state.order.limit.limit_price, state.filled, state.order.limit.quantity)
                for state in engine.orders(side)
            ]
        check_book(engine)
        changes = [event for event in events if isinstance(event, LevelChanged)]
        assert events[len(events) - len(changes) :] == changes
        for change in changes:
            assert change.quantity != replayed[change.side].get(change.price, 0)
            replayed[change.side][change.price] = change.quantity
            if not change.quantity:
                del replayed[change.side][change.price]
        assert len({(change.side, change.price) for change in changes}) == len(changes)
        for side in (BUY, SELL):
            assert replayed[side] == dict(engine.levels(side))
        ledger.book(events)
        resting = {state.order_id: state for side in (BUY, SELL) for state in engine.orders(side)}
        assert resting.keys() == ledger.wanted.keys()
        for order_id, state in resting.items():
            ledger.check(order_id, state.filled, ledger.wanted[order_id], state)

"""The matching engine does what a naive exchange does that searches one list of orders for every single unit."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import attrs
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.helpers.engine import ASSET, BUY, SELL, Details, briefs, by_amount, limit, market
from tplus_trio.models import (
    GTC,
    GTD,
    IOC,
    LimitOrderDetails,
    MarketOrderDetails,
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
    Replaced,
)


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

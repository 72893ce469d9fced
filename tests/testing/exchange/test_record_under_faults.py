"""The record of effects under random faults: they never alter it, and it alone gives what the exchange holds."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.exchange_users import ALICE, BOB
from tests.helpers.order_ways import OPERATIONS
from tests.helpers.raw_client import Clock, sign_in
from tests.helpers.signed_bodies import amendment, cancellation, limit_order, replacement
from tplus_trio.models import LimitOrderDetails, Side
from tplus_trio.testing import Effect, Exchange, RecordedOrder, Request, Response, Subscription, replay_effects
from tplus_trio.testing.exchange.faults.faults import Faults
from tplus_trio.users import User

USERS = (ALICE, BOB)
IDS = tuple(f"o-{n}" for n in range(3))
#: Faults of answers, feeds and listings: what they do must not reach the record.
OUTWARD: Mapping[str, Callable[[Faults], object]] = {
    "error": lambda faults: faults.act_then_answer(503, 2),
    "garbage": lambda faults: faults.act_then_answer("garbage", drop=True),
    "nothing": lambda faults: faults.act_then_answer("nothing"),
    "drop": lambda faults: faults.drop_after_request(),
    "shuffle": lambda faults: faults.shuffle_batch(3),
    "omit": lambda faults: faults.omit_from_batch(2),
    "ack": lambda faults: faults.ack_style("late", 3),
    "no ids": lambda faults: faults.drop_request_ids(2),
    "bare": lambda faults: faults.send_bare_answers(),
    "lose": lambda faults: faults.lose_events(ALICE, 2),
    "repeat": lambda faults: faults.repeat_events(BOB, 2),
    "reorder": lambda faults: faults.reorder_events(ALICE, 2),
    "lag": lambda faults: faults.lag_listings(2, 3),
    "cut": lambda faults: faults.cut_listing(1, 3),
    "page": lambda faults: faults.replace_answers("/orders", Response(204)),
    "spoil": lambda faults: faults.spoil_rows(missing=("status",)),
    "delay": lambda faults: faults.delay_requests("", 5),
    "garble": lambda faults: faults.garble("/control"),
    "close": lambda faults: faults.close_streams(),
    "end sessions": lambda faults: faults.end_sessions(),
}
#: Faults that change what happens; the record must show what did.
INWARD: Mapping[str, Callable[[Faults], object]] = {
    "hold": lambda faults: faults.hold_requests(2, 2),
    "concurrently": lambda faults: faults.handle_concurrently(3, 3),
    "later": lambda faults: faults.refuse_later(n=2),
    "twice": lambda faults: faults.repeat_requests(2, 2),
    "twice, second answer": lambda faults: faults.repeat_requests(1, answer="second"),
    "fail": lambda faults: faults.fail_requests("/orders", 503),
    "limit": lambda faults: faults.limit_rate(0.5, path="/control/orders", retry_after=1),
    "forget": lambda faults: faults.forget_ids(),
    "remember": lambda faults: faults.forget_ids(None),
    "fast": lambda faults: faults.skew_expiry(2),
    "slow": lambda faults: faults.skew_expiry(-2),
    "confirm late": lambda faults: faults.confirm_after(3),
    "confirm at once": lambda faults: faults.confirm_after(0),
    "roll back": lambda faults: faults.roll_back(3),
    "liquidate": lambda faults: faults.liquidate(ALICE, 200),
    "decimals": lambda faults: faults.change_decimals(200, 1, 1),
}

ways = st.sampled_from(["rest", "control"])
users = st.sampled_from(USERS)
order_ids = st.sampled_from(IDS)
creates = st.tuples(
    st.sampled_from(["create", "create", "batch_create"]),
    ways,
    users,
    order_ids,
    st.sampled_from(["Buy", "Sell"]),
    st.integers(9, 12),
    st.integers(1, 6),
    st.sampled_from(["GTC", "GTC", "GTD", "IOC", "trigger", "reduce"]),
)
changes = st.tuples(
    st.sampled_from(["cancel", "replace", "amend"]), ways, users, order_ids, st.integers(9, 12), st.integers(1, 7)
)
waits = st.tuples(st.just("wait"), st.integers(1, 4))


def faults_of(names: Mapping[str, object]) -> st.SearchStrategy[tuple[str, str]]:
    return st.tuples(st.just("fault"), st.sampled_from(sorted(names)))


def programs_of(names: Mapping[str, object]) -> st.SearchStrategy[list[tuple[Any, ...]]]:
    faults = faults_of(names)
    steps = st.one_of(creates, creates, creates, creates, changes, waits, faults, faults)
    return st.lists(steps, min_size=15, max_size=45)


class Run:
    """One exchange on which a program is carried out, with or without its faults."""

    def __init__(self, program: list[tuple[Any, ...]], *, has_faults: bool = True) -> None:
        self.clock = Clock()
        self.exchange = Exchange(now_ns=self.clock)
        self.exchange.add_market(200, 0, 0)
        self.channels: dict[User, Subscription] = {}
        self.tokens = {user: sign_in(self.exchange, user) for user in USERS}
        for what, *arguments in program:
            self.clock.now_ns += 1
            if what == "wait":
                self.clock.pass_(arguments[0])
                self.exchange.expire_orders()
            elif what != "fault":
                self.request(what, *arguments)
            elif has_faults:
                with contextlib.suppress(ValueError):  # nothing to liquidate, or decimals too few
                    {**OUTWARD, **INWARD}[arguments[0]](self.exchange.faults)
                self.tokens = {user: sign_in(self.exchange, user) for user in USERS}
        self.clock.pass_(120)  # what is held, pending or due to expire is carried out
        self.exchange.expire_orders()

    @property
    def effects(self) -> tuple[Effect, ...]:
        return self.exchange.effects

    def request(self, what: str, way: str, user: User, order_id: str, *arguments: Any) -> None:
        self.listen(user)
        body = self.body(what, user, order_id, *arguments)
        method, path, variant = OPERATIONS[what]
        if way == "rest":
            self.exchange.handle(Request(method, path, self.tokens[user], json.dumps(body).encode()))
            return
        channel = self.channels[user]
        assert channel.on_message is not None
        channel.on_message(json.dumps({"request_id": "r", "data": {variant: body}}))

    def listen(self, user: User) -> None:
        """Open the control channel and the feeds of a user unless they are open, and read a listing."""
        if user not in self.channels or self.channels[user].closed:
            for path in ("/orders", f"/trades/user/events/{user.public_key}"):
                self.exchange.subscribe(path, self.tokens[user])
            self.channels[user] = self.exchange.subscribe("/control", self.tokens[user])
        self.exchange.handle(Request("GET", f"/trades/user/{user.public_key}", self.tokens[user]))

    def body(self, what: str, user: User, order_id: str, *arguments: Any) -> dict[str, Any]:
        now_ns, market = self.clock.now_ns, self.exchange.add_market(200)
        decimals = market.book_price_decimals, market.book_quantity_decimals
        units = 10 ** decimals[0]
        if what == "cancel":
            return cancellation(user, order_id)
        if what == "replace":
            price, quantity = arguments
            return replacement(user, order_id, price * units, quantity * units, now_ns, decimals=decimals)
        if what == "amend":
            revisions = [e.time_ns for e in self.exchange.effects_of(user, order_id) if e.kind in ("replace", "amend")]
            expected, quantity = revisions[-1] if revisions else None, arguments[1] * units
            return amendment(user, order_id, quantity, expected, timestamp_ns=now_ns, decimals=decimals[1])
        side, price, quantity, kind = arguments
        terms: dict[str, Any] = {"book_price_decimals": decimals[0], "book_quantity_decimals": decimals[1]}
        if kind == "GTD":
            terms["time_in_force"] = {"GTD": {"post_only": False, "timestamp_ns": now_ns + 3_000_000_000}}
        elif kind == "IOC":
            terms["time_in_force"] = {"IOC": {"fill_or_kill": False}}
        elif kind == "trigger":
            terms["trigger"] = {"parent_order_id": None, "condition": {"PriceAbove": {"price": 11 * units}}}
        elif kind == "reduce":
            terms["reduce_only"] = True
        bodies = [
            limit_order(user, one, side, price * units, quantity * units, **terms)
            for one in ((order_id, f"{order_id}-2", f"{order_id}-3") if what == "batch_create" else (order_id,))
        ]
        return {"orders": bodies} if what == "batch_create" else bodies[0]


@settings(max_examples=150, deadline=None)
@given(programs_of(OUTWARD))
def test_faults_of_answers_feeds_and_listings_leave_the_record_as_it_is(program: list[tuple[Any, ...]]) -> None:
    faulty, plain = Run(program), Run(program, has_faults=False)
    assert faulty.effects == plain.effects
    assert faulty.exchange.trades() == plain.exchange.trades()


def test_a_trade_of_an_order_whose_id_is_used_again(exchange: Exchange, clock: Clock) -> None:
    exchange.faults.confirm_after(10)
    exchange.faults.forget_ids()
    exchange.faults.roll_back()
    exchange.place(ALICE, 200, "Buy", 900, 5, order_id="a")
    exchange.place(BOB, 200, "Sell", 900, 2, order_id="b")
    exchange.place(BOB, 200, "Sell", 900, 3, order_id="c")
    exchange.place(ALICE, 200, "Buy", 900, 8, order_id="a")
    clock.pass_(10)
    exchange.expire_orders()
    assert [trade.status for trade in exchange.trades()] == ["Rollbacked", "Confirmed"]
    (order,) = exchange.orders(ALICE)
    assert order.pending_filled_quantity == order.confirmed_filled_quantity == 0
    (resting,) = exchange.resting(ALICE)
    assert (resting.matched, resting.rolled_back, resting.remaining) == (0, 0, 8)
    assert replay_effects(exchange.effects)[ALICE.public_key, "a"] == resting
    rollbacks = [(effect.user, effect.trade_id) for effect in exchange.effects if effect.kind == "rollback"]
    assert rollbacks == [(ALICE.public_key, 1), (BOB.public_key, 1)]


def test_a_refused_order_leaves_the_earlier_order_of_its_id(exchange: Exchange) -> None:
    exchange.faults.forget_ids()
    for order_id in ("a", "b"):
        exchange.place(ALICE, 200, "Buy", 900, 5, order_id=order_id)
        exchange.cancel(ALICE, order_id)
    assert exchange.place(ALICE, 200, "Buy", 900, 0, order_id="a").reason == "INVALID_ORDER_QUANTITY"
    assert [(order.order_id, order.status) for order in exchange.orders(ALICE)] == [
        ("b", "Cancelled"),
        ("a", "Cancelled"),
    ]
    exchange.place(ALICE, 200, "Buy", 900, 7, order_id="a")
    assert [(order.order_id, order.is_open) for order in exchange.orders(ALICE)] == [("a", True), ("b", False)]


@settings(max_examples=150, deadline=None)
@given(programs_of({**OUTWARD, **INWARD}))
def test_the_record_alone_gives_what_the_exchange_holds(program: list[tuple[Any, ...]]) -> None:
    run = Run(program)
    replayed = replay_effects(run.effects)
    assert book_of(replayed) == published_book(run.exchange)
    for user in USERS:
        of_user = {order_id: order for (key, order_id), order in replayed.items() if key == user.public_key}
        listed = {order.order_id: order for order in run.exchange.orders(user)}
        assert of_user.keys() == listed.keys()
        assert {order.order_id for order in run.exchange.resting(user)} == {
            order_id for order_id, order in listed.items() if order.is_open
        }
        for order_id, order in of_user.items():
            shown = listed[order_id]
            assert order.is_open == run.exchange.is_open(user, order_id) == shown.is_open
            if order.is_open or "decimals" not in {step[-1] for step in program}:
                assert order.filled == shown.pending_filled_quantity + shown.confirmed_filled_quantity
    trades = run.exchange.trades()
    for kind, expected in (
        ("fill", {trade.trade_id for trade in trades}),
        ("rollback", {trade.trade_id for trade in trades if trade.status == "Rollbacked"}),
    ):
        found = [effect.trade_id for effect in run.effects if effect.kind == kind]
        assert len(found) == 2 * len(expected)  # the maker's and the taker's
        assert set(found) == expected


def book_of(orders: Mapping[tuple[str, str], RecordedOrder]) -> dict[tuple[Side, int], int]:
    levels: dict[tuple[Side, int], int] = {}
    for order in orders.values():
        if order.rests:
            assert isinstance(order.details, LimitOrderDetails)
            level = order.side, order.details.limit_price
            levels[level] = levels.get(level, 0) + order.remaining
    return levels


def published_book(exchange: Exchange) -> dict[tuple[Side, int], int]:
    book, market = exchange.book(200), exchange.add_market(200)
    return {
        (side, int(price.scaleb(market.book_price_decimals))): int(quantity.scaleb(market.book_quantity_decimals))
        for side, levels in ((Side.BUY, book.bids), (Side.SELL, book.asks))
        for price, quantity in levels
    }

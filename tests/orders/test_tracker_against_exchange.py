"""What the exchange says of orders, in any order, ends in what the exchange's own record says."""

from __future__ import annotations

import json
from decimal import Decimal
from random import Random
from typing import Any, Final

import pytest

from tests.helpers.exchange_users import ALICE, BOB
from tests.helpers.raw_client import Clock, call, sign_in
from tests.helpers.signed_bodies import amendment, cancellation, limit_order, replacement
from tplus_trio import codec
from tplus_trio.models import AssetIdentifier, LimitOrderDetails, Order, OrderCreatedEvent
from tplus_trio.orders.order_facts import RequestFact
from tplus_trio.orders.order_state import OrderState
from tplus_trio.orders.tracked_order import TrackedOrder
from tplus_trio.orders.tracker import OrderTracker, TrackerItem
from tplus_trio.testing import Exchange, RecordedOrder, replay_effects

KEY: Final = ALICE.public_key
ASSET: Final = AssetIdentifier(200)
SECOND: Final = 1_000_000_000
STATES: Final = {
    "Completed": OrderState.FILLED,
    "Canceled": OrderState.CANCELED,
    "Expired": OrderState.EXPIRED,
    "Rejected": OrderState.REJECTED,
    "SelfTradePrevented": OrderState.ENDED,
}


class Market:
    """An exchange at which Alice and Bob trade at random, and all that Alice is told."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.clock = Clock()
        self.exchange = Exchange(now_ns=self.clock)
        self.exchange.add_market(200, 1, 2)
        self.headers = sign_in(self.exchange, ALICE)
        paths = ("/orders", f"/trades/user/events/{KEY}")
        self.order_feed, self.trade_feed = (self.exchange.subscribe(path, self.headers) for path in paths)
        self.sent: list[Order] = []
        self.told: list[TrackerItem] = []
        self.exchange.faults.confirm_after(self.random.choice([0, 2]))

    def run(self, steps: int) -> None:
        """Let the two act, and collect the messages."""
        actions = [self.create, self.create, self.bob, self.bob, self.replace, self.amend, self.cancel, self.roll_back]
        for _ in range(steps):
            self.clock.now_ns += self.random.choice([1, 1000, SECOND])
            self.random.choice(actions)()
            if self.random.random() < 0.3:
                self.told += self.exchange.orders(KEY)
            self.collect()
        self.clock.pass_(self.random.choice([0, 5]))
        self.exchange.expire_orders()
        self.collect()

    def collect(self) -> None:
        for message in self.order_feed.take():
            self.told += codec.decode_order_event_frame(message)
        for message in self.trade_feed.take():
            self.told += codec.decode_user_trade_frame(message)

    def create(self) -> None:
        random, now_ns = self.random, self.clock.now_ns
        changes: dict[str, Any] = {"creation_timestamp_ns": now_ns - 5, "reduce_only": random.random() < 0.2}
        kind = random.choice(["GTC", "GTC", "post-only", "GTD", "IOC", "trigger", "market"])
        if kind == "post-only":
            changes["time_in_force"] = {"GTC": {"post_only": True}}
        elif kind == "GTD":
            changes["time_in_force"] = {"GTD": {"post_only": False, "timestamp_ns": now_ns + 2 * SECOND}}
        elif kind == "IOC":
            changes["time_in_force"] = {"IOC": {"fill_or_kill": random.random() < 0.3}}
        elif kind == "trigger":
            above = {"PriceAbove": {"price": random.randint(9, 13)}}
            changes["trigger"] = {"parent_order_id": None, "condition": above}
        elif kind == "market":
            quantity = {"BaseAsset": {"quantity": random.randint(1, 9), "max_sellable_amount": None}}
            changes["details"] = {"Market": {"quantity": quantity, "fill_or_kill": False}}
        changes |= {"book_price_decimals": 1, "book_quantity_decimals": 2}
        side = random.choice(["Buy", "Sell"])
        order_id = f"a-{len(self.sent)}"
        body = limit_order(ALICE, order_id, side, random.randint(9, 13), random.randint(1, 9), **changes)
        order = signed_order(body)
        self.sent.append(order)
        self.request("POST", "/orders/create", body, order)

    def bob(self) -> None:
        side, price = self.random.choice(["Buy", "Sell"]), self.random.choice([None, 9, 10, 11, 12, 13])
        self.exchange.place(BOB, 200, side, price, self.random.randint(1, 6))

    def open_id(self) -> str:
        ids = [order.order_id for order in self.exchange.orders(KEY) if order.is_open]
        return self.random.choice(ids) if ids else "none"

    def replace(self) -> None:
        order_id, now_ns = self.open_id(), self.clock.now_ns
        price, quantity = self.random.randint(9, 13), self.random.randint(1, 9)
        body = replacement(ALICE, order_id, price, quantity, now_ns - self.random.choice([1, 500]), decimals=(1, 2))
        self.request("PATCH", "/orders/replace", body, None)

    def amend(self) -> None:
        order_id, now_ns = self.open_id(), self.clock.now_ns
        changes = [e.time_ns for e in self.exchange.effects_of(ALICE, order_id) if e.kind in ("replace", "amend")]
        expected = max(changes, default=None)
        body = amendment(ALICE, order_id, self.random.randint(1, 9), expected, timestamp_ns=now_ns - 1, decimals=2)
        self.request("PATCH", "/orders/amend", body, None)

    def cancel(self) -> None:
        self.request("DELETE", "/orders/cancel", cancellation(ALICE, self.open_id()), None)

    def roll_back(self) -> None:
        trades = [trade for trade in self.exchange.trades() if trade.status != "Rollbacked"]
        if trades:
            self.exchange.change_trade(self.random.choice(trades), "Rollbacked")

    def request(self, method: str, path: str, body: dict[str, Any], order: Order | None) -> None:
        status, answer = call(self.exchange, method, path, body, self.headers)
        if order is not None:
            is_accepted = status == 200 and answer["status"] == "Received"
            self.told.append(RequestFact(order, "accepted") if is_accepted else RequestFact(order, "refused", "CODE"))


def signed_order(body: dict[str, Any]) -> Order:
    """The order in a request, as the client has it before it sends it."""
    event: dict[str, Any] = {"Created": {"user_order": body["order"], "signature": [], "book_timestamp_ns": 0}}
    (created,) = codec.decode_order_event_frame(json.dumps(event))
    assert isinstance(created, OrderCreatedEvent)
    return created.user_order


def compare(tracked: TrackedOrder, recorded: RecordedOrder | None, exchange: Exchange) -> None:
    """Check an order against the exchange's record of it."""
    view = tracked.view
    assert view.ambiguities == ()
    assert tracked.others == ()
    if recorded is None:
        assert (view.state, view.was_seen) == (OrderState.REJECTED, False)
        return
    trades = [trade for trade in exchange.user_trades(ALICE) if trade.order_id == recorded.order_id]
    confirmed = sum((trade.quantity for trade in trades if trade.status == "Confirmed"), Decimal(0))
    if recorded.is_open:
        expected = OrderState.WAITING if recorded.trigger is not None else OrderState.OPEN
    else:
        ends = [e.reason for e in exchange.effects_of(ALICE, recorded.order_id) if e.kind == recorded.done]
        expected = STATES[ends[-1] or ""]
    assert view.state is expected
    assert view.was_seen
    assert view.filled_quantity == Decimal(recorded.filled).scaleb(-2)
    assert view.confirmed_quantity == confirmed
    assert (set(view.trades), view.trades_complete) == (set(trades), True)
    assert view.is_final == (not recorded.is_open and all(trade.status != "Pending" for trade in trades))
    if isinstance(recorded.details, LimitOrderDetails):
        assert view.price == Decimal(recorded.details.limit_price).scaleb(-1)
        assert view.quantity == Decimal(recorded.details.quantity).scaleb(-2)
        assert view.remaining_quantity == Decimal(recorded.remaining).scaleb(-2)
    else:
        assert view.price is None


def check(seed: int) -> set[OrderState]:
    market = Market(seed)
    market.run(40)
    recorded = replay_effects(market.exchange.effects)
    states = set[OrderState]()
    assert {order.base_asset for order in market.sent} <= {ASSET}
    for times in range(3):
        tracker = OrderTracker()
        tracked = [tracker.track(KEY, order) for order in market.sent]
        told = list(market.told)
        if times:  # first as it came, then in other orders and with repetitions
            told += market.random.choices(told, k=len(told) // 2) if told else []
            market.random.shuffle(told)
        for item in told:
            assert tracker.apply(KEY, item).was_tracked
        for order in tracked:
            compare(order, recorded.get((KEY, order.order.order_id)), market.exchange)
            states.add(order.state)
    return states


def check_seeds(count: int) -> set[OrderState]:
    return {state for seed in range(count) for state in check(seed)}


def test_messages_in_any_order_end_in_what_the_record_says() -> None:
    assert check_seeds(120) == set(OrderState) - {OrderState.SENT, OrderState.ACCEPTED}


def test_a_planted_bug_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def state_of_reason(_: str) -> OrderState:
        return OrderState.CANCELED

    monkeypatch.setattr("tplus_trio.orders.order_view.state_of_reason", state_of_reason)
    with pytest.raises(AssertionError):
        check_seeds(10)

"""The registry of tracked orders: which orders a message is about, and which are forgotten."""

from __future__ import annotations

import attrs
import pytest

from tests.helpers import order_messages as say
from tests.helpers.model_values import KEY
from tplus_trio.models import AssetIdentifier, CancelOrder, Gap, Order, OrdersSnapshot, UnknownOrderEvent, UserOrders
from tplus_trio.orders.order_facts import RequestFact
from tplus_trio.orders.order_state import OrderState
from tplus_trio.orders.tracker import OrderTracker

SENT = say.order()
OTHER_ASSET = AssetIdentifier(201)


def named(order_id: str) -> Order:
    return attrs.evolve(SENT, order_id=order_id)


def test_a_message_reaches_the_orders_of_its_owner_market_and_id() -> None:
    tracker = OrderTracker()
    order = tracker.track(KEY, SENT)
    elsewhere = tracker.track(KEY, attrs.evolve(SENT, base_asset=OTHER_ASSET))
    foreign = tracker.track("cd" * 32, SENT)
    assert tracker.track(KEY, SENT) is order
    assert tracker.apply(KEY, say.created(SENT)).changed == (order,)
    assert tracker.apply(KEY, say.trade(1, 2), seen_at_ns=5).changed == (order,)
    assert tracker.apply(KEY, say.create_failed()).changed == (order, elsewhere)
    assert [one.state for one in (order, elsewhere, foreign)] == [
        OrderState.OPEN,
        OrderState.REJECTED,
        OrderState.SENT,
    ]
    assert (order.seen_at_ns, foreign.seen_at_ns) == (5, None)
    assert tracker.get(KEY, say.ASSET, say.ORDER_ID) == (order,)
    assert tracker.open_orders(KEY) == (order,)
    assert len(tracker) == 3


def test_what_is_not_tracked_is_ignored() -> None:
    tracker = OrderTracker()
    assert not tracker.apply(KEY, say.created(SENT)).was_tracked
    tracker.track(KEY, SENT)
    for item in (
        say.created(named("another")),
        attrs.evolve(say.trade(1, 1), order_id="another"),
        attrs.evolve(say.removed(), asset_id=OTHER_ASSET),
        UnknownOrderEvent("New", {"order_id": say.ORDER_ID}),
        OrdersSnapshot((say.row(named("another")),), 5),
    ):
        result = tracker.apply(KEY, item)
        assert (result.changed, result.was_tracked) == ((), False)
    known = tracker.apply(KEY, say.created(SENT))
    again = tracker.apply(KEY, say.created(SENT))
    assert (len(known.changed), again.changed, again.was_tracked) == (1, (), True)


@pytest.mark.parametrize("snapshot", [OrdersSnapshot, UserOrders])
def test_snapshots_and_listings_are_taken_row_by_row(snapshot: type) -> None:
    tracker = OrderTracker()
    orders = [tracker.track(KEY, named(name)) for name in ("a", "b", "c")]
    rows = tuple(say.row(named(name), status) for name, status in (("a", "Open"), ("b", "Cancelled"), ("x", "Open")))
    item = OrdersSnapshot(rows, 5) if snapshot is OrdersSnapshot else UserOrders(rows, {})
    assert tracker.apply(KEY, item).changed == (orders[0], orders[1])
    states = [order.state for order in orders]
    assert states == [OrderState.OPEN, OrderState.CANCELED, OrderState.SENT]


def test_a_gap_concerns_every_order_of_its_owner() -> None:
    tracker = OrderTracker()
    orders = [tracker.track(KEY, named(name)) for name in ("a", "b")]
    tracker.track("cd" * 32, SENT)
    assert tracker.apply(KEY, Gap(100, 200, "lost")).changed == tuple(orders)
    assert not orders[0].trades_complete


def test_statements_about_requests_reach_their_order() -> None:
    tracker = OrderTracker()
    order = tracker.track(KEY, SENT)
    change, cancel = say.replacement(990, 5, 70), CancelOrder(say.ORDER_ID, say.ASSET, KEY)
    for request in (SENT, change, say.amendment(5, 80), cancel):
        assert tracker.apply(KEY, RequestFact(request, "accepted")).changed == (order,)
    assert order.state is OrderState.ACCEPTED
    assert set(order.facts.changes) == {(70, "ReplaceOrderDetails"), (80, "AmendOrder")}
    assert order.facts.cancels == {("accepted", None)}


def test_a_second_order_under_an_id_is_another_order() -> None:
    tracker = OrderTracker()
    order, burn = tracker.track(KEY, SENT), tracker.track(KEY, say.burn())
    assert tracker.get(KEY, say.ASSET, say.ORDER_ID) == (order, burn)
    tracker.apply(KEY, say.removed(at_ns=300))
    assert [order.state, burn.state] == [OrderState.SENT, OrderState.SENT]
    tracker.apply(KEY, say.created(say.burn(), 300))
    assert [order.state, burn.state] == [OrderState.SENT, OrderState.CANCELED]
    assert (order.ambiguous, burn.ambiguous) == (True, False)


def test_orders_that_are_done_are_forgotten_oldest_first() -> None:
    tracker = OrderTracker(most_done=2)
    orders = {name: tracker.track(KEY, named(name)) for name in "abcde"}
    for name in "bacd":
        tracker.apply(KEY, attrs.evolve(say.removed(), order_id=name))
    kept = [name for name in orders if tracker.get(KEY, say.ASSET, name)]
    assert kept == ["c", "d", "e"]
    assert len(tracker) == 3


def test_pinned_orders_are_kept() -> None:
    tracker = OrderTracker(most_done=1)
    orders = {name: tracker.track(KEY, named(name)) for name in "abc"}
    tracker.pin(orders["a"])
    for name in "abc":
        tracker.apply(KEY, attrs.evolve(say.removed(), order_id=name))
    assert [name for name in orders if tracker.get(KEY, say.ASSET, name)] == ["a", "c"]
    tracker.unpin(orders["a"])
    assert [name for name in orders if tracker.get(KEY, say.ASSET, name)] == ["a"]
    with pytest.raises(RuntimeError, match="more often"):
        tracker.unpin(orders["a"])


def test_an_order_that_was_denied_and_shows_up_is_not_forgotten() -> None:
    tracker = OrderTracker(most_done=1)
    order = tracker.track(KEY, SENT)
    tracker.apply(KEY, RequestFact(SENT, "no effect"))
    tracker.apply(KEY, say.trade(1, 1))
    for name in "ab":
        tracker.track(KEY, named(name))
        tracker.apply(KEY, attrs.evolve(say.removed(), order_id=name))
    assert tracker.get(KEY, say.ASSET, say.ORDER_ID) == (order,)
    assert order.state is OrderState.OPEN


def test_an_order_that_another_one_follows_is_done() -> None:
    tracker = OrderTracker(most_done=0)
    tracker.track(KEY, SENT)
    tracker.apply(KEY, say.created(SENT, 100))
    tracker.apply(KEY, say.created(say.burn(), 300))
    assert len(tracker) == 0

"""Settlement: each match is pending at first, and is then confirmed or rolled back."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.exchange_users import ALICE
from tests.helpers.raw_client import Clock, call, messages, sign_in
from tests.helpers.signed_bodies import limit_order
from tplus_trio import OrderBookClient
from tplus_trio.models import AssetIdentifier, OrderResponse
from tplus_trio.testing import Exchange, MemoryNetwork
from tplus_trio.testing.exchange.effects import replay_effects

MARKET = AssetIdentifier(200)
BOB = "b" * 64


def match(exchange: Exchange, quantity: int = 5, *, side: str = "Buy", price: int = 1000, order_id: str = "a") -> None:
    """Fill an order of Alice, which comes first, with one of Bob."""
    exchange.place(ALICE, 200, side, price, quantity, order_id=order_id)
    exchange.place(BOB, 200, "Sell" if side == "Buy" else "Buy", price, quantity)


def order_of(exchange: Exchange, order_id: str) -> OrderResponse:
    return next(order for order in exchange.orders(ALICE) if order.order_id == order_id)


def fills_of(exchange: Exchange, order_id: str = "a") -> tuple[int, int]:
    """The pending and the confirmed quantity of an order of Alice."""
    order = order_of(exchange, order_id)
    assert order.pending_filled_amount == order.pending_filled_quantity * 1000
    assert order.confirmed_filled_amount == order.confirmed_filled_quantity * 1000
    return int(order.pending_filled_quantity), int(order.confirmed_filled_quantity)


def statuses(trades: Any) -> list[str]:
    return [trade["status"] if isinstance(trade, dict) else trade.status for trade in trades]


def test_a_trade_is_confirmed_in_the_step_of_its_match(exchange: Exchange) -> None:
    headers, key = sign_in(exchange, ALICE), ALICE.public_key
    events = exchange.subscribe(f"/trades/user/events/{key}", headers)
    final = exchange.subscribe(f"/trades/user/{key}", headers)
    public, quiet_ns = exchange.subscribe("/trades"), exchange.next_expiry_ns
    match(exchange)
    assert statuses(messages(events.take())) == ["Pending", "Confirmed"]
    assert statuses(messages(final.take())) == ["Confirmed"]
    assert statuses(messages(public.take())) == ["Confirmed"]
    assert fills_of(exchange) == (0, 5)
    assert exchange.next_expiry_ns == quiet_ns


def test_a_trade_is_pending_until_its_delay_has_passed(exchange: Exchange, clock: Clock) -> None:
    headers, key = sign_in(exchange, ALICE), ALICE.public_key
    events = exchange.subscribe(f"/trades/user/events/{key}", headers)
    final = exchange.subscribe(f"/trades/user/{key}", headers)
    public, orders = exchange.subscribe("/trades"), exchange.subscribe("/orders", headers)
    exchange.faults.confirm_after(2)
    quiet_ns = exchange.next_expiry_ns  # the end of the session
    match(exchange)
    removed = messages(orders.take())[-1]["Removed"]
    assert (removed["filled_quantity"], removed["confirmed_quantity"], removed["confirmed_amount"]) == (5, 0, 0)
    for _ in range(2):
        assert fills_of(exchange) == (5, 0)
        assert call(exchange, "GET", "/trades")[1] == call(exchange, "GET", "/trades/200")[1] == []
        clock.pass_(1.999)
        exchange.expire_orders()
        clock.pass_(-1.999)
    assert exchange.next_expiry_ns == clock.now_ns + 2_000_000_000
    assert (statuses(messages(events.take())), final.take(), public.take()) == (["Pending"], [], [])
    matched_ns = clock.now_ns
    clock.pass_(2)
    exchange.expire_orders()
    assert fills_of(exchange) == (0, 5)
    assert statuses(messages(events.take())) == statuses(messages(final.take())) == ["Confirmed"]
    (trade,) = messages(public.take())
    assert (trade["status"], trade["timestamp_ns"]) == ("Confirmed", matched_ns)
    assert call(exchange, "GET", "/trades")[1] == call(exchange, "GET", "/trades/200")[1] == [trade]
    assert exchange.next_expiry_ns == quiet_ns


def test_a_request_settles_what_is_due(exchange: Exchange, clock: Clock) -> None:
    exchange.faults.confirm_after(2)
    match(exchange)
    clock.pass_(2)
    assert len(call(exchange, "GET", "/trades")[1]) == 1


def test_a_trade_is_rolled_back_with_its_reason(exchange: Exchange, clock: Clock) -> None:
    headers, key = sign_in(exchange, ALICE), ALICE.public_key
    events = exchange.subscribe(f"/trades/user/events/{key}", headers)
    positions = exchange.subscribe(f"/positions/ws/{key}", headers)
    final, public = exchange.subscribe(f"/trades/user/{key}", headers), exchange.subscribe("/trades")
    exchange.faults.confirm_after(1)
    exchange.faults.roll_back(1, reason="Insolvent maker")
    match(exchange)
    clock.pass_(1)
    exchange.expire_orders()
    told = messages(events.take())
    assert [(one["status"], one["rollback_reason"]) for one in told] == [
        ("Pending", None),
        ("Rollbacked", "Insolvent maker"),
    ]
    assert (final.take(), public.take()) == ([], [])
    assert call(exchange, "GET", "/trades")[1] == []
    assert statuses(exchange.trades()) == statuses(exchange.user_trades(BOB)) == ["Rollbacked"]
    assert fills_of(exchange) == (0, 0)
    assert order_of(exchange, "a").status == "Completed"
    assert exchange.book(200).bids == exchange.book(200).asks == ()
    assert [len(update["positions"]) for update in messages(positions.take())] == [0, 1, 0]
    match(exchange, order_id="b")
    clock.pass_(1)
    exchange.expire_orders()
    assert fills_of(exchange, "b") == (0, 5)


def test_a_trade_is_rolled_back_in_the_step_of_its_match(exchange: Exchange) -> None:
    headers, key = sign_in(exchange, ALICE), ALICE.public_key
    events = exchange.subscribe(f"/trades/user/events/{key}", headers)
    orders = exchange.subscribe("/orders", headers)
    exchange.faults.roll_back()
    match(exchange)
    match(exchange, order_id="b")
    assert statuses(messages(events.take())) == ["Pending", "Rollbacked", "Pending", "Confirmed"]
    removed = [event["Removed"]["confirmed_quantity"] for event in messages(orders.take()) if "Removed" in event]
    assert removed == [0, 5]


def test_a_certain_trade_is_rolled_back(exchange: Exchange, clock: Clock) -> None:
    exchange.faults.confirm_after(1)
    for order_id in "abc":
        match(exchange, order_id=order_id)
    exchange.faults.roll_back(trade_id=exchange.trades()[1].trade_id)
    clock.pass_(1)
    exchange.expire_orders()
    assert statuses(exchange.user_trades(ALICE)) == ["Confirmed", "Rollbacked", "Confirmed"]
    with pytest.raises(ValueError, match="not pending"):
        exchange.faults.roll_back(trade_id=exchange.trades()[1].trade_id)


def test_an_open_order_of_which_everything_is_rolled_back_is_open_not_partial(exchange: Exchange) -> None:
    exchange.place(ALICE, 200, "Buy", 1000, 9, order_id="a")
    exchange.faults.roll_back()
    exchange.place(BOB, 200, "Sell", 1000, 5)
    assert order_of(exchange, "a").status == "Open"
    assert [level.quantity for level in exchange.book(200).bids] == [Decimal("0.004")]
    exchange.place(BOB, 200, "Sell", 1000, 1)
    assert order_of(exchange, "a").status == "Partial"
    assert fills_of(exchange) == (0, 1)


def test_a_shorter_delay_settles_later_matches_first(exchange: Exchange, clock: Clock) -> None:
    exchange.faults.confirm_after(5)
    match(exchange, order_id="a")
    exchange.faults.confirm_after(1)
    match(exchange, order_id="b")
    exchange.faults.clear("confirm_after")
    match(exchange, order_id="c")
    seen: list[list[str]] = []
    for _ in range(6):
        seen.append([status[0] for status in statuses(exchange.user_trades(ALICE))])
        clock.pass_(1)
        exchange.expire_orders()
    assert seen == [["P", "P", "C"], *[["P", "C", "C"]] * 4, ["C", "C", "C"]]


def test_a_trade_that_a_test_changes_is_not_settled_again(exchange: Exchange, clock: Clock) -> None:
    public = exchange.subscribe("/trades")
    exchange.faults.confirm_after(1)
    match(exchange, order_id="a")
    match(exchange, order_id="b")
    first, second = exchange.trades()
    exchange.change_trade(first, "Rollbacked")
    confirmed = exchange.change_trade(second, "Confirmed")
    assert statuses(messages(public.take())) == ["Confirmed"]
    clock.pass_(2)
    exchange.expire_orders()
    assert (public.take(), exchange.next_expiry_ns) == ([], None)
    assert (fills_of(exchange, "a"), fills_of(exchange, "b")) == ((0, 0), (0, 5))
    exchange.change_trade(confirmed, "Rollbacked")  # what was shown as confirmed is taken back where it was shown
    assert statuses(messages(public.take())) == statuses(call(exchange, "GET", "/trades")[1]) == ["Rollbacked"]


def test_old_trades_that_are_sent_again_are_final(exchange: Exchange) -> None:
    match(exchange, order_id="a")
    exchange.faults.confirm_after(1)
    match(exchange, order_id="b")
    exchange.faults.replay_trades(1, 5)
    assert len(exchange.subscribe("/trades").take()) == 1


def test_faults_that_cannot_happen_are_refused(exchange: Exchange) -> None:
    for argument in (-1, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="seconds"):
            exchange.faults.confirm_after(argument)
    with pytest.raises(ValueError, match="n is"):
        exchange.faults.roll_back(-1)
    with pytest.raises(ValueError, match="position"):
        exchange.faults.liquidate(ALICE, 200)
    with pytest.raises(ValueError, match="no market"):
        exchange.faults.liquidate(ALICE, 7)


def test_a_withdrawn_rollback_does_not_happen(exchange: Exchange, clock: Clock) -> None:
    exchange.faults.confirm_after(1)
    match(exchange)
    exchange.faults.roll_back()
    exchange.faults.roll_back(trade_id=1)
    exchange.faults.clear()
    match(exchange, order_id="b")
    clock.pass_(1)
    exchange.expire_orders()
    assert fills_of(exchange, "a") == fills_of(exchange, "b") == (0, 5)


async def test_a_network_settles_trades_at_their_time(autojump_clock: MockClock) -> None:
    exchange = Exchange()
    exchange.add_market(200)
    exchange.faults.confirm_after(3)
    async with (
        MemoryNetwork(exchange) as network,
        OrderBookClient(network.url, connector=network, default_user=ALICE) as client,
        client.stream_user_trade_events() as events,
    ):
        await events.wait_live()
        start = trio.current_time()
        match(exchange)
        seen = [(getattr(await events.receive(), "status", None), round(trio.current_time() - start)) for _ in "12"]
    assert seen == [("Pending", 0), ("Confirmed", 3)]


def test_a_liquidation_closes_the_position(exchange: Exchange) -> None:
    headers, key = sign_in(exchange, ALICE), ALICE.public_key
    match(exchange, 7)
    exchange.place(ALICE, 200, "Buy", 900, 3, order_id="resting")
    feeds = {path: exchange.subscribe(path, headers) for path in ("/orders", f"/trades/user/events/{key}")}
    positions = exchange.subscribe(f"/positions/ws/{key}", headers)
    exchange.faults.liquidate(ALICE, 200)
    created, removed = messages(feeds["/orders"].take())
    order_id = created["Created"]["user_order"]["order_id"]
    assert created["Created"]["is_liquidation"]
    assert (removed["Removed"]["order_id"], removed["Removed"]["reason"]) == (order_id, "Completed")
    trades = messages(feeds[f"/trades/user/events/{key}"].take())
    assert statuses(trades) == ["Pending", "Confirmed"]
    assert {(one["order_id"], one["is_liquidation"], one["is_buyer"], one["price"]) for one in trades} == {
        (order_id, True, False, "10.00")
    }
    assert [len(update["positions"]) for update in messages(positions.take())] == [1, 0]
    order = order_of(exchange, order_id)
    assert (order.is_liquidation, order.status) == (True, "Completed")
    assert order.confirmed_filled_quantity == 7
    assert exchange.is_open(ALICE, "resting")
    (taken,) = exchange.user_trades(exchange.liquidator)
    assert (taken.is_buyer, taken.quantity, taken.is_liquidation) == (True, Decimal("0.007"), False)


def test_a_short_position_is_liquidated_in_its_own_sub_account(exchange: Exchange) -> None:
    match(exchange, 7, side="Sell")
    exchange.faults.liquidate(ALICE.public_key, 200, sub_account=1)
    assert [trade.is_buyer for trade in exchange.user_trades(ALICE)] == [False, True]
    with pytest.raises(ValueError, match="position"):
        exchange.faults.liquidate(ALICE, 200, sub_account=1)


def reduce_only(exchange: Exchange, order_id: str, quantity: int) -> None:
    order = limit_order(ALICE, order_id, "Sell", 1200, quantity, reduce_only=True)
    assert call(exchange, "POST", "/orders/create", order, sign_in(exchange, ALICE))[1]["status"] == "Received"


def test_a_reduce_only_order_shrinks_with_a_position_that_is_rolled_back(exchange: Exchange, clock: Clock) -> None:
    match(exchange, 1, order_id="kept")
    exchange.faults.confirm_after(1)
    exchange.faults.roll_back()
    match(exchange, 4, order_id="taken back")
    reduce_only(exchange, "close", 5)
    assert exchange.resting(ALICE)[0].remaining == 5
    clock.pass_(1)
    assert exchange.resting(ALICE)[0].remaining == 1
    exchange.change_trade(exchange.trades()[0], "Rollbacked")
    assert exchange.resting(ALICE) == ()


def test_a_liquidation_removes_reduce_only_orders(exchange: Exchange) -> None:
    match(exchange, 5)
    reduce_only(exchange, "close", 5)
    exchange.faults.liquidate(ALICE, 200)
    assert not exchange.is_open(ALICE, "close")


def test_the_record_of_effects_has_liquidations_and_rollbacks(exchange: Exchange) -> None:
    exchange.faults.roll_back()
    match(exchange, 5)
    match(exchange, 7, order_id="b")
    exchange.faults.liquidate(ALICE, 200)
    orders = replay_effects(exchange.effects)
    forced = exchange.orders(ALICE)[0].order_id
    found = {order_id: orders[ALICE.public_key, order_id] for order_id in ("a", "b", forced)}
    assert {order_id: (one.matched, one.filled, one.is_open) for order_id, one in found.items()} == {
        "a": (5, 0, False),
        "b": (7, 7, False),
        forced: (7, 7, False),
    }


def test_what_an_order_traded_follows_a_change_of_decimals(exchange: Exchange, clock: Clock) -> None:
    exchange.faults.confirm_after(1)
    exchange.place(ALICE, 200, "Buy", 1000, 9, order_id="a")
    exchange.place(BOB, 200, "Sell", 1000, 5)
    exchange.change_decimals(200, 3, 4)
    assert order_of(exchange, "a").pending_filled_quantity == 50
    assert order_of(exchange, "a").pending_filled_amount == 50 * 10_000
    clock.pass_(1)
    assert order_of(exchange, "a").confirmed_filled_quantity == 50
    assert order_of(exchange, "a").status == "Partial"


def test_a_listing_of_the_past_has_the_fills_of_the_past(exchange: Exchange, clock: Clock) -> None:
    headers = sign_in(exchange, ALICE)
    exchange.faults.confirm_after(10)
    match(exchange)
    clock.pass_(15)
    exchange.expire_orders()
    clock.pass_(5)
    for behind, fills in ((1, ("0", "5")), (10, ("5", "0"))):
        exchange.faults.lag_listings(behind)
        (order,) = call(exchange, "GET", f"/orders/user/{ALICE.public_key}", headers=headers)[1]["orders"]
        assert (order["pending_filled_quantity"], order["confirmed_filled_quantity"]) == fills

"""The record of effects: complete, in order, and enough to know every order without asking the exchange."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.exchange_users import ALICE, BOB
from tests.helpers.raw_client import Clock, call, sign_in
from tests.helpers.signed_bodies import amendment, cancellation, limit_order, replacement
from tplus_trio.models import GTD, IOC, LimitOrderDetails, Side
from tplus_trio.testing import Effect, Exchange, RecordedOrder, replay_effects
from tplus_trio.users import User

KEY = ALICE.public_key


def brief(effect: Effect) -> tuple[Any, ...]:
    return effect.kind, effect.order_id, effect.operation, effect.request_number, effect.way


def test_each_request_and_what_it_did(exchange: Exchange, alice: dict[str, str], clock: Clock) -> None:
    call(exchange, "POST", "/orders/create", limit_order(ALICE, "a", "Buy", 1000, 5), alice)
    clock.pass_(1)
    call(exchange, "PATCH", "/orders/replace", replacement(ALICE, "a", 1100, 6), alice)
    call(exchange, "PATCH", "/orders/amend", amendment(ALICE, "a", 4, 7), alice)
    exchange.place(BOB, 200, "Sell", 1100, 3, order_id="b")
    call(exchange, "DELETE", "/orders/cancel", cancellation(ALICE, "a"), alice)
    assert [brief(effect) for effect in exchange.effects] == [
        ("create", "a", "create", 1, "rest"),
        ("replace", "a", "replace", 2, "rest"),
        ("amend", "a", "amend", 3, "rest"),
        ("create", "b", "create", None, "exchange"),
        ("fill", "a", None, None, "exchange"),
        ("fill", "b", None, None, "exchange"),
        ("remove", "b", None, None, "exchange"),
        ("cancel", "a", "cancel", 4, "rest"),
    ]
    created, replaced, amended, filled, canceled = exchange.effects_of(ALICE, "a")
    assert (created.details, created.side) == (LimitOrderDetails(1000, 5), Side.BUY)
    assert (replaced.details, amended.details) == (LimitOrderDetails(1100, 6), LimitOrderDetails(1100, 4))
    assert (filled.quantity, filled.price, filled.trade_id) == (3, 1100, 1)
    assert canceled.reason == "Canceled"
    assert [effect.number for effect in exchange.effects] == list(range(8))
    assert replaced.time_ns - created.time_ns == 1_000_000_000
    assert exchange.resting(ALICE) == ()


def test_the_control_channel_is_a_way_of_its_own(exchange: Exchange, alice: dict[str, str]) -> None:
    channel = exchange.subscribe("/control", alice)
    assert channel.on_message is not None
    bodies = [limit_order(ALICE, f"a-{n}", "Buy", 1000, 5) for n in range(2)]
    channel.on_message(text({"request_id": "1", "data": {"BatchCreateRequest": {"orders": bodies}}}))
    channel.on_message(text({"request_id": "2", "data": {"CancelOrderRequest": cancellation(ALICE, "a-0")}}))
    assert [brief(effect) for effect in exchange.effects] == [
        ("create", "a-0", "create", 1, "control"),
        ("create", "a-1", "create", 1, "control"),
        ("cancel", "a-0", "cancel", 2, "control"),
    ]


def text(message: dict[str, Any]) -> str:
    return json.dumps(message)


def test_refusals_of_every_stage(exchange: Exchange, alice: dict[str, str]) -> None:
    forged = limit_order(ALICE, "a", "Buy", 1000, 5)
    forged["signature"] = [0] * 64
    call(exchange, "POST", "/orders/create", forged, alice)
    call(exchange, "POST", "/orders/create", limit_order(ALICE, "a", "Buy", 1000, 0), alice)
    call(exchange, "DELETE", "/orders/cancel", cancellation(ALICE, "a"), alice)
    call(exchange, "POST", "/orders/create", limit_order(ALICE, "a", "Buy", 1000, 5), alice)
    call(exchange, "PATCH", "/orders/amend", amendment(ALICE, "a", 9, None), alice)
    call(exchange, "PATCH", "/orders/replace", replacement(ALICE, "a", 0, 5), alice)
    with pytest.raises(ValueError, match="used before"):
        exchange.place(ALICE, 200, "Buy", 1000, 5, order_id="a")
    assert [(e.operation, e.reason) for e in exchange.effects_of(ALICE, "a") if e.kind == "refuse"] == [
        ("create", "INVALID_SIGNATURE"),
        ("create", "INVALID_ORDER_QUANTITY"),
        ("cancel", "ORDER_NOT_FOUND"),
        ("amend", "INVALID_ORDER_QUANTITY"),
        ("replace", "INVALID_ORDER_PRICE"),
        ("create", "DUPLICATE_ORDER"),
    ]
    (order,) = exchange.resting(ALICE)
    assert (order.details, order.remaining) == (LimitOrderDetails(1000, 5), 5)


@pytest.mark.parametrize("body", [{}, {"order": None}, {"order": {"order_id": 5, "base_asset": {"Index": []}}}])
def test_a_refusal_of_nonsense_is_recorded(exchange: Exchange, alice: dict[str, str], body: dict[str, Any]) -> None:
    assert call(exchange, "POST", "/orders/create", body, alice)[0] == 400
    (effect,) = exchange.effects
    assert (effect.kind, effect.user, effect.order_id, effect.asset) == ("refuse", KEY, "", None)


def test_a_rollback_is_recorded_once(exchange: Exchange) -> None:
    exchange.place(ALICE, 200, "Buy", 1000, 5, order_id="a")
    exchange.place(BOB, 200, "Sell", 1000, 3, order_id="b")
    trade = exchange.change_trade(exchange.trades()[0], "Rollbacked")
    exchange.change_trade(trade, "Rollbacked")
    for user, order_id in ((ALICE, "a"), (BOB, "b")):
        (rollback,) = [e for e in exchange.effects_of(user, order_id) if e.kind == "rollback"]
        assert (rollback.quantity, rollback.price, rollback.trade_id) == (3, 1000, trade.trade_id)
    (order,) = exchange.resting(ALICE)
    assert (order.matched, order.filled, order.remaining) == (3, 0, 2)


def test_a_request_that_never_reaches_the_exchange_leaves_no_effect(exchange: Exchange, alice: dict[str, str]) -> None:
    exchange.faults.fail_requests("/orders", 503)
    assert call(exchange, "POST", "/orders/create", limit_order(ALICE, "a", "Buy", 1000, 5), alice)[0] == 503
    call(exchange, "POST", "/orders/create", limit_order(ALICE, "a", "Buy", 1000, 5), alice)
    assert [effect.kind for effect in exchange.effects] == ["create"]


USERS = (ALICE, BOB)
IDS = tuple(f"o-{n}" for n in range(6))
places = st.tuples(
    st.just("place"),
    st.sampled_from(USERS),
    st.sampled_from(IDS),
    st.sampled_from(["Buy", "Sell"]),
    st.one_of(st.none(), st.integers(9, 12)),
    st.integers(0, 6),
    st.sampled_from([None, "GTD", "IOC", "FOK"]),
)
triggers = st.tuples(
    st.just("trigger"),
    st.sampled_from(USERS),
    st.sampled_from(IDS),
    st.sampled_from(["Buy", "Sell"]),
    st.integers(9, 12),
    st.integers(1, 6),
    st.sampled_from([("PriceAbove", 10), ("PriceAbove", 12), ("PriceBelow", 9), ("PriceBelow", 11)]),
)
#: The order is the one at this place among those that are open.
cancels = st.tuples(st.just("cancel"), st.sampled_from(USERS), st.integers(0, 3))
changes = st.tuples(
    st.sampled_from(["replace", "amend"]),
    st.sampled_from(USERS),
    st.integers(0, 3),
    st.integers(0, 13),
    st.integers(0, 7),
)
clocks = st.tuples(st.just("wait"), st.integers(1, 3))
rollbacks = st.tuples(st.just("roll back"), st.integers(0, 5))
programs = st.lists(
    st.one_of(places, places, places, triggers, cancels, changes, clocks, rollbacks), min_size=20, max_size=50
)


@settings(max_examples=200, deadline=None)
@given(programs)
def test_the_record_alone_gives_book_fills_and_what_rests(program: list[tuple[Any, ...]]) -> None:
    clock = Clock()
    exchange = Exchange(now_ns=clock)
    exchange.add_market(200, 0, 0)
    headers = {user: sign_in(exchange, user) for user in USERS}
    for what, *arguments in program:
        act(exchange, clock, headers, what, arguments)
    exchange.expire_orders()
    compare(exchange, replay_effects(exchange.effects))


def act(exchange: Exchange, clock: Clock, headers: dict[Any, Any], what: str, arguments: list[Any]) -> None:
    clock.now_ns += 1  # a change's revision is its time
    revision = clock.now_ns
    match what, *arguments:
        case "place", user, order_id, side, price, quantity, in_force:
            time_in_force = {
                None: None,
                "GTD": GTD(False, clock.now_ns + 2_000_000_000),
                "IOC": IOC(False),
                "FOK": IOC(True),
            }[in_force]
            with contextlib.suppress(ValueError):  # the id was used before
                exchange.place(user, 200, side, price, quantity, order_id=order_id, time_in_force=time_in_force)
        case "trigger", user, order_id, side, price, quantity, (kind, level):
            trigger = {"parent_order_id": None, "condition": {kind: {"price": level}}}
            terms = {"GTD": {"post_only": False, "timestamp_ns": clock.now_ns + 3_000_000_000}}
            body = limit_order(
                user,
                order_id,
                side,
                price,
                quantity,
                trigger=trigger,
                time_in_force=terms,
                book_price_decimals=0,
                book_quantity_decimals=0,
            )
            call(exchange, "POST", "/orders/create", body, headers[user])
        case "cancel", user, place:
            order_id, _ = open_order(exchange, user, place)
            call(exchange, "DELETE", "/orders/cancel", cancellation(user, order_id), headers[user])
        case "replace", user, place, price, quantity:
            order_id, _ = open_order(exchange, user, place)
            body = replacement(user, order_id, price, quantity, revision, decimals=(0, 0))
            call(exchange, "PATCH", "/orders/replace", body, headers[user])
        case "amend", user, place, _, quantity:
            order_id, expected = open_order(exchange, user, place)
            body = amendment(user, order_id, quantity, expected, timestamp_ns=revision, decimals=0)
            call(exchange, "PATCH", "/orders/amend", body, headers[user])
        case "wait", seconds:
            clock.pass_(seconds)
        case "roll back", index:
            trades = exchange.trades()
            if index < len(trades):
                exchange.change_trade(trades[index], "Rollbacked")
        case _:
            raise AssertionError(what)


def open_order(exchange: Exchange, user: User, place: int) -> tuple[str, int | None]:
    """The id of one of a user's open orders, and its revision; if there is none, an id that nobody used."""
    found = [order.order_id for order in exchange.orders(user) if exchange.is_open(user, order.order_id)]
    if not found:
        return "unused", None
    order_id = found[place % len(found)]
    changes = [e.time_ns for e in exchange.effects_of(user, order_id) if e.kind in ("replace", "amend")]
    return order_id, changes[-1] if changes else None


def compare(exchange: Exchange, replayed: dict[tuple[str, str], RecordedOrder]) -> None:
    levels: dict[tuple[Side, int], int] = {}
    for order in replayed.values():
        if order.rests:
            assert isinstance(order.details, LimitOrderDetails)
            price = order.side, order.details.limit_price
            levels[price] = levels.get(price, 0) + order.remaining
    book = exchange.book(200)
    assert levels == {
        **{(Side.BUY, int(price)): int(quantity) for price, quantity in book.bids},
        **{(Side.SELL, int(price)): int(quantity) for price, quantity in book.asks},
    }
    for user in USERS:
        of_user = {order_id: order for (key, order_id), order in replayed.items() if key == user.public_key}
        assert exchange.resting(user) == tuple(order for order in of_user.values() if order.is_open)
        listed = {order.order_id: order for order in exchange.orders(user)}
        assert of_user.keys() == listed.keys()
        traded = exchange.user_trades(user)
        for order_id, order in of_user.items():
            assert order.is_open == exchange.is_open(user, order_id)
            mine = [trade for trade in traded if trade.order_id == order_id]
            assert order.matched == sum(trade.quantity for trade in mine)
            assert order.filled == sum(trade.quantity for trade in mine if trade.status != "Rollbacked")

"""Orders expire by the exchange's clock, whoever looks; orders that wait for a trigger obey the same rules."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.helpers.exchange_users import ALICE, BOB
from tests.helpers.raw_client import SECOND, Clock, call, messages
from tests.helpers.signed_bodies import cancellation, limit_order, replacement
from tplus_trio.models import GTD
from tplus_trio.testing import Exchange

ABOVE = {"parent_order_id": None, "condition": {"PriceAbove": {"price": 1200}}}


def gtd(clock: Clock, seconds: float) -> dict[str, Any]:
    return {"GTD": {"post_only": False, "timestamp_ns": clock.now_ns + int(seconds * SECOND)}}


def create(exchange: Exchange, headers: dict[str, str], *args: Any, **changes: Any) -> tuple[int, Any, Any]:
    """The status, and what was answered: ``Received``, or the code of the refusal."""
    status, answer = call(exchange, "POST", "/orders/create", limit_order(ALICE, *args, **changes), headers)
    if status == 200:
        return status, answer["status"], answer.get("reason")
    return status, "Rejected", answer["error"]["code"]


def trade_at(exchange: Exchange, price: int) -> None:
    exchange.place("c" * 64, 200, "Buy", price, 1)
    exchange.place("d" * 64, 200, "Sell", price, 1)


@pytest.mark.parametrize(
    "look",
    [
        lambda exchange: not exchange.book(200).bids,
        lambda exchange: exchange.orders(ALICE)[0].status == "Closed",
        lambda exchange: not exchange.is_open(ALICE, "a"),
        lambda exchange: exchange.resting(ALICE) == (),
        lambda exchange: exchange.effects[-1].kind == "expire",
        lambda exchange: exchange.effects_of(ALICE, "a")[-1].reason == "Expired",
    ],
)
@pytest.mark.parametrize("waits", [False, True])
def test_the_first_look_finds_it_expired(
    exchange: Exchange, alice: dict[str, str], clock: Clock, look: Callable[[Exchange], bool], waits: bool
) -> None:
    trigger = ABOVE if waits else None
    assert create(exchange, alice, "a", "Buy", 1000, 5, time_in_force=gtd(clock, 10), trigger=trigger)[0] == 200
    assert exchange.next_expiry_ns == clock.now_ns + 10 * SECOND
    clock.now_ns += 10 * SECOND - 1
    assert exchange.is_open(ALICE, "a")
    clock.now_ns += 1
    assert look(exchange)
    assert exchange.next_expiry_ns is None


@pytest.mark.parametrize("waits", [False, True])
def test_a_feed_that_is_only_read_shows_the_expiry(
    exchange: Exchange, alice: dict[str, str], clock: Clock, waits: bool
) -> None:
    trigger = ABOVE if waits else None
    create(exchange, alice, "a", "Buy", 1000, 5, time_in_force=gtd(clock, 10), trigger=trigger)
    feed = exchange.subscribe("/orders", alice)
    clock.pass_(10)
    (event,) = messages(feed.take())
    assert (event["Removed"]["reason"], event["Removed"]["order_id"]) == ("Expired", "a")


def test_nothing_trades_with_an_expired_order(exchange: Exchange, clock: Clock) -> None:
    until = clock.now_ns + 10 * SECOND
    exchange.place(ALICE, 200, "Buy", 1000, 5, order_id="a", time_in_force=GTD(False, until))
    clock.pass_(10)
    exchange.place(BOB, 200, "Sell", 1000, 5)
    assert exchange.trades() == ()
    assert [effect.kind for effect in exchange.effects_of(ALICE, "a")] == ["create", "expire"]


@pytest.mark.parametrize("variant", ["Cancel", "Replace"])
@pytest.mark.parametrize("way", ["rest", "control"])
def test_a_request_after_the_expiry_is_answered_alike(
    exchange: Exchange, alice: dict[str, str], clock: Clock, way: str, variant: str
) -> None:
    create(exchange, alice, "a", "Buy", 1000, 5, time_in_force=gtd(clock, 10))
    feed = exchange.subscribe("/orders", alice)
    channel = exchange.subscribe("/control", alice)
    assert channel.on_message is not None
    clock.pass_(10)
    body = cancellation(ALICE, "a") if variant == "Cancel" else replacement(ALICE, "a", 900, 5)
    if way == "rest":
        method = "DELETE" if variant == "Cancel" else "PATCH"
        _, answer = call(exchange, method, f"/orders/{variant.lower()}", body, alice)
    else:
        channel.on_message(json.dumps({"request_id": "1", "data": {f"{variant}OrderRequest": body}}))
        _, answer = messages(channel.take())
    assert (answer["error"]["code"], answer["error"]["details"]) == ("ORDER_NOT_FOUND", {"order_id": "a"})
    assert [list(event) for event in messages(feed.take())] == [["Removed"]]


@pytest.mark.parametrize(
    ("price", "quantity", "expires_in", "code"),
    [
        (1000, 0, 10, "INVALID_ORDER_QUANTITY"),
        (0, 5, 10, "INVALID_ORDER_PRICE"),
        (1000, 5, 0, "INVALID_ORDER_EXPIRED"),
    ],
)
@pytest.mark.parametrize("trigger", [None, ABOVE])
def test_a_trigger_excuses_nothing(
    exchange: Exchange,
    alice: dict[str, str],
    clock: Clock,
    price: int,
    quantity: int,
    expires_in: float,
    code: str,
    trigger: Any,
) -> None:
    feed = exchange.subscribe("/orders", alice)
    answer = create(exchange, alice, "a", "Buy", price, quantity, time_in_force=gtd(clock, expires_in), trigger=trigger)
    assert answer == (200, "Rejected", code)
    assert exchange.orders(ALICE) == ()
    ((variant, event),) = [next(iter(event.items())) for event in messages(feed.take())]
    assert (variant, event["reason"]) == ("CreateFailed", code)
    assert [(effect.kind, effect.reason) for effect in exchange.effects] == [("refuse", code)]
    assert create(exchange, alice, "a", "Buy", 1000, 5)[:2] == (200, "Received")


def test_a_trigger_that_is_touched_too_late_does_nothing(
    exchange: Exchange, alice: dict[str, str], clock: Clock
) -> None:
    create(exchange, alice, "a", "Buy", 1300, 5, time_in_force=gtd(clock, 10), trigger=ABOVE)
    clock.pass_(10)
    trade_at(exchange, 1200)
    assert [effect.kind for effect in exchange.effects_of(ALICE, "a")] == ["create", "expire"]


def test_a_triggered_order_keeps_its_expiry(exchange: Exchange, alice: dict[str, str], clock: Clock) -> None:
    create(exchange, alice, "a", "Buy", 1100, 5, time_in_force=gtd(clock, 10), trigger=ABOVE)
    trade_at(exchange, 1200)
    assert len(exchange.book(200).bids) == 1
    clock.pass_(10)
    assert [effect.kind for effect in exchange.effects_of(ALICE, "a")] == ["create", "trigger", "expire"]


def test_a_trigger_that_is_refused_when_touched_ends_the_order(exchange: Exchange, alice: dict[str, str]) -> None:
    post_only = {"GTC": {"post_only": True}}
    create(exchange, alice, "a", "Buy", 1300, 5, time_in_force=post_only, trigger=ABOVE)
    exchange.place(BOB, 200, "Sell", 1300, 5)
    trade_at(exchange, 1200)
    assert [effect.kind for effect in exchange.effects_of(ALICE, "a")] == ["create", "remove"]
    assert exchange.effects_of(ALICE, "a")[-1].reason == "Rejected"


def by_base(quantity: int) -> dict[str, Any]:
    return {"BaseAsset": {"quantity": quantity, "max_sellable_amount": None}}


def by_quote(amount: int) -> dict[str, Any]:
    return {"QuoteAsset": {"quantity": amount, "max_sellable_quantity": None}}


@pytest.mark.parametrize(
    ("size", "fill_or_kill", "bought"),
    [(by_base(3), False, 3), (by_quote(2600), False, 2), (by_base(9), False, 5), (by_base(9), True, 0)],
)
def test_a_market_order_with_a_trigger(
    exchange: Exchange, alice: dict[str, str], size: dict[str, Any], fill_or_kill: bool, bought: int
) -> None:
    details = {"Market": {"quantity": size, "fill_or_kill": fill_or_kill}}
    assert create(exchange, alice, "a", "Buy", 1, 1, trigger=ABOVE, details=details)[1] == "Received"
    exchange.place(BOB, 200, "Sell", 1300, 5)
    assert exchange.orders(ALICE)[0].status == "Pending"
    trade_at(exchange, 1200)
    assert sum(trade.quantity for trade in exchange.user_trades(ALICE)) * 1000 == bought
    assert exchange.resting(ALICE) == ()


def test_the_parent_of_a_trigger_is_an_order_of_the_user(exchange: Exchange, alice: dict[str, str]) -> None:
    exchange.place(BOB, 200, "Buy", 900, 5, order_id="bobs")
    exchange.place(ALICE, 200, "Buy", 900, 5, order_id="parent")
    for parent in ("none", "bobs"):
        child = create(exchange, alice, "a", "Sell", 1300, 5, trigger={**ABOVE, "parent_order_id": parent})
        assert child == (400, "Rejected", "INVALID_ORDER_PARENT")
    exchange.cancel(ALICE, "parent")
    assert create(exchange, alice, "a", "Sell", 1300, 5, trigger={**ABOVE, "parent_order_id": "parent"})[0] == 200

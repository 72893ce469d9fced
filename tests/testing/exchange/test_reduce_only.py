"""Reduce-only orders: their user's trades are the position, and rollbacks count."""

from __future__ import annotations

import pytest

from tests.helpers.exchange_users import ALICE, BOB
from tests.helpers.raw_client import call, messages, sign_in
from tests.helpers.signed_bodies import limit_order
from tplus_trio.testing import Exchange

SPOT = {"account": 2, "is_spot": True}
BELOW = {"parent_order_id": None, "condition": {"PriceBelow": {"price": 800}}}


@pytest.fixture
def alice(exchange: Exchange) -> dict[str, str]:
    """Alice has bought 5 units in sub-account 1."""
    exchange.place(BOB, 200, "Sell", 1000, 5)
    exchange.place(ALICE, 200, "Buy", 1000, 5)
    return sign_in(exchange, ALICE)


def test_refused_and_cut_down(exchange: Exchange, alice: dict[str, str]) -> None:
    feed = exchange.subscribe("/orders", alice)
    for side, target in (("Buy", {"account": 1, "is_spot": True}), ("Sell", SPOT)):
        body = limit_order(ALICE, "r", side, 1100, 3, reduce_only=True, target=target)
        answer = call(exchange, "POST", "/orders/create", body, alice)[1]
        assert (answer["status"], answer["reason"]) == ("Rejected", "REDUCE_ONLY_WOULD_INCREASE")
    body = limit_order(ALICE, "r", "Sell", 1100, 9, reduce_only=True)
    assert call(exchange, "POST", "/orders/create", body, alice)[1]["status"] == "Received"
    told = [next(iter(event.items())) for event in messages(feed.take())]
    assert [variant for variant, _ in told] == ["CreateFailed", "CreateFailed", "Created", "Amended"]
    assert (told[-1][1]["new_quantity"], told[-1][1]["authorization_revision"]) == (5, 0)
    assert [(e.kind, e.operation) for e in exchange.effects_of(ALICE, "r")][-2:] == [
        ("create", "create"),
        ("amend", None),
    ]
    assert exchange.orders(ALICE)[0].is_reduce_only


def test_it_follows_the_position_down_and_away(exchange: Exchange, alice: dict[str, str]) -> None:
    exchange.place(ALICE, 200, "Sell", 1100, 5, order_id="r", reduce_only=True)
    exchange.place(BOB, 200, "Buy", 900, 5)
    exchange.place(ALICE, 200, "Sell", None, 2)
    assert exchange.resting(ALICE)[0].remaining == 3
    feed = exchange.subscribe("/orders", alice)
    exchange.place(ALICE, 200, "Sell", None, 3)
    assert exchange.resting(ALICE) == ()
    told = [next(iter(event.items())) for event in messages(feed.take())]
    assert [(v, e.get("reason")) for v, e in told if e.get("order_id") == "r"] == [
        ("Canceled", None),
        ("Removed", "Canceled"),
    ]


def test_a_rollback_takes_the_position_away(exchange: Exchange, alice: dict[str, str]) -> None:
    exchange.place(ALICE, 200, "Sell", 1100, 5, order_id="r", reduce_only=True)
    exchange.change_trade(exchange.trades()[0], "Rollbacked")
    assert exchange.resting(ALICE) == ()
    assert exchange.book(200).asks == ()
    with_trigger = exchange.place(ALICE, 200, "Sell", 1100, 5, order_id="s", reduce_only=True)
    assert (with_trigger.status, with_trigger.reason) == ("Rejected", "REDUCE_ONLY_WOULD_INCREASE")


def test_a_trigger_is_judged_by_the_position_when_it_is_touched(exchange: Exchange, alice: dict[str, str]) -> None:
    for order_id, side in (("stop", "Sell"), ("wrong", "Buy")):
        body = limit_order(ALICE, order_id, side, 700, 9, reduce_only=True, trigger=BELOW)
        assert call(exchange, "POST", "/orders/create", body, alice)[1]["status"] == "Received"
    exchange.place("c" * 64, 200, "Buy", 800, 1)
    exchange.place("d" * 64, 200, "Sell", 800, 1)
    assert [(order.order_id, order.remaining) for order in exchange.resting(ALICE)] == [("stop", 5)]
    assert exchange.effects_of(ALICE, "wrong")[-1].reason == "Rejected"

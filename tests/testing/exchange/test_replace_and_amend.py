"""Replacements and amendments: the newer one wins, whatever the order in which they arrive."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.exchange_users import ALICE, BOB
from tests.helpers.raw_client import Clock, call, messages, sign_in
from tests.helpers.signed_bodies import amendment, limit_order, replacement
from tplus_trio.models import LimitOrderDetails
from tplus_trio.testing import Exchange

PRICE_ABOVE = {"PriceAbove": {"price": 1200}}
WAITS = {"parent_order_id": None, "condition": PRICE_ABOVE}


@pytest.fixture
def alice(exchange: Exchange) -> dict[str, str]:
    headers = sign_in(exchange, ALICE)
    call(exchange, "POST", "/orders/create", limit_order(ALICE, "a", "Buy", 1000, 5), headers)
    return headers


def terms(exchange: Exchange) -> tuple[int, int]:
    (order,) = exchange.resting(ALICE)
    assert isinstance(order.details, LimitOrderDetails)
    return order.details.limit_price, order.details.quantity


def patch(exchange: Exchange, headers: dict[str, str], path: str, body: Any, way: str = "rest") -> tuple[int, Any]:
    """The HTTP status (0 on the control channel), and ``Received`` or the code of the refusal."""
    if way == "rest":
        status, answer = call(exchange, "PATCH", f"/orders/{path}", body, headers)
    else:
        channel = exchange.subscribe("/control", headers)
        assert channel.on_message is not None
        channel.on_message(json.dumps({"request_id": "1", "data": {f"{path.capitalize()}OrderRequest": body}}))
        _, answer = messages(channel.take())
        status = 0
        if "data" in answer:
            answer = answer["data"][f"{path.capitalize()}OrderResponse"]["response"]
    if "error" in answer:
        return status, answer["error"]["code"]
    return status, answer.get("reason") or answer["status"]


@pytest.mark.parametrize("way", ["rest", "control"])
def test_the_replacement_signed_earlier_does_not_win_by_arriving_later(
    exchange: Exchange, alice: dict[str, str], way: str
) -> None:
    earlier, later = replacement(ALICE, "a", 900, 6, 7), replacement(ALICE, "a", 800, 7, 8)
    assert patch(exchange, alice, "replace", later, way)[1] == "Received"
    feed = exchange.subscribe("/orders", alice)
    status = 409 if way == "rest" else 0
    assert patch(exchange, alice, "replace", earlier, way) == (status, "ORDER_REJECTED")
    assert patch(exchange, alice, "replace", later, way) == (status, "ORDER_REJECTED")
    assert terms(exchange) == (800, 7)
    assert feed.take() == []
    assert patch(exchange, alice, "replace", replacement(ALICE, "a", 700, 7, 9), way)[1] == "Received"


@settings(max_examples=50)
@given(st.permutations(range(1, 6)))
def test_whatever_order_they_arrive_in_the_newest_stands(arrivals: list[int]) -> None:
    exchange = Exchange(now_ns=Clock())
    exchange.add_market(200)
    headers = sign_in(exchange, ALICE)
    call(exchange, "POST", "/orders/create", limit_order(ALICE, "a", "Buy", 1000, 5), headers)
    for number in arrivals:
        patch(exchange, headers, "replace", replacement(ALICE, "a", 900 + number, 10 + number, number))
    assert terms(exchange) == (905, 15)


def test_a_replacement_older_than_an_amendment_is_refused(exchange: Exchange, alice: dict[str, str]) -> None:
    assert patch(exchange, alice, "amend", amendment(ALICE, "a", 4, None, timestamp_ns=20))[1] == "Received"
    assert patch(exchange, alice, "replace", replacement(ALICE, "a", 900, 9, 20)) == (409, "ORDER_REJECTED")
    assert terms(exchange) == (1000, 4)
    assert patch(exchange, alice, "replace", replacement(ALICE, "a", 900, 9, 21))[1] == "Received"


def test_an_amendment_with_a_slow_clock_does_not_make_the_order_older(
    exchange: Exchange, alice: dict[str, str]
) -> None:
    patch(exchange, alice, "replace", replacement(ALICE, "a", 900, 9, 20))
    assert patch(exchange, alice, "amend", amendment(ALICE, "a", 8, 20, timestamp_ns=5))[1] == "Received"
    assert patch(exchange, alice, "replace", replacement(ALICE, "a", 800, 9, 10)) == (409, "ORDER_REJECTED")


@pytest.mark.parametrize("way", ["rest", "control"])
@pytest.mark.parametrize(
    ("quantity", "expected", "code"),
    [
        (4, 7, "ORDER_REJECTED"),
        (6, None, "INVALID_ORDER_QUANTITY"),
        (2, None, "INVALID_ORDER_QUANTITY"),
        (0, None, "INVALID_ORDER_QUANTITY"),
        (3, None, "Received"),
        (5, None, "Received"),
    ],
)
def test_an_amendment_only_reduces_and_not_below_the_fills(
    exchange: Exchange, alice: dict[str, str], way: str, quantity: int, expected: int | None, code: str
) -> None:
    exchange.place(BOB, 200, "Sell", 1000, 2)
    status, answer = patch(exchange, alice, "amend", amendment(ALICE, "a", quantity, expected), way)
    assert answer == code
    if way == "rest":
        assert status == (409 if code == "ORDER_REJECTED" else 200)
    assert terms(exchange) == (1000, quantity if code == "Received" else 5)


@pytest.mark.parametrize("quantity", [1, 2])
def test_a_replacement_to_what_has_traded_already_is_refused(
    exchange: Exchange, alice: dict[str, str], quantity: int
) -> None:
    exchange.place(BOB, 200, "Sell", 1000, 2)
    body = replacement(ALICE, "a", 1000, quantity)
    assert patch(exchange, alice, "replace", body) == (200, "INVALID_ORDER_QUANTITY")
    assert terms(exchange) == (1000, 5)
    # The refused one is no revision: an older one is still new.
    assert patch(exchange, alice, "replace", replacement(ALICE, "a", 900, 3, 6))[1] == "Received"


def test_an_order_that_waits_is_checked_like_any_other(exchange: Exchange, alice: dict[str, str]) -> None:
    call(exchange, "POST", "/orders/create", limit_order(ALICE, "w", "Buy", 1300, 5, trigger=WAITS), alice)
    for price, quantity, code in ((0, 5, "INVALID_ORDER_PRICE"), (1300, 0, "INVALID_ORDER_QUANTITY")):
        body = replacement(ALICE, "w", price, quantity, new_trigger=PRICE_ABOVE)
        assert patch(exchange, alice, "replace", body) == (200, code)
    assert patch(exchange, alice, "replace", replacement(ALICE, "w", 1300, 5)) == (400, "INVALID_ORDER")
    lower = {"PriceBelow": {"price": 5}}
    assert patch(exchange, alice, "replace", replacement(ALICE, "w", 1250, 6, new_trigger=lower))[1] == "Received"
    waiting = exchange.resting(ALICE)[1]
    assert waiting.details == LimitOrderDetails(1250, 6)
    assert waiting.trigger is not None
    assert waiting.trigger.price == 5
    assert patch(exchange, alice, "amend", amendment(ALICE, "w", 4, 7)) == (400, "INVALID_ORDER")
    assert patch(exchange, alice, "replace", replacement(ALICE, "a", 900, 5, new_trigger=lower)) == (
        400,
        "INVALID_ORDER",
    )


@pytest.mark.parametrize("way", ["rest", "control"])
def test_other_markets_and_other_decimals(exchange: Exchange, alice: dict[str, str], way: str) -> None:
    exchange.add_market(201)
    body = amendment(ALICE, "a", 4, None, decimals=2)
    assert patch(exchange, alice, "amend", body, way)[1] == "INVALID_ORDER_DECIMALS"
    body = amendment(ALICE, "a", 4, None)
    body["request"]["base_asset"] = "201"
    assert patch(exchange, alice, "amend", body, way)[1] == "ORDER_NOT_FOUND"
    body = replacement(ALICE, "a", 900, 5, decimals=(3, 3))
    assert patch(exchange, alice, "replace", body, way)[1] == "INVALID_ORDER_DECIMALS"
    assert terms(exchange) == (1000, 5)

"""Markets: they are created and listed, and their decimals can change while orders rest."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.helpers.exchange_users import ALICE, BOB
from tests.helpers.raw_client import call
from tests.helpers.signed_bodies import amendment, limit_order, replacement
from tplus_trio.models import LimitOrderDetails, Side
from tplus_trio.testing import Exchange, replay_effects

WAITS = {"parent_order_id": None, "condition": {"PriceAbove": {"price": 1200}}}


def test_creating_a_market_twice_shows_the_first(exchange: Exchange) -> None:
    exchange.add_market(7, 4, 5)
    for asset in ("7", {"Index": 7}):
        status, market = call(exchange, "POST", "/market/create", {"asset_id": asset})
        assert (status, market["book_price_decimals"], market["book_quantity_decimals"]) == (200, 4, 5)
    assert call(exchange, "GET", "/market/8")[1]["error"]["code"] == "MARKET_NOT_FOUND"
    _, created = call(exchange, "POST", "/market/create", {"asset_id": "8"})
    assert call(exchange, "GET", "/market/8") == (200, created)


def test_the_list_comes_in_pages(exchange: Exchange) -> None:
    for asset in range(201, 205):
        exchange.add_market(asset)
    _, page = call(exchange, "GET", "/markets?page=1&limit=2")
    assert [market["asset_id"] for market in page["markets"]] == ["202", "203"]
    assert (page["total_markets"], page["has_next_page"], page["next_page"]) == (5, True, 2)
    assert "symbol_map" not in page
    _, last = call(exchange, "GET", "/markets?page=2&limit=2&include_symbol_map=true")
    assert [market["asset_id"] for market in last["markets"]] == ["204"]
    assert (last["has_next_page"], last["symbol_map"]) == (False, {})


def test_new_decimals_leave_the_book_and_refuse_old_orders(exchange: Exchange, alice: dict[str, str]) -> None:
    exchange.place(ALICE, 200, "Buy", 1000, 5, order_id="a")
    exchange.place(BOB, 200, "Sell", 1000, 2)
    exchange.place("c" * 64, 200, "Buy", 1000, 4, order_id="c")
    call(exchange, "POST", "/orders/create", limit_order(ALICE, "w", "Buy", 1300, 5, trigger=WAITS), alice)
    before = exchange.book(200)
    market = exchange.change_decimals(200, 4, 4)
    assert (market.book_price_decimals, market.book_quantity_decimals) == (4, 4)
    assert exchange.book(200) == before
    rests, waits = exchange.resting(ALICE)
    assert (rests.details, rests.matched, rests.remaining) == (LimitOrderDetails(100_000, 50), 20, 30)
    assert waits.trigger is not None
    assert (waits.details, waits.trigger.price) == (LimitOrderDetails(130_000, 50), 120_000)
    assert replay_effects(exchange.effects)[ALICE.public_key, "a"] == rests
    for method, path, body in (
        ("POST", "create", limit_order(ALICE, "b", "Buy", 1000, 5)),
        ("PATCH", "replace", replacement(ALICE, "a", 1000, 5)),
        ("PATCH", "amend", amendment(ALICE, "a", 4, None)),
    ):
        status, answer = call(exchange, method, f"/orders/{path}", body, alice)
        assert (status, answer["error"]["code"]) == (400, "INVALID_ORDER_DECIMALS")
    listed = {order.order_id: order for order in exchange.orders(ALICE)}
    assert (listed["a"].limit_price, listed["a"].quantity) == (Decimal(100_000), Decimal(50))
    # The first in the queue still is.
    exchange.place(BOB, 200, "Sell", 100_000, 31)
    assert [effect.quantity for effect in exchange.effects_of(ALICE, "a") if effect.kind == "fill"] == [2, 30]
    assert [effect.quantity for effect in exchange.effects_of("c" * 64, "c") if effect.kind == "fill"] == [1]
    assert exchange.trades()[-1].price == Decimal(10)


def test_a_trigger_is_touched_at_the_same_price_as_before(exchange: Exchange, alice: dict[str, str]) -> None:
    call(exchange, "POST", "/orders/create", limit_order(ALICE, "w", "Buy", 1300, 5, trigger=WAITS), alice)
    exchange.change_decimals(200, 3, 3)
    exchange.place(BOB, 200, "Buy", 12_000, 1)
    exchange.place("c" * 64, 200, "Sell", 12_000, 1)
    assert [effect.kind for effect in exchange.effects_of(ALICE, "w")] == ["create", "rescale", "trigger"]


def test_fewer_decimals_must_still_express_what_rests(exchange: Exchange) -> None:
    exchange.place(ALICE, 200, "Buy", 1010, 50, order_id="a")
    with pytest.raises(ValueError, match="cannot be expressed"):
        exchange.change_decimals(200, 0, 3)
    assert exchange.resting(ALICE)[0].details == LimitOrderDetails(1010, 50)
    exchange.change_decimals(200, 1, 2)
    (order,) = exchange.resting(ALICE)
    assert (order.details, order.side) == (LimitOrderDetails(101, 5), Side.BUY)

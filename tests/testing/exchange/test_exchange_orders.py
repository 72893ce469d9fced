"""The embedded exchange without a network: sign-ins, private feeds, orders."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from tests.helpers.exchange_users import ALICE, ALICE_SEED, BOB
from tests.helpers.raw_client import SECOND, Clock, call, messages, sign_in
from tests.helpers.signed_bodies import amendment, cancellation, limit_order, replacement
from tplus_trio import codec
from tplus_trio.models import GTC, GTD, IOC, OrderBook, OrderOperationResponse, UserOrders
from tplus_trio.testing import Exchange, Request, Subscription
from tplus_trio.testing.exchange.signatures import order_text


def order_events(feed: Subscription) -> list[tuple[str, dict[str, Any]]]:
    return [next(iter(event.items())) for event in messages(feed.take())]


def test_an_order_and_its_fill(exchange: Exchange, alice: dict[str, str]) -> None:
    key = ALICE.public_key
    orders = exchange.subscribe("/orders", alice)
    others = exchange.subscribe("/orders", sign_in(exchange, BOB))
    events = exchange.subscribe(f"/trades/user/events/{key}", alice)
    final = exchange.subscribe(f"/trades/user/{key}", alice)
    depth, public = exchange.subscribe("/marketdepth/diff/200"), exchange.subscribe("/trades")
    body = limit_order(ALICE, "a-1", "Buy", 1000, 5)
    status, answer = call(exchange, "POST", "/orders/create", body, alice)
    assert (status, answer["status"], answer["order_id"]) == (200, "Received", "a-1")
    ((variant, created),) = order_events(orders)
    assert variant == "Created"
    assert created["user_order"] == body["order"]
    assert created["signature"] == body["signature"]

    exchange.place("b" * 64, 200, "Sell", None, 7)
    trade = messages(public.take())[0]
    assert (trade["price"], trade["quantity"], trade["buyer_is_maker"]) == ("10.00", "0.005", True)
    assert [event["status"] for event in messages(events.take())] == ["Pending", "Confirmed"]
    (own,) = messages(final.take())
    assert (own["order_id"], own["is_maker"], own["is_buyer"], own["trade_id"]) == ("a-1", True, True, 1)
    ((variant, removed),) = order_events(orders)
    assert (variant, removed["reason"], removed["filled_quantity"]) == ("Removed", "Completed", 5)
    assert (removed["filled_amount"], removed["user_id"]) == (5000, key)
    diffs = messages(depth.take())
    assert [diff["bids"] for diff in diffs] == [[[10.0, 0.005]], [[10.0, 0]]]
    assert order_events(others) == []
    assert [order.status for order in exchange.orders(key)] == ["Completed"]
    assert [trade.trade_id for trade in exchange.user_trades(key)] == [1]
    _, history = call(exchange, "GET", f"/trades/user/{key}/200?side=buy", headers=alice)
    assert [trade["trade_id"] for trade in history] == [1]
    assert call(exchange, "GET", f"/trades/user/{key}?side=sell", headers=alice) == (200, [])


def test_a_cancellation(exchange: Exchange, alice: dict[str, str]) -> None:
    orders = exchange.subscribe("/orders", alice)
    call(exchange, "POST", "/orders/create", limit_order(ALICE, "a-1", "Sell", 1000, 5), alice)
    assert len(exchange.book(200).asks) == 1
    status, answer = call(exchange, "DELETE", "/orders/cancel", cancellation(ALICE, "a-1"), alice)
    assert (status, answer["status"]) == (200, "Received")
    assert exchange.book(200).asks == ()
    assert [variant for variant, _ in order_events(orders)] == ["Created", "Canceled", "Removed"]
    status, answer = call(exchange, "DELETE", "/orders/cancel", cancellation(ALICE, "a-1"), alice)
    assert (status, answer["error"]["code"]) == (404, "ORDER_NOT_FOUND")
    assert answer["error"]["details"] == {"order_id": "a-1"}


def test_a_replacement_and_an_amendment(exchange: Exchange, alice: dict[str, str]) -> None:
    orders = exchange.subscribe("/orders", alice)
    call(exchange, "POST", "/orders/create", limit_order(ALICE, "a-1", "Sell", 1000, 5), alice)
    _, answer = call(exchange, "PATCH", "/orders/replace", replacement(ALICE, "a-1", 1100, 6), alice)
    assert answer["status"] == "Received"
    assert exchange.book(200).asks == OrderBook(asks=[("11.00", "0.006")]).asks
    status, answer = call(exchange, "PATCH", "/orders/amend", amendment(ALICE, "a-1", 4, None), alice)
    assert (status, answer["error"]["code"]) == (409, "ORDER_REJECTED")
    _, answer = call(exchange, "PATCH", "/orders/amend", amendment(ALICE, "a-1", 4, 7), alice)
    assert answer["status"] == "Received"
    _, answer = call(exchange, "PATCH", "/orders/amend", amendment(ALICE, "a-1", 40, 8), alice)
    assert (answer["status"], answer["reason"]) == ("Rejected", "INVALID_ORDER_QUANTITY")
    _, answer = call(exchange, "PATCH", "/orders/amend", amendment(ALICE, "a-1", 3, 8), alice)
    assert answer["status"] == "Received"
    told = order_events(orders)
    assert [v for v, _ in told] == ["Created", "Replaced", "Amended", "AmendFailed", "Amended"]
    replaced, amended = told[1][1], told[2][1]
    assert (replaced["new_price"], replaced["new_quantity"], replaced["authorization_revision"]) == (1100, 6, 7)
    assert (amended["new_quantity"], amended["remaining_quantity"]) == (4, 4)
    assert amended["authorization_revision"] == 8


def test_rejected_orders_leave_no_trace(exchange: Exchange, alice: dict[str, str]) -> None:
    orders = exchange.subscribe("/orders", alice)
    exchange.place("b" * 64, 200, "Sell", 1000, 5)
    post_only = {"time_in_force": {"GTC": {"post_only": True}}}
    body = limit_order(ALICE, "a-1", "Buy", 1000, 5, **post_only)
    status, answer = call(exchange, "POST", "/orders/create", body, alice)
    assert (status, answer["status"], answer["reason"]) == (200, "Rejected", "POST_ONLY_WOULD_CROSS")
    assert order_events(orders) == [
        ("CreateFailed", {"order_id": "a-1", "user_id": ALICE.public_key, "reason": "POST_ONLY_WOULD_CROSS"})
    ]
    assert exchange.orders(ALICE.public_key) == ()
    body = limit_order(ALICE, "a-1", "Buy", 999, 5, **post_only)
    assert call(exchange, "POST", "/orders/create", body, alice)[1]["status"] == "Received"


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"order_id": ""}, 400, "INVALID_ORDER"),
        ({"order_id": "x" * 25}, 400, "INVALID_ORDER"),
        ({"order_id": 5}, 400, "INVALID_ORDER"),
        ({"base_asset": "999"}, 404, "MARKET_NOT_FOUND"),
        ({"book_price_decimals": 3}, 400, "INVALID_ORDER_DECIMALS"),
        ({"side": "Hold"}, 400, "INVALID_ORDER"),
        ({"side": None}, 400, "INVALID_ORDER"),
        ({"details": {"Stop": {}}}, 400, "INVALID_ORDER"),
        ({"details": {"Limit": {"limit_price": 1.5, "quantity": 1}}}, 400, "INVALID_ORDER"),
        ({"details": {"Limit": {"limit_price": True, "quantity": 1}}}, 400, "INVALID_ORDER"),
        ({"time_in_force": {"GTC": {"post_only": 1}}}, 400, "INVALID_ORDER"),
        ({"trigger": {"condition": {"PriceAbove": {}}}}, 400, "INVALID_ORDER"),
        ({"trigger": "soon"}, 400, "INVALID_ORDER"),
    ],
)
def test_orders_that_cannot_be(
    exchange: Exchange, alice: dict[str, str], changes: dict[str, Any], status: int, code: str
) -> None:
    time_in_force = changes.get("time_in_force", {"GTC": {"post_only": False}})
    body = limit_order(ALICE, "a-1", "Buy", 1000, 5, time_in_force=time_in_force)
    body["order"].update(changes)
    body["order"].pop("time_in_force", None)
    body["signature"] = list(ALICE.sign(order_text(body["order"])))
    answer, error = call(exchange, "POST", "/orders/create", body, alice)
    assert (answer, error["error"]["code"]) == (status, code)
    assert exchange.orders(ALICE.public_key) == ()


def test_signatures_are_checked(exchange: Exchange, alice: dict[str, str]) -> None:
    good = limit_order(ALICE, "a-1", "Buy", 1000, 5)
    order = good["order"]
    forged: list[Mapping[str, Any]] = [
        {**good, "order": {**order, "side": "Sell"}},
        {**good, "signature": list(BOB.sign(json.dumps(order, separators=(",", ":"))))},
        {**good, "signature": []},
        {**good, "signature": None},
        {**good, "signature": [300] * 64},
    ]
    for body in forged:
        status, answer = call(exchange, "POST", "/orders/create", body, alice)
        assert (status, answer["error"]["code"]) == (401, "INVALID_SIGNATURE")
    status, answer = call(exchange, "POST", "/orders/create", limit_order(BOB, "b-1", "Buy", 1000, 5), alice)
    assert (status, answer["error"]["code"]) == (403, "SIGNER_MISMATCH")
    assert call(exchange, "POST", "/orders/create", good)[0] == 401
    # The order of keys on the way does not matter: what was signed has one of its own.
    shuffled = {**good, "order": dict(reversed(order.items()))}
    assert call(exchange, "POST", "/orders/create", shuffled, alice)[0] == 200
    status, answer = call(exchange, "POST", "/orders/create", good, alice)
    assert (status, answer["error"]["code"]) == (409, "DUPLICATE_ORDER")
    wrong = cancellation(ALICE, "a-1")
    wrong["cancel"]["protocol_version"] = 2
    assert call(exchange, "DELETE", "/orders/cancel", wrong, alice)[0] == 401
    wrong = replacement(ALICE, "a-1", 1, 1)
    wrong["request"]["new_quantity"] = 2
    assert call(exchange, "PATCH", "/orders/replace", wrong, alice)[0] == 401


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_tpluspy_signs_is_accepted(exchange: Exchange) -> None:
    tplus_limit = pytest.importorskip("tplus.utils.limit_order")
    tplus_market = pytest.importorskip("tplus.utils.market_order")
    tplus_user = pytest.importorskip("tplus.utils.user")
    model = pytest.importorskip("tplus.model.market_order")
    times = pytest.importorskip("tplus.model.limit_order")
    triggers = pytest.importorskip("tplus.model.order_trigger")
    asset = pytest.importorskip("tplus.model.asset_identifier").AssetIdentifier("200")
    user = tplus_user.User(ALICE_SEED.hex())
    assert user.public_key == ALICE.public_key
    headers = sign_in(exchange, ALICE)
    common = {
        "signer": user,
        "side": "Buy",
        "book_quantity_decimals": 3,
        "book_price_decimals": 2,
        "asset_identifier": asset,
    }
    bodies = [
        tplus_limit.create_limit_order_ob_request_payload(
            quantity=5, price=1000, order_id="l-1", time_in_force=time_in_force, trigger=trigger, **common
        )
        for time_in_force in (
            times.GTC(post_only=True),
            times.GTD(post_only=False, timestamp_ns=2**62),
            times.IOC(fill_or_kill=False),
        )
        for trigger in (
            None,
            triggers.OrderTrigger(parent_order_id=None, trigger=triggers.TriggerAbove(price=5)),
        )
    ]
    bodies += [
        tplus_market.create_market_order_ob_request_payload(
            order_id="m-1", fill_or_kill=False, base_quantity=base, quote_quantity=quote, **common
        )
        for base, quote in (
            (model.MarketBaseQuantity(quantity=3, max_sellable_amount=None), None),
            (None, model.MarketQuoteQuantity(quantity=3, max_sellable_quantity=9)),
        )
    ]
    for number, body in enumerate(bodies):
        dumped = json.loads(json.dumps(body.model_dump()))
        status, answer = call(exchange, "POST", "/orders/create", dumped, headers)
        seen = number and answer.get("error", {}).get("code") == "DUPLICATE_ORDER"  # the signature was good
        assert status == 200 or seen, answer


def test_batches(exchange: Exchange, alice: dict[str, str]) -> None:
    bodies = [limit_order(ALICE, f"a-{i}", "Buy", 1000 + i, 5) for i in range(3)]
    bodies[1]["signature"] = [0] * 64
    _, answer = call(exchange, "POST", "/orders/batch-create", {"orders": bodies}, alice)
    assert [(r["order_id"], r["status"], r["reason"]) for r in answer["results"]] == [
        ("a-0", "Received", None),
        ("a-1", "Rejected", "INVALID_SIGNATURE"),
        ("a-2", "Received", None),
    ]
    changes = [replacement(ALICE, f"a-{i}", 900 + i, 7) for i in range(3)]
    _, answer = call(exchange, "PATCH", "/orders/batch-replace", {"replaces": changes}, alice)
    assert [r["reason"] for r in answer["results"]] == [None, "ORDER_NOT_FOUND", None]
    assert [price for price, _ in exchange.book(200).bids] == [Decimal("9.02"), Decimal("9.00")]
    for orders in ([], bodies[:1] * 2, bodies * 20, None):
        body = {"orders": orders}
        assert call(exchange, "POST", "/orders/batch-create", body, alice)[0] == 400


def test_order_listings(exchange: Exchange, alice: dict[str, str], clock: Clock) -> None:
    exchange.add_market(201)
    for i in range(4):
        exchange.place(ALICE.public_key, 200 + i % 2, "Buy", 1000, 5, order_id=f"a-{i}")
        clock.pass_(1)
    exchange.cancel(ALICE.public_key, "a-2")
    path = f"/orders/user/{ALICE.public_key}"

    def ids(target: str) -> list[str]:
        _, page = call(exchange, "GET", target, headers=alice)
        return [order["order_id"] for order in (page["orders"] if isinstance(page, dict) else page)]

    assert ids(path) == ["a-3", "a-2", "a-1", "a-0"]
    assert ids(f"{path}?limit=3&page=1") == ["a-0"]
    assert ids(f"{path}/200") == ["a-2", "a-0"]
    assert ids(f"{path}/200?open_only=true") == ["a-0"]
    assert ids(f"{path}?status=cancelled") == ["a-2"]
    assert ids(f"{path}?side=sell") == []
    assert ids(f"{path}?sub_account=0") == []
    assert ids(f"{path}?start_time={clock.now_ns - 2 * SECOND}") == ["a-3", "a-2"]
    body = exchange.handle(Request("GET", path, alice)).body
    assert codec.decode(body, UserOrders).orders == exchange.orders(ALICE.public_key)


def test_orders_expire(exchange: Exchange, clock: Clock) -> None:
    until = clock.now_ns + 10 * SECOND
    exchange.place(ALICE.public_key, 200, "Buy", 1000, 5, time_in_force=GTD(post_only=False, timestamp_ns=until))
    depth = exchange.subscribe("/marketdepth/diff/200")
    clock.pass_(9)
    exchange.expire_orders()
    assert len(exchange.book(200).bids) == 1
    clock.pass_(1)
    assert call(exchange, "GET", "/marketdepth/200")[1]["bids"] == []
    assert len(depth.take()) == 1
    assert [order.status for order in exchange.orders(ALICE.public_key)] == ["Closed"]


def test_triggers(exchange: Exchange, alice: dict[str, str]) -> None:
    orders = exchange.subscribe("/orders", alice)
    trigger = {"parent_order_id": None, "condition": {"PriceAbove": {"price": 1200}}}
    body = limit_order(ALICE, "a-1", "Buy", 1300, 5, trigger=trigger)
    assert call(exchange, "POST", "/orders/create", body, alice)[1]["status"] == "Received"
    assert [order.status for order in exchange.orders(ALICE.public_key)] == ["Pending"]
    assert exchange.book(200).bids == ()
    exchange.place("b" * 64, 200, "Buy", 1199, 1)
    exchange.place("c" * 64, 200, "Sell", 1199, 1)
    assert exchange.book(200).bids == ()
    exchange.place("b" * 64, 200, "Buy", 1200, 1)
    exchange.place("c" * 64, 200, "Sell", 1200, 1)
    assert [price for price, _ in exchange.book(200).bids] == [Decimal("13.00")]
    assert [variant for variant, _ in order_events(orders)] == ["Created", "Triggered"]
    waiting = limit_order(ALICE, "a-2", "Buy", 1300, 5, trigger={**trigger, "condition": {"PriceBelow": {"price": 5}}})
    call(exchange, "POST", "/orders/create", waiting, alice)
    assert call(exchange, "PATCH", "/orders/replace", replacement(ALICE, "a-2", 1, 1), alice)[0] == 400
    call(exchange, "DELETE", "/orders/cancel", cancellation(ALICE, "a-2"), alice)
    assert [order.status for order in exchange.orders(ALICE.public_key)] == ["Cancelled", "Open"]


def test_placing_for_tests(exchange: Exchange) -> None:
    answer = exchange.place(ALICE.public_key, "200", "buy", 1000, 5, order_id="x", time_in_force=GTC())
    assert answer == OrderOperationResponse("x", "Received", None, exchange.now_ns())
    assert exchange.is_open(ALICE.public_key, "x")
    with pytest.raises(ValueError, match="used before"):
        exchange.place(ALICE.public_key, 200, "Buy", 1000, 5, order_id="x")
    rejected = exchange.place(BOB.public_key, 200, "Sell", 1000, 50, time_in_force=IOC(fill_or_kill=True))
    assert (rejected.status, rejected.reason) == ("Rejected", "FOK_NOT_FILLABLE")
    exchange.cancel(ALICE.public_key, "x")
    with pytest.raises(ValueError, match="no open order"):
        exchange.cancel(ALICE.public_key, "x")
    with pytest.raises(ValueError, match="no market"):
        exchange.place(ALICE.public_key, 999, "Buy", 1000, 5)

"""Orders are created, changed and canceled, over REST and the control channel: what is answered, what is raised."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.world import ASSET, World, open_world
from tplus_trio import (
    GTC,
    IOC,
    AuthError,
    ConnectionFailed,
    NotFoundError,
    OperationStatus,
    OrderBookClient,
    OrderFateUnknown,
    OrderRateLimit,
    OrderRejected,
    OrderStatus,
    ServiceRules,
    Side,
    TriggerAbove,
    User,
)
from tplus_trio.models import OrderTrigger
from tplus_trio.testing import Response


@pytest.fixture(params=["rest", "control"])
def way(request: pytest.FixtureRequest) -> str:
    """The way that requests about orders are sent."""
    return str(request.param)


def over(way: str) -> dict[str, bool]:
    """Return the client options for REST or the control channel."""
    return {"use_ws_control": way == "control"}


def open_ids(world: World, user: User | None = None) -> set[str]:
    return {order.order_id for order in world.exchange.orders(user or world.user) if order.status == "Open"}


def rest(world: World, maker: User, price: int, quantity: int) -> None:
    """Let an order to sell rest in the book."""
    world.exchange.place(maker, ASSET, "Sell", price, quantity)


# Creating.


async def test_a_decimal_is_scaled_by_the_markets_units(way: str, autojump_clock: MockClock) -> None:
    async with open_world(orders=over(way)) as world:
        await world.oms.create_limit_order(Decimal("0.005"), Decimal("98.76"), "Buy", asset_id=ASSET, order_id="a")
        (order,) = world.exchange.orders(world.user)
        assert (order.limit_price, order.quantity) == (Decimal(9876), Decimal(5))


async def test_a_decimal_that_does_not_fit_asks_for_the_units_again_once(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        await world.oms.get_market(ASSET)
        for _ in range(2):
            with pytest.raises(ValueError, match=r"price 98.765 is no multiple of 0.01"):
                await world.oms.create_limit_order(5, Decimal("98.765"), "Buy", asset_id=ASSET)
        assert world.exchange.requests["GET", f"/market/{ASSET}"] == 3
        assert world.exchange.requests["POST", "/orders/create"] == 0


async def test_stale_units_are_replaced_when_a_decimal_does_not_fit(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        old = {"asset_id": ASSET, "book_price_decimals": 0, "book_quantity_decimals": 3}
        world.exchange.faults.answer_requests(f"/market/{ASSET}", Response(200, json.dumps(old).encode()))
        await world.oms.get_market(ASSET)
        await world.oms.create_limit_order(5, Decimal("98.76"), "Buy", asset_id=ASSET, order_id="a")
        (order,) = world.exchange.orders(world.user)
        assert order.limit_price == 9876


async def test_a_refusal_in_the_answer_is_raised(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        other = User()
        rest(world, other, 10_000, 5)
        with pytest.raises(OrderRejected, match="POST_ONLY_WOULD_CROSS") as caught:
            await world.oms.create_limit_order(5, 10_000, "Buy", GTC(post_only=True), ASSET, "mine")
        error = caught.value
        assert (error.order_id, error.code, error.reason) == ("mine", "POST_ONLY_WOULD_CROSS", "POST_ONLY_WOULD_CROSS")
        answer = {"order_id": "mine", "status": "Rejected", "reason": "the market is closed"}
        world.exchange.faults.answer_requests("/orders/create", Response(200, json.dumps(answer).encode()))
        with pytest.raises(OrderRejected, match="the market is closed") as caught:
            await world.oms.create_limit_order(5, 9_000, "Buy", asset_id=ASSET, order_id="mine")
        assert (caught.value.code, caught.value.reason) == ("ORDER_REJECTED", "the market is closed")


async def test_a_refused_order_is_named_though_the_service_did_not(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        body = b'{"error":{"code":"INSUFFICIENT_MARGIN","message":"no"}}'
        world.exchange.faults.answer_requests("/orders/create", Response(400, body))
        with pytest.raises(OrderRejected) as caught:
            await world.oms.create_limit_order(5, 9_000, "Buy", asset_id=ASSET, order_id="mine")
        assert (caught.value.order_id, caught.value.reason, caught.value.status) == ("mine", "no", 400)


async def test_market_orders_by_quantity_and_by_amount(way: str, autojump_clock: MockClock) -> None:
    async with open_world(orders=over(way)) as world:
        maker = User()
        rest(world, maker, 10_000, 5)
        rest(world, maker, 10_100, 5)
        await world.oms.create_market_order("Buy", base_quantity=3, asset_id=ASSET, order_id="a")
        await world.oms.create_market_order("Buy", quote_quantity=Decimal("0.2"), asset_id=ASSET, order_id="b")
        await world.oms.create_market_order(
            "Buy", Decimal("0.005"), asset_id=ASSET, order_id="c", max_sellable_amount=Decimal("0.101")
        )
        filled = {order.order_id: order.confirmed_filled_quantity for order in world.exchange.orders(world.user)}
        assert filled == {"a": 3, "b": 2, "c": 1}


async def test_a_trigger_waits(way: str, autojump_clock: MockClock) -> None:
    async with open_world(orders=over(way)) as world:
        trigger = OrderTrigger(None, TriggerAbove(10_500))
        await world.oms.create_market_order("Buy", 3, asset_id=ASSET, order_id="stop", trigger=trigger)
        (order,) = world.exchange.orders(world.user)
        assert (order.status, order.trigger_above_price) == (OrderStatus.PENDING, Decimal(10_500))


async def test_a_made_order_id_begins_with_the_prefix(autojump_clock: MockClock) -> None:
    async with open_world(orders={"order_id_prefix": "bot7-"}) as world:
        for _ in range(2):
            await world.oms.create_limit_order(5, 9_000, "Buy", asset_id=ASSET)
        ids = open_ids(world)
        assert len(ids) == 2
        assert all(order_id.startswith("bot7-") and len(order_id) == 24 for order_id in ids)


@pytest.mark.parametrize("prefix", ["too long!", 5, None, "ü" * 5])
def test_a_prefix_leaves_room_for_chance(prefix: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="order_id_prefix is"):
        OrderBookClient("http://exchange", order_id_prefix=prefix)


# Canceling all.


async def test_all_open_orders_are_canceled_in_one_market_or_in_all(way: str, autojump_clock: MockClock) -> None:
    async with open_world(orders=over(way)) as world:
        await world.oms.create_market(900)
        for number in range(30):
            await world.oms.create_limit_order(5, 9_000, "Buy", asset_id=ASSET, order_id=f"a{number}")
        await world.oms.create_limit_order(5, 9_000, "Buy", asset_id=900, order_id="b")
        trigger = OrderTrigger(None, TriggerAbove(10_500))
        await world.oms.create_limit_order(5, 9_000, "Buy", asset_id=900, order_id="waits", trigger=trigger)
        results = await world.oms.cancel_all_orders(ASSET)
        assert {result.order_id for result in results} == {f"a{number}" for number in range(30)}
        assert all(result.error is None for result in results)
        assert open_ids(world) == {"b"}
        others = await world.oms.cancel_all_orders()
        assert {(result.asset_id, result.order_id) for result in others} == {("900", "b"), ("900", "waits")}
        assert open_ids(world) == set()
        assert await world.oms.cancel_all_orders() == ()


async def test_what_is_gone_already_is_no_error_and_other_failures_are_named(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        for name in ("gone", "stuck", "fine"):
            await world.oms.create_limit_order(5, 9_000, "Buy", asset_id=ASSET, order_id=name)
        gone = Response(404, b'{"error":{"code":"ORDER_NOT_FOUND","message":"m"}}')
        world.exchange.faults.answer_requests("/orders/cancel", gone)
        refused = Response(400, b'{"error":{"code":"INVALID_SIGNATURE","message":"m"}}')
        world.exchange.faults.answer_requests("/orders/cancel", refused)
        results = await world.oms.cancel_all_orders()
        failures = [result for result in results if result.error is not None]
        assert len(results) == 3
        assert len(failures) == 1
        assert isinstance(failures[0].error, AuthError)
        assert open_ids(world) == {failures[0].order_id}


# Changing.


async def test_a_replacement_has_new_terms_and_a_later_time(way: str, autojump_clock: MockClock) -> None:
    async with open_world(orders=over(way)) as world:
        await world.oms.create_limit_order(5, 9_000, "Buy", asset_id=ASSET, order_id="a")
        answer, first = await world.oms.replace_order("a", ASSET, 7, Decimal(91))
        assert (answer.order_id, answer.status) == ("a", OperationStatus.RECEIVED)
        _, second = await world.oms.replace_order("a", ASSET, Decimal("0.008"), 9_200)
        assert second > first
        (order,) = world.exchange.orders(world.user)
        assert (order.limit_price, order.quantity) == (Decimal(9_200), Decimal(8))


async def test_times_of_replacements_rise_although_the_clock_stands(autojump_clock: MockClock) -> None:
    async with open_world(now_ns=lambda: 1_000_000_000_000_000_000) as world:
        requests = [await world.oms.prepare_replace_order_request("a", ASSET, 1, 1) for _ in range(3)]
        times = [request.request.timestamp_ns for request in requests]
        assert times == sorted(set(times))


async def test_an_amendment_reduces_and_needs_the_revision(way: str, autojump_clock: MockClock) -> None:
    async with open_world(orders=over(way)) as world:
        await world.oms.create_limit_order(5, 9_000, "Buy", asset_id=ASSET, order_id="a")
        await world.oms.amend_order("a", ASSET, 4)
        _, revision = await world.oms.replace_order("a", ASSET, 9, 9_000)
        with pytest.raises(OrderRejected) as caught:
            await world.oms.amend_order("a", ASSET, 3)
        assert (caught.value.code, caught.value.order_id) == ("ORDER_REJECTED", "a")
        await world.oms.amend_order("a", ASSET, Decimal("0.003"), expected_authorization_revision=revision)
        (order,) = world.exchange.orders(world.user)
        assert order.quantity == 3


async def test_canceling_what_is_not_there(way: str, autojump_clock: MockClock) -> None:
    async with open_world(orders={**over(way), "rules": ServiceRules(listings_current=True)}) as world:
        with pytest.raises(NotFoundError):
            await world.oms.cancel_order("none", ASSET)
        with pytest.raises(NotFoundError):
            await world.oms.replace_order("none", ASSET, 5, 9_000)


# Batches.


async def prepare(world: World, order_id: str, side: Side | str = "Buy", price: int = 9_000, **options: Any) -> Any:
    name, request = await world.oms.prepare_limit_order_request(
        ASSET, price, 5, side, None, options.pop("time_in_force", None), order_id=order_id, **options
    )
    assert name == order_id
    return request


async def test_a_batch_has_a_result_for_each_order(way: str, autojump_clock: MockClock) -> None:
    async with open_world(orders=over(way)) as world:
        rest(world, User(), 10_000, 5)
        requests = [
            await prepare(world, "good"),
            await prepare(world, "crosses", price=10_000, time_in_force=GTC(post_only=True)),
            await prepare(world, "too"),
        ]
        answer = await world.oms.send_multiple_orders(requests)
        good, crosses, too = answer.batch_order_status
        assert [good.order_id, crosses.order_id, too.order_id] == ["good", "crosses", "too"]
        assert (good.status, good.reason, good.error) == ("Received", None, None)
        assert (crosses.status, crosses.reason) == ("Rejected", "POST_ONLY_WOULD_CROSS")
        assert isinstance(crosses.error, OrderRejected)
        assert crosses.error.order_id == "crosses"
        assert open_ids(world) == {"good", "too"}


async def test_replacements_in_a_batch(way: str, autojump_clock: MockClock) -> None:
    async with open_world(orders={**over(way), "rules": ServiceRules(listings_current=True)}) as world:
        for name in ("a", "b"):
            await world.oms.create_limit_order(5, 9_000, "Buy", asset_id=ASSET, order_id=name)
        requests = [await world.oms.prepare_replace_order_request(name, ASSET, 6, 9_100) for name in ("b", "c", "a")]
        results = (await world.oms.replace_multiple_orders(requests)).batch_order_status
        assert [(result.order_id, result.status) for result in results] == [
            ("b", "Received"),
            ("c", "Rejected"),
            ("a", "Received"),
        ]
        assert {order.limit_price for order in world.exchange.orders(world.user)} == {9_100}


@pytest.mark.parametrize(
    "answer",
    [
        Response(500, b'{"error":{"code":"INTERNAL_ERROR","message":"m"}}'),
        Response(200, b"<html>"),
        Response(200, b'{"results":[]}'),
    ],
)
async def test_a_batch_without_an_answer_is_in_doubt_order_by_order(
    answer: Response, autojump_clock: MockClock
) -> None:
    async with open_world() as world:
        requests = [await prepare(world, "a"), await prepare(world, "b")]
        world.exchange.faults.answer_requests("/orders/batch-create", answer)
        results = (await world.oms.send_multiple_orders(requests)).batch_order_status
        assert [(result.order_id, result.status) for result in results] == [("a", None), ("b", None)]
        for result in results:
            assert isinstance(result.error, OrderFateUnknown)
            assert (result.error.order_id, result.error.operation) == (result.order_id, "batch-create")


async def test_a_batch_that_was_not_sent_is_not_in_doubt(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        requests = [await prepare(world, "a")]
        await world.oms.get_user_orders()
        world.network.reset_connections()
        await trio.sleep(1)
        world.network.refuse(100)
        with pytest.raises(ConnectionFailed) as caught:
            await world.oms.send_multiple_orders(requests)
        assert caught.value.nothing_sent


async def test_an_immediate_order_in_a_batch_trades(way: str, autojump_clock: MockClock) -> None:
    async with open_world(orders=over(way)) as world:
        rest(world, User(), 10_000, 3)
        request = await prepare(world, "a", price=10_000, time_in_force=IOC())
        await world.oms.send_multiple_orders([request])
        (order,) = world.exchange.orders(world.user)
        assert order.confirmed_filled_quantity == 3


async def test_a_batch_of_refusals_does_not_show_that_the_service_knows_the_user(
    way: str, autojump_clock: MockClock
) -> None:
    async with open_world(orders={**over(way), "rules": ServiceRules(listings_current=True)}) as world:
        request = await world.oms.prepare_replace_order_request("none", ASSET, 5, 9_000)
        (result,) = (await world.oms.replace_multiple_orders([request])).batch_order_status
        assert (result.status, result.reason) == ("Rejected", "ORDER_NOT_FOUND")
        assert (await world.oms.get_user_orders()).orders == ()
        await world.oms.send_multiple_orders([await prepare(world, "a")])
        assert len((await world.oms.get_user_orders()).orders) == 1


# Markets.


async def test_markets_are_listed_and_created(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        created = await world.oms.create_market(900)
        assert created.asset_id == "900"
        page = await world.oms.get_markets()
        assert {market.asset_id for market in page} == {ASSET, "900"}
        assert page.total_markets == 2
        before = world.exchange.requests["GET", "/market/900"]
        assert await world.oms.get_market(900) == created
        assert world.exchange.requests["GET", "/market/900"] == before


# Options.


async def test_requests_wait_for_the_clients_own_limit(way: str, autojump_clock: MockClock) -> None:
    options = {**over(way), "order_rate_limit": OrderRateLimit(rate=2, burst=1)}
    async with open_world(orders=options) as world:
        await world.oms.create_limit_order(5, 9_000, "Buy", asset_id=ASSET)
        start = trio.current_time()
        for _ in range(4):
            await world.oms.create_limit_order(5, 9_000, "Buy", asset_id=ASSET)
        assert trio.current_time() - start == pytest.approx(2, abs=0.6)
        assert len(open_ids(world)) == 5


async def test_the_control_channel_is_in_the_statistics(autojump_clock: MockClock) -> None:
    async with open_world(orders=over("control")) as world:
        assert world.oms.statistics().control == ()
        await world.oms.create_limit_order(5, 9_000, "Buy", asset_id=ASSET)
        (channel,) = world.oms.statistics().control
        assert channel.connects == 1
        assert world.exchange.requests["POST", "/orders/create"] == 0


async def test_a_client_that_was_not_entered_has_no_control_channel() -> None:
    client = OrderBookClient("http://exchange", default_user=User(), use_ws_control=True)
    with pytest.raises(RuntimeError, match="async with"):
        await client.cancel_order("a", ASSET)

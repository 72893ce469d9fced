"""`keep` on the embedded exchange: one order of a key rests at the latest terms, and never more than was asked."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.order_calls_in_doubt import kinds, open_orders_world, times_sent
from tests.helpers.world import ASSET, World
from tplus_trio import (
    LimitOrderDetails,
    OrderHandle,
    OrderLimitExceeded,
    OrderLimits,
    OrderRejected,
    OrderScope,
    OrdersLeftResting,
    OrderState,
    User,
)

D = Decimal
OTHER = User()


@pytest.fixture(params=["rest", "control"])
def way(request: pytest.FixtureRequest) -> str:
    """The way that requests about orders are sent."""
    return str(request.param)


def resting(world: World) -> list[tuple[str, int, int]]:
    """Return the side, the limit and the remaining quantity of each resting order, in units of the book."""
    orders = [(one.side.value, one.details, one.remaining) for one in world.exchange.resting(world.user)]
    return [(side, terms.limit_price, rest) for side, terms, rest in orders if isinstance(terms, LimitOrderDetails)]


def trade(world: World, price: int, quantity: int, side: str = "Sell") -> None:
    """Let another user trade with what rests."""
    world.exchange.place(OTHER, ASSET, side, price, quantity)


def handle_of(kept: OrderHandle | None) -> OrderHandle:
    assert kept is not None
    return kept


async def test_equal_terms_send_nothing_and_others_replace(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way) as world, world.oms.order_scope(ASSET) as orders:
        first = handle_of(await orders.keep("bid", "Buy", 900, 5))
        sent = len(world.exchange.answers)
        assert await orders.keep("bid", "Buy", 900, 5) is first
        assert len(world.exchange.answers) == sent
        assert await orders.keep("bid", "Buy", 901, 6) is first
        assert resting(world) == [("Buy", 901, 6)]
        assert kinds(world, first.order_id) == ["create", "replace"]
        assert first.key == "bid"


async def test_decimals_and_units_of_the_book_are_the_same_terms(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way) as world, world.oms.order_scope(ASSET) as orders:
        market = await world.oms.get_market(ASSET)
        price = D(900).scaleb(-market.book_price_decimals)
        quantity = D(5).scaleb(-market.book_quantity_decimals)
        first = handle_of(await orders.keep("bid", "Buy", 900, 5))
        sent = len(world.exchange.answers)
        assert await orders.keep("bid", "Buy", price, quantity) is first
        assert len(world.exchange.answers) == sent
        assert (first.price, first.quantity) == (price, quantity)


async def test_nothing_wanted_cancels_and_asks_for_nothing_twice(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way) as world, world.oms.order_scope(ASSET) as orders:
        assert await orders.keep("bid", "Buy", 900, 0) is None
        first = handle_of(await orders.keep("bid", "Buy", 900, 5))
        await orders.keep("bid", "Buy", 900, D(0))
        assert resting(world) == []
        assert first.state is OrderState.CANCELED
        sent = len(world.exchange.answers)
        await orders.keep("bid", "Buy", 900, 0)
        assert len(world.exchange.answers) == sent


async def test_what_traded_is_not_topped_up_unless_asked(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way) as world, world.oms.order_scope(ASSET) as orders:
        await orders.keep("bid", "Buy", 900, 5)
        trade(world, 900, 2)
        await trio.sleep(1)
        await orders.keep("bid", "Buy", 900, 5)
        assert resting(world) == [("Buy", 900, 3)]
        kept = handle_of(await orders.keep("bid", "Buy", 900, 5, refill=True))
        assert resting(world) == [("Buy", 900, 5)]
        assert kept.filled_quantity * 5 == (kept.remaining_quantity or 0) * 2
        trade(world, 900, 1)
        await trio.sleep(1)
        await orders.keep("bid", "Buy", 890, 4)
        assert resting(world) == [("Buy", 890, 4)]


async def test_all_of_it_traded_stays_traded_until_other_terms(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way) as world, world.oms.order_scope(ASSET) as orders:
        first = handle_of(await orders.keep("bid", "Buy", 900, 5))
        trade(world, 900, 5)
        await trio.sleep(1)
        assert await orders.keep("bid", "Buy", 900, 5) is first
        assert first.state is OrderState.FILLED
        assert resting(world) == []
        assert await orders.keep("bid", "Buy", 900, 5, refill=True) is not first
        assert resting(world) == [("Buy", 900, 5)]


@pytest.mark.parametrize("traded", [0, 2, 5])
async def test_an_order_that_was_not_wanted_meanwhile_is_made_whole(
    way: str, traded: int, autojump_clock: MockClock
) -> None:
    async with open_orders_world(way) as world, world.oms.order_scope(ASSET) as orders:
        await orders.keep("bid", "Buy", 900, 5)
        if traded:
            trade(world, 900, traded)
        await trio.sleep(1)
        await orders.keep("bid", "Buy", 900, 0)
        assert resting(world) == []
        await orders.keep("bid", "Buy", 900, 5)
        assert resting(world) == [("Buy", 900, 5)]


@pytest.mark.parametrize("changes", [{"side": "Sell"}, {"post_only": False}])
async def test_what_a_replacement_cannot_change_is_cancelled_first(
    way: str, changes: dict[str, Any], autojump_clock: MockClock
) -> None:
    async with open_orders_world(way) as world, world.oms.order_scope(ASSET) as orders:
        first = handle_of(await orders.keep("quote", "Buy", 900, 5))
        terms: dict[str, Any] = {"side": "Buy", "price": 905, "quantity": 5, **changes}
        second = handle_of(await orders.keep("quote", **terms))
        assert second is not first
        assert first.state is OrderState.CANCELED
        assert len(resting(world)) == 1
        kinds_of_both = [(effect.kind, effect.order_id) for effect in world.exchange.effects][-3:]
        assert kinds_of_both == [
            ("create", first.order_id),
            ("cancel", first.order_id),
            ("create", second.order_id),
        ]


async def test_a_refused_replacement_leaves_the_order_at_its_old_terms(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way) as world, world.oms.order_scope(ASSET) as orders:
        first = handle_of(await orders.keep("bid", "Buy", 900, 5))
        trade(world, 950, 5)
        await trio.sleep(1)
        answers = len(world.exchange.answers)
        with pytest.raises(OrderRejected):
            await orders.keep("bid", "Buy", 960, 5)
        assert ("Buy", 900, 5) in resting(world)
        assert len(world.exchange.answers) == answers + 1
        assert await orders.keep("bid", "Buy", 900, 5) is first
        assert len(world.exchange.answers) == answers + 1


async def test_a_replacement_that_nothing_confirms_is_requested_again(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way) as world, world.oms.order_scope(ASSET) as orders:
        bid = handle_of(await orders.keep("bid", "Buy", 900, 5))
        trade(world, 900, 2)
        await trio.sleep(1)
        world.exchange.faults.refuse_later()
        world.exchange.faults.lose_events(world.user, 1)
        await orders.keep("bid", "Buy", 901, 5)  # the service took it, and the book did not
        assert resting(world) == [("Buy", 900, 3)]
        await orders.keep("bid", "Buy", 901, 5)
        assert resting(world) == [("Buy", 900, 3)]  # a confirmation may still come
        await trio.sleep(3)
        trade(world, 900, 1)
        await trio.sleep(1)
        await orders.keep("bid", "Buy", 901, 5)
        assert resting(world) == [("Buy", 901, 4)]  # the total of before, which counts the last trade
        assert kinds(world, bid.order_id)[-1] == "replace"


async def test_a_refused_new_order_is_made_by_the_next_call(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way) as world, world.oms.order_scope(ASSET) as orders:
        trade(world, 950, 5)
        with pytest.raises(OrderRejected):
            await orders.keep("bid", "Buy", 960, 5)
        assert resting(world) == []
        await orders.keep("bid", "Buy", 940, 5)
        assert resting(world) == [("Buy", 940, 5)]


@asynccontextmanager
async def read_at_once(order: OrderHandle) -> AsyncGenerator[None]:
    """Let a task wait for an order during the block: then the client reads each event of its orders as it comes."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(order.wait_done)
        yield
        nursery.cancel_scope.cancel()


async def test_an_order_that_the_book_removes_at_once_is_not_created_again(way: str, autojump_clock: MockClock) -> None:
    """The book would remove each of them, and the service would get orders as fast as it answers."""
    async with open_orders_world(way) as world, world.oms.order_scope(ASSET) as orders:
        own = await orders.create_limit_order(5, 901, "Sell")
        sent = len(world.exchange.answers)
        async with read_at_once(own):
            kept = handle_of(await orders.keep("bid", "Buy", 901, 5, post_only=False))
            await kept.wait_done()
            assert kept.end is not None
            assert kept.end.reason == "SelfTradePrevented"
            assert len(world.exchange.answers) == sent + 1
            assert await orders.keep("bid", "Buy", 901, 5, post_only=False) is not kept, "the next call tries again"
            assert len(world.exchange.answers) == sent + 2


async def test_an_order_that_the_book_refuses_later_is_not_created_again(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way) as world, world.oms.order_scope(ASSET) as orders:
        own = await orders.create_limit_order(5, 950, "Sell")
        world.exchange.faults.refuse_later()
        sent = len(world.exchange.answers)
        async with read_at_once(own):
            with suppress(OrderRejected):  # if its refusal comes before the answer
                await orders.keep("bid", "Buy", 900, 5)
            await trio.sleep(10.0)
        assert len(world.exchange.answers) == sent + 1


async def test_the_order_vanishes_and_the_replacement_makes_a_new_one(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way) as world, world.oms.order_scope(ASSET) as orders:
        first = handle_of(await orders.keep("bid", "Buy", 900, 5))
        world.exchange.cancel(world.user, first.order_id)
        second = handle_of(await orders.keep("bid", "Buy", 905, 5))
        assert second is not first
        assert resting(world) == [("Buy", 905, 5)]


@pytest.mark.parametrize("way_to_lose", ["nothing", 503, "garbage"])
async def test_after_a_doubt_one_order_rests_at_the_terms_of_the_next_call(
    way: str, way_to_lose: Any, autojump_clock: MockClock
) -> None:
    async with open_orders_world(way) as world, world.oms.order_scope(ASSET) as orders:
        for price in (900, 905):
            world.exchange.faults.act_then_answer(way_to_lose)
            with trio.move_on_after(0.5):
                await orders.keep("bid", "Buy", price, 5)
            await orders.keep("bid", "Buy", price + 1, 4)
            assert resting(world) == [("Buy", price + 1, 4)]
            await trio.sleep(20)
            assert resting(world) == [("Buy", price + 1, 4)]


async def test_the_latest_call_wins(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way) as world, world.oms.order_scope(ASSET) as orders:
        results: dict[int, OrderHandle | None] = {}

        async def keep(price: int) -> None:
            results[price] = await orders.keep("bid", "Buy", price, 5)

        async with trio.open_nursery() as nursery:
            for price in range(900, 910):
                nursery.start_soon(keep, price)
                await trio.lowlevel.checkpoint()
        last = handle_of(await orders.keep("bid", "Buy", 909, 5))
        assert resting(world) == [("Buy", 909, 5)]
        assert {price: result for price, result in results.items() if result is not None} == {909: last}
        sent = times_sent(world, "create", last.order_id) + times_sent(world, "replace", last.order_id)
        assert sent <= 2


async def test_a_key_is_of_one_scope_at_a_time(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way) as world, world.oms.order_scope(ASSET) as outer:
        await outer.keep("bid", "Buy", 900, 5)
        async with world.oms.order_scope(ASSET) as inner, world.oms.order_scope(ASSET, user=OTHER) as of_another:
            with pytest.raises(RuntimeError, match="'bid' is in use"):
                await inner.keep("bid", "Buy", 900, 5)
            await of_another.keep("bid", "Buy", 880, 1)
            await inner.keep("ask", "Sell", 1100, 5)
        assert resting(world) == [("Buy", 900, 5)]
        assert world.exchange.resting(OTHER) == ()
        await outer.keep("ask", "Sell", 1200, 5)
        assert len(resting(world)) == 2


async def test_a_key_whose_order_may_rest_is_waited_for_by_the_next_scope(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way) as world:
        first = world.oms.order_scope(ASSET, deadline=1.0)
        await first.__aenter__()
        await first.keep("bid", "Buy", 900, 5)
        world.network.partition(10)
        with pytest.raises(OrdersLeftResting):
            await first.__aexit__(None, None, None)
        async with world.oms.order_scope(ASSET) as second:
            assert resting(world) == [("Buy", 900, 5)]
            with trio.move_on_after(0.5) as scope:
                await second.keep("bid", "Buy", 905, 5)
            assert scope.cancelled_caught
            assert resting(world) == [("Buy", 900, 5)]
            await trio.sleep(30)
            await second.keep("bid", "Buy", 905, 5)
            assert resting(world) == [("Buy", 905, 5)]


async def test_limits_hold_for_kept_orders(way: str, autojump_clock: MockClock) -> None:
    limits = OrderLimits(max_quantity=D(1))
    async with open_orders_world(way, limits=limits) as world, world.oms.order_scope(ASSET) as orders:
        sent = len(world.exchange.answers)
        with pytest.raises(OrderLimitExceeded):
            await orders.keep("bid", "Buy", 900, D(2))
        assert len(world.exchange.answers) == sent
        assert orders.open == ()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"key": ""}, "key"),
        ({"key": 3}, "key"),
        ({"side": "Up"}, "side"),
        ({"price": 0}, "price"),
        ({"price": 1.5}, "price"),
        ({"price": D("NaN")}, "price"),
        ({"quantity": -1}, "quantity"),
        ({"quantity": True}, "quantity"),
        ({"quantity": False}, "quantity"),
        ({"quantity": D("sNaN")}, "quantity"),
        ({"quantity": D("Infinity")}, "quantity"),
        ({"post_only": 1}, "post_only"),
        ({"reduce_only": None}, "reduce_only"),
        ({"refill": "yes"}, "refill"),
        ({"target": 2}, "target"),
    ],
)
async def test_bad_arguments_are_named_and_nothing_is_sent(
    arguments: dict[str, Any], message: str, autojump_clock: MockClock
) -> None:
    async with open_orders_world("rest") as world, world.oms.order_scope(ASSET) as orders:
        before = sum(world.exchange.requests.values())
        good: dict[str, Any] = {"key": "bid", "side": "Buy", "price": 900, "quantity": 5}
        with pytest.raises((TypeError, ValueError), match=message):
            await orders.keep(**{**good, **arguments})
        assert sum(world.exchange.requests.values()) == before
        assert orders.open == ()
        assert resting(world) == []


async def both(orders: OrderScope, bid: int, ask: int) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(orders.keep, "bid", "Buy", bid, 5)
        nursery.start_soon(orders.keep, "ask", "Sell", ask, 5)


async def test_a_requote_of_both_sides_takes_one_round_trip(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way) as world, world.oms.order_scope(ASSET) as orders:
        await both(orders, 900, 1100)
        await trio.sleep(1)
        world.network.delay(0.05)
        await both(orders, 901, 1101)  # opens connections
        await trio.sleep(1)
        began = trio.current_time()
        await both(orders, 902, 1102)
        assert trio.current_time() - began == pytest.approx(0.1)
        assert sorted(resting(world)) == [("Buy", 902, 5), ("Sell", 1102, 5)]


async def test_a_replacement_whose_fate_cannot_be_found_out_ends_with_the_order(
    way: str, autojump_clock: MockClock
) -> None:
    async with open_orders_world(way) as world, world.oms.order_scope(ASSET) as orders:
        first = handle_of(await orders.keep("bid", "Buy", 900, 5))
        world.network.partition(5)
        with trio.move_on_after(0.5):
            await orders.keep("bid", "Buy", 905, 5)
        with trio.fail_after(30):
            second = handle_of(await orders.keep("bid", "Buy", 905, 4))
        assert second is not first
        assert first.state is OrderState.CANCELED
        assert resting(world) == [("Buy", 905, 4)]
        assert world.oms.orders_in_doubt == ()

"""A scope of orders takes back what was placed in it, however its block ends."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.order_calls_in_doubt import open_orders_world
from tests.helpers.recording_observer import RecordingObserver
from tests.helpers.world import ASSET, World
from tplus_trio import OrderBookClient, OrderScope, OrdersLeftResting, OrderState, OrderTrigger, TriggerAbove


@pytest.fixture(params=["rest", "control"])
def way(request: pytest.FixtureRequest) -> str:
    """The way that requests about orders are sent."""
    return str(request.param)


def resting(world: World) -> list[str]:
    return [order.order_id for order in world.exchange.resting(world.user)]


async def quote(orders: OrderScope) -> None:
    """Place a kept order, a plain one, and one that waits for its trigger."""
    await orders.keep("bid", "Buy", 900, 5)
    await orders.create_limit_order(5, 905, "Buy")
    await orders.create_limit_order(5, 910, "Sell", trigger=OrderTrigger(None, TriggerAbove(2000)))


class Left(Exception):
    """Raised by a body."""


async def normally(_: OrderScope) -> None:
    pass


async def by_exception(_: OrderScope) -> None:
    raise Left


async def by_interrupt(_: OrderScope) -> None:
    raise KeyboardInterrupt


async def by_cancellation(_: OrderScope) -> None:
    await trio.sleep_forever()


@pytest.mark.parametrize(
    ("body", "raised"),
    [(normally, None), (by_exception, Left), (by_interrupt, KeyboardInterrupt), (by_cancellation, None)],
    ids=["normally", "exception", "interrupt", "cancellation"],
)
async def test_whatever_leaves_the_block_takes_the_orders_back(
    way: str,
    body: Callable[[OrderScope], Awaitable[None]],
    raised: type[BaseException] | None,
    autojump_clock: MockClock,
) -> None:
    async with open_orders_world(way) as world:
        orders, outside = world.oms.order_scope(ASSET), trio.CancelScope(deadline=trio.current_time() + 5)
        caught: BaseException | None = None
        try:
            with outside:
                async with orders:
                    await quote(orders)
                    assert len(orders.open) == 3
                    await body(orders)
        except (Left, KeyboardInterrupt) as exc:
            caught = exc
        assert (None if caught is None else type(caught)) is raised
        assert outside.cancelled_caught is (body is by_cancellation)
        assert resting(world) == []
        assert orders.left_resting == () == world.oms.orders_in_doubt
        assert orders.open == ()
        with pytest.raises(trio.ClosedResourceError, match="has been left"):
            await orders.keep("bid", "Buy", 900, 5)
        with pytest.raises(trio.ClosedResourceError, match="has been left"):
            await orders.create_limit_order(5, 905, "Buy")


async def test_orders_of_others_are_left_alone(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way) as world:
        await world.oms.create_limit_order(5, 880, "Buy", asset_id=ASSET, order_id="of the client")
        async with world.oms.order_scope(ASSET) as orders:
            await quote(orders)
            world.exchange.place(world.user, ASSET, "Buy", 870, 1, order_id="by hand")
            await orders.cancel_all()
            assert sorted(resting(world)) == ["by hand", "of the client"]
        assert sorted(resting(world)) == ["by hand", "of the client"]


async def test_what_is_not_proved_gone_is_named(
    way: str, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    observer = RecordingObserver()
    async with open_orders_world(way, observer=observer) as world:
        orders = world.oms.order_scope(ASSET, deadline=2.0)
        await orders.__aenter__()
        handle = await orders.create_limit_order(5, 905, "Buy")
        world.network.partition(10)
        left_at = trio.current_time()
        with pytest.raises(OrdersLeftResting) as caught:
            await orders.__aexit__(None, None, None)
        assert trio.current_time() - left_at == pytest.approx(2.0)
        assert [order.order_id for order in caught.value.orders] == [handle.order_id]
        assert caught.value.orders == orders.left_resting
        assert [order.order_id for order in world.oms.orders_in_doubt] == [handle.order_id]
        assert ("orders_left_resting", ((handle.order_id,),)) in [(name, args) for name, args in observer.calls]
        (record,) = [one for one in caplog.records if getattr(one, "event", "") == "orders_left_resting"]
        assert record.levelno == logging.ERROR
        await trio.sleep(30)
        assert resting(world) == []
        assert world.oms.orders_in_doubt == ()
        assert handle.state is OrderState.CANCELED


async def test_an_exception_of_the_body_is_not_replaced(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way) as world:
        orders = world.oms.order_scope(ASSET, deadline=1.0)

        async def leave() -> None:
            async with orders:
                await orders.create_limit_order(5, 905, "Buy")
                world.network.partition(10)
                raise Left

        with pytest.raises(Left):
            await leave()
        assert len(orders.left_resting) == 1


@pytest.mark.parametrize("call", ["create", "keep", "replace", "market"])
async def test_a_cancelled_call_ends_at_once_and_its_order_is_taken_back(
    way: str, call: str, autojump_clock: MockClock
) -> None:
    async with open_orders_world(way) as world:
        async with world.oms.order_scope(ASSET) as orders:
            handle = await orders.create_limit_order(5, 905, "Buy")
            world.exchange.faults.act_then_answer("nothing")
            calls: dict[str, Callable[[], Awaitable[Any]]] = {
                "create": lambda: orders.create_limit_order(5, 900, "Buy"),
                "keep": lambda: orders.keep("bid", "Buy", 900, 5),
                "replace": lambda: orders.replace_order(handle, 5, 890),
                "market": lambda: orders.create_market_order("Sell", base_quantity=1),
            }
            with trio.move_on_after(0.5) as scope:
                await calls[call]()
            assert scope.cancelled_caught
            assert trio.current_time() - scope.deadline == pytest.approx(0.0)
        assert resting(world) == []
        assert orders.left_resting == ()
        await trio.sleep(10)
        assert world.oms.orders_in_doubt == ()


async def test_a_call_that_is_under_way_elsewhere_ends_with_the_scope(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way) as world, trio.open_nursery() as nursery:
        ended: list[str] = []

        async def place() -> None:
            with pytest.raises(trio.ClosedResourceError, match="has been left"):
                await orders.create_limit_order(5, 905, "Buy")
            ended.append("call")

        world.exchange.faults.delay_requests("/orders/create", 1.0)
        world.exchange.faults.hold_requests(1.0, path="/control" if way == "control" else "/none")
        async with world.oms.order_scope(ASSET) as orders:
            nursery.start_soon(place)
            await trio.sleep(0.5)
        ended.append("scope")
        assert ended == ["call", "scope"]
        await trio.sleep(10)
        assert resting(world) == []


async def test_a_scope_needs_a_client_that_was_entered() -> None:
    client = OrderBookClient("http://exchange", default_user=None)
    with pytest.raises(Exception, match="user"):
        client.order_scope(ASSET)


async def test_a_scope_of_a_client_that_was_not_entered_is_refused(autojump_clock: MockClock) -> None:
    async with open_orders_world("rest") as world:
        idle = OrderBookClient("http://exchange", connector=world.network, default_user=world.user)
        with pytest.raises(RuntimeError, match="was not entered"):
            async with idle.order_scope(ASSET):
                pass
    with pytest.raises(RuntimeError, match="has been left"):
        async with world.oms.order_scope(ASSET):
            pass

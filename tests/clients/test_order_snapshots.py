"""The snapshot of an order stream: open orders only, one request where the service can leave out the others."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.world import ASSET, World, feeds_are_live, open_world
from tplus_trio import OrderCreatedEvent, OrderRemovedEvent, OrdersSnapshot, OrderStatus, Stream, codec
from tplus_trio.testing import Response

Row = dict[str, Any]


def listings(world: World) -> int:
    return world.exchange.requests["GET", f"/orders/user/{world.user.public_key}"]


async def snapshot_of(orders: Stream[Any]) -> OrdersSnapshot:
    with trio.fail_after(60):
        while not isinstance(item := await orders.receive(), OrdersSnapshot):
            pass
    return item


async def row(world: World, order_id: str, **changes: object) -> Row:
    listed = (await world.oms.get_user_orders()).orders
    return {**codec.unstructure(listed[0]), "order_id": order_id, **changes}


def answer(world: World, body: object) -> None:
    path = f"/orders/user/{world.user.public_key}"
    world.exchange.faults.answer_requests(path, Response(200, json.dumps(body).encode()))


async def test_thousands_of_old_orders_cost_one_request(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        await world.oms.create_limit_order(1, 900, "Buy", asset_id=ASSET, order_id="mine")
        await feeds_are_live(world)
        for _ in range(2_500):
            placed = world.exchange.place(world.user, ASSET, "Buy", 800, 1)
            world.exchange.cancel(world.user, placed.order_id)
        before = listings(world)
        async with world.oms.stream_orders(snapshot=True) as orders:
            snapshot = await snapshot_of(orders)
        assert listings(world) == before + 1
        assert [order.order_id for order in snapshot.orders] == ["mine"]
        assert (snapshot.open_only, snapshot.is_complete) == (True, True)


async def test_a_stream_begins_with_a_snapshot_only_if_asked_to(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        await world.oms.create_limit_order(1, 900, "Buy", asset_id=ASSET, order_id="first")
        async with world.oms.stream_orders(snapshot=True) as asked, world.oms.stream_orders() as other:
            await asked.wait_live()
            await other.wait_live()
            await world.oms.create_limit_order(1, 900, "Buy", asset_id=ASSET, order_id="second")
            first, then = await asked.receive(), await asked.receive()
            assert isinstance(first, OrdersSnapshot)
            assert isinstance(then, OrderCreatedEvent)
            assert isinstance(await other.receive(), OrderCreatedEvent)
            assert (asked.stats.gaps, asked.stats.resyncs) == (0, 0)
            world.network.reset_connections()
            assert len((await snapshot_of(asked)).orders) == 2
            assert asked.stats.resyncs == 1
        with pytest.raises(TypeError, match="snapshot"):
            world.oms.stream_orders(snapshot=1)  # type: ignore[arg-type]  # illegal on purpose


async def test_a_service_that_ignores_the_filter_is_read_to_the_end(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        await world.oms.create_limit_order(1, 900, "Buy", asset_id=ASSET)
        await feeds_are_live(world)
        done, opened = await row(world, "done", status="Completed"), await row(world, "open")
        odd = await row(world, "odd", status="Frozen")
        answer(world, {"orders": [done, odd], "has_next_page": True})
        answer(world, {"orders": [odd, opened], "has_next_page": False})
        before = listings(world)
        async with world.oms.stream_orders(snapshot=True) as orders:
            snapshot = await snapshot_of(orders)
        assert listings(world) == before + 2
        assert [order.order_id for order in snapshot.orders] == ["odd", "open"]
        assert (snapshot.open_only, snapshot.is_complete) == (True, True)


async def test_a_full_page_that_says_nothing_of_the_next_is_not_the_last(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        await world.oms.create_limit_order(1, 900, "Buy", asset_id=ASSET)
        await feeds_are_live(world)
        one = await row(world, "x")
        full = [{**one, "order_id": str(number)} for number in range(1000)]
        bodies: list[object] = [{"orders": full}, {"orders": [{**one, "order_id": "last"}]}, []]
        for body in bodies:
            answer(world, body)
        async with world.oms.stream_orders(snapshot=True) as orders:
            snapshot = await snapshot_of(orders)
        assert len(snapshot.orders) == 1001
        assert snapshot.is_complete


async def test_several_pages_while_an_order_ends_are_not_complete(autojump_clock: MockClock) -> None:
    async with open_world() as world, world.oms.stream_orders() as orders:
        await orders.wait_live()
        await world.oms.create_limit_order(1, 900, "Buy", asset_id=ASSET, order_id="gone")
        await feeds_are_live(world)
        one = await row(world, "x")
        world.exchange.faults.delay_requests("/orders/user", 1.0, 2)
        answer(world, {"orders": [one], "has_next_page": True})
        answer(world, {"orders": [{**one, "order_id": "y"}], "has_next_page": False})
        orders.resync()
        await trio.sleep(0.5)
        await world.oms.cancel_order("gone", ASSET)
        snapshot = await snapshot_of(orders)
        assert [order.order_id for order in snapshot.orders] == ["x", "y"]
        assert not snapshot.is_complete


@pytest.mark.parametrize("shown", ["stale", "newer"])
async def test_a_removed_order_is_not_open_again(shown: str, autojump_clock: MockClock) -> None:
    async with open_world() as world, world.oms.stream_orders() as orders:
        await orders.wait_live()
        await world.oms.create_limit_order(1, 900, "Buy", asset_id=ASSET, order_id="gone")
        await feeds_are_live(world)
        old = await row(world, "gone")
        await world.oms.cancel_order("gone", ASSET)
        with trio.fail_after(10):
            while not isinstance(event := await orders.receive(), OrderRemovedEvent):
                pass
        # An id may be used again where the service allows that.
        made_ns = old["timestamp_ns"] if shown == "stale" else event.timestamp_ns + 1
        answer(world, {"orders": [{**old, "timestamp_ns": made_ns}], "has_next_page": False})
        orders.resync()
        snapshot = await snapshot_of(orders)
        assert [order.order_id for order in snapshot.orders] == ([] if shown == "stale" else ["gone"])


STATUSES: list[tuple[str, bool, bool]] = [
    *((word, True, False) for word in ("Pending", "Open", "Partial", "open")),
    *((word, False, True) for word in ("Cancelled", "Closed", "Completed", "CANCELED")),
    *((word, False, False) for word in ("Frozen", "")),
]


@pytest.mark.parametrize(("word", "is_open", "is_done"), STATUSES)
def test_a_status_says_whether_the_order_is_open(word: str, is_open: bool, is_done: bool) -> None:
    status = OrderStatus.read(word)
    assert (status.is_open, status.is_done, status.is_known) == (is_open, is_done, is_open or is_done)
    if not status.is_known:
        assert status == word
        make: Callable[[str], OrderStatus] = OrderStatus
        with pytest.raises(ValueError, match="OrderStatus"):
            make(word)


async def test_the_status_of_an_order_is_still_a_text(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        await world.oms.create_limit_order(1, 900, "Buy", asset_id=ASSET)
        await feeds_are_live(world)
        ((order,), _) = await world.oms.get_user_orders(open_only=True)
        assert order.status == "Open"
        assert order.is_open
        assert not order.is_done
        await world.oms.cancel_order(order.order_id, ASSET)
        assert not (await world.oms.get_user_orders(open_only=True)).orders
        ((order,), _) = await world.oms.get_user_orders(open_only=False)
        assert order.is_done

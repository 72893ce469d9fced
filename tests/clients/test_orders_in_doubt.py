"""An order in doubt is watched for as long as its client lives: it gets what its caller wanted when it shows up."""

from __future__ import annotations

import logging
from decimal import Decimal

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.order_calls_in_doubt import (
    ALL_RULES,
    NO_RULES,
    kinds,
    open_orders_world,
    outcome_of,
    place,
    times_sent,
)
from tests.helpers.recording_observer import RecordingObserver
from tests.helpers.world import ASSET, World
from tplus_trio import OrderFateUnknown
from tplus_trio.orders.unsettled import OnCancel


@pytest.fixture(params=["rest", "control"])
def way(request: pytest.FixtureRequest) -> str:
    """The way that requests about orders are sent."""
    return str(request.param)


async def doubt(world: World, order_id: str = "a", *, seconds: float = 30.0, on_cancel: OnCancel = "cancel") -> None:
    """Create an order that the exchange takes only so many seconds later; the caller waits for 15 s."""
    world.exchange.faults.hold_requests(seconds)
    with pytest.raises(OrderFateUnknown):
        await place(world, order_id, on_cancel=on_cancel)


def names(world: World) -> list[str]:
    return [doubt.order_id for doubt in world.oms.orders_in_doubt]


@pytest.mark.parametrize("is_cancelled", [True, False])
@pytest.mark.parametrize("on_cancel", ["cancel", "resolve", "leave"])
async def test_an_order_that_shows_up_late_gets_what_its_caller_wanted(
    way: str, on_cancel: OnCancel, is_cancelled: bool, autojump_clock: MockClock
) -> None:
    async with open_orders_world(way, NO_RULES) as world:
        if is_cancelled:
            world.exchange.faults.hold_requests(30.0)
            with trio.move_on_after(1):
                await place(world, "a", on_cancel=on_cancel)
        else:
            await doubt(world, on_cancel=on_cancel)
        assert names(world) == ["a"]
        assert world.oms.orders_in_doubt[0].on_cancel == on_cancel
        await trio.sleep(31)
        assert kinds(world, "a") == (["create", "cancel"] if on_cancel == "cancel" else ["create"])
        assert names(world) == []
        if on_cancel != "cancel":
            assert times_sent(world, "cancel", "a") == 0


async def test_it_is_taken_back_on_sight(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way, NO_RULES) as world:
        await doubt(world, seconds=60.0)
        await trio.sleep(60)
        create, cancel = (effect for effect in world.exchange.effects_of(world.user, "a") if effect.kind != "refuse")
        assert (create.kind, cancel.kind) == ("create", "cancel")
        assert cancel.time_ns - create.time_ns < 1e8


async def test_a_later_listing_alone_is_enough(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way, NO_RULES) as world:
        world.exchange.faults.stall_feed("/orders", 300)
        await doubt(world, seconds=40.0)
        await trio.sleep(120)
        assert kinds(world, "a") == ["create", "cancel"]
        assert names(world) == []


async def test_an_order_is_in_doubt_while_its_call_finds_out(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way, NO_RULES) as world, trio.open_nursery() as nursery:
        world.exchange.faults.hold_requests(60.0)
        nursery.start_soon(outcome_of, lambda: place(world, "a"))
        await trio.sleep(9)
        assert names(world) == [], "the answer may still come"
        await trio.sleep(2)
        assert names(world) == ["a"]
        await trio.sleep(9)
        assert names(world) == ["a"]


async def test_orders_are_listed_in_the_order_in_which_they_came_into_doubt(
    way: str, autojump_clock: MockClock
) -> None:
    async with open_orders_world(way, NO_RULES) as world:
        await place(world, "b")
        await doubt(world, "a", seconds=60.0)
        world.exchange.faults.hold_requests(60.0, 2)
        assert await outcome_of(lambda: world.oms.replace_order("b", ASSET, 7, 905)) == "unknown"
        assert [(one.order_id, one.operation, one.on_cancel) for one in world.oms.orders_in_doubt] == [
            ("a", "create", "cancel"),
            ("b", "replace", "resolve"),
        ]


# Observers and logs.


async def test_the_observer_and_the_log_are_told_twice(
    way: str, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tplus_trio.orders")
    observer = RecordingObserver()
    async with open_orders_world(way, NO_RULES, observer=observer) as world:
        observer.calls.clear()
        await doubt(world, on_cancel="resolve")
        assert observer.of("order_fate") == [("create", "a", "unknown")]
        await trio.sleep(30)
        assert observer.of("order_sent") == [("create", "a")]
        assert observer.of("order_fate") == [("create", "a", "unknown"), ("create", "a", "done")]
    lines = [
        (record.levelname, vars(record)["event"], vars(record)["fields"])
        for record in caplog.records
        if record.name == "tplus_trio.orders"
    ]
    (_, _, first), _ = lines
    assert first.pop("why").startswith("there was no answer (")
    assert lines == [
        ("WARNING", "order_in_doubt", {"operation": "create", "order_id": "a"}),
        ("INFO", "order_settled", {"operation": "create", "order_id": "a", "fate": "done"}),
    ]


async def test_a_fate_that_was_found_out_in_time_is_told_once(way: str, autojump_clock: MockClock) -> None:
    observer = RecordingObserver()
    async with open_orders_world(way, NO_RULES, observer=observer) as world:
        observer.calls.clear()
        world.exchange.faults.act_then_answer(504)
        await place(world, "a")
        await trio.sleep(60)
        assert observer.of("order_fate") == [("create", "a", "done")]


async def test_the_exposure_counts_an_order_in_doubt_until_it_is_settled(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way, NO_RULES) as world:
        await doubt(world)
        assert (await world.oms.exposure(ASSET)).in_doubt_buys == Decimal("0.005")
        await trio.sleep(30)
        exposure = await world.oms.exposure(ASSET)
        assert (exposure.in_doubt_buys, exposure.resting_buys) == (Decimal(0), Decimal(0))


# Leaving the client.


async def test_leaving_the_client_waits_for_orders_in_doubt(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way, NO_RULES, resolve_timeout=4.0) as world:
        await doubt(world, seconds=16.0)
        left = trio.current_time()
    assert trio.current_time() - left < 4
    assert kinds(world, "a") == ["create", "cancel"]
    assert names(world) == []


@pytest.mark.parametrize("is_cancelled", [True, False])
async def test_leaving_the_client_waits_no_longer_than_the_timeout(
    way: str, is_cancelled: bool, autojump_clock: MockClock
) -> None:
    left: list[tuple[World, float]] = []
    with trio.CancelScope() as scope:
        async with open_orders_world(way, NO_RULES, resolve_timeout=4.0) as world:
            await doubt(world, seconds=60.0)
            left.append((world, trio.current_time()))
            if is_cancelled:
                scope.cancel()
    ((world_left, time),) = left
    assert 4 <= trio.current_time() - time < 6
    assert names(world_left) == ["a"], "it can be read afterwards too"


async def test_leaving_a_client_without_doubts_does_not_wait(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way, NO_RULES) as world:
        await place(world, "a")
        await trio.sleep(10)
        left = trio.current_time()
    assert trio.current_time() - left < 1


async def test_an_order_that_is_to_be_left_alone_delays_nobody(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way, NO_RULES) as world:
        await doubt(world, seconds=60.0, on_cancel="leave")
        left = trio.current_time()
    assert trio.current_time() - left < 1
    assert names(world) == ["a"]


# A fence that comes later.


async def test_all_are_settled_soon_after_the_service_is_reached_again(way: str, autojump_clock: MockClock) -> None:
    async with open_orders_world(way, ALL_RULES) as world:
        async with trio.open_nursery() as nursery:
            world.exchange.faults.hold_requests(1.0, 5)
            for number in range(5):
                nursery.start_soon(outcome_of, lambda number=number: place(world, f"o{number}"))
            await trio.sleep(0.5)
            world.network.partition(60.0)
            reached_again = trio.current_time() + 60.0
        assert len(names(world)) == 5
        await trio.sleep_until(reached_again + 2.0)
        assert names(world) == []
        assert world.exchange.resting(world.user) == ()

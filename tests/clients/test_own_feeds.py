"""The feeds of a client's own orders: read in batches while nobody waits, at once while an order is in doubt."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.order_calls_in_doubt import NO_RULES, open_orders_world, outcome_of, place
from tests.helpers.world import ASSET, World, open_world


def own_feed(world: World) -> tuple[int, int]:
    """The items that the feed of the client's orders has delivered, and the items that it received."""
    (stream,) = [each for each in world.oms.statistics().streams if each.path == "/orders"]
    return stream.consumer.delivered, stream.connection.messages


async def test_items_that_nobody_waits_for_come_in_batches(autojump_clock: MockClock) -> None:
    async with open_orders_world("rest") as world:
        delivered, _ = own_feed(world)
        for _ in range(5):
            world.exchange.place(world.user, ASSET, "Buy", 90, 1)
            await trio.sleep(0.005)
        assert own_feed(world)[0] == delivered + 1  # the first one began the pause
        await trio.sleep(0.05)
        assert own_feed(world)[0] == delivered + 5


async def test_the_feeds_are_not_read_during_a_call(autojump_clock: MockClock) -> None:
    async with open_orders_world("rest") as world:
        delivered, _ = own_feed(world)
        world.exchange.place(world.user, ASSET, "Buy", 90, 1)
        await trio.sleep(0.001)
        assert own_feed(world)[0] == delivered + 1  # the pause begins
        await trio.sleep(0.045)
        world.exchange.faults.delay_requests("/orders/create", 0.01)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(place, world, "slow")
            await trio.sleep(0.001)
            world.exchange.place(world.user, ASSET, "Buy", 90, 1)
            await trio.sleep(0.008)  # the pause is over, and the call is not
            assert own_feed(world)[0] == delivered + 1
        await trio.sleep(0.001)
        assert own_feed(world)[0] == delivered + 3


async def test_a_call_that_lasts_does_not_keep_the_feeds_unread(autojump_clock: MockClock) -> None:
    async with open_orders_world("rest") as world:
        delivered, _ = own_feed(world)
        world.exchange.faults.delay_requests("/orders/create", 1.0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(place, world, "slow")
            for number in range(1, 6):
                await trio.sleep(0.1)
                world.exchange.place(world.user, ASSET, "Buy", 90, 1)
                await trio.sleep(0.001)
                assert own_feed(world)[0] >= delivered + number - 1


async def test_an_order_in_doubt_is_seen_at_once(autojump_clock: MockClock) -> None:
    async with open_orders_world("rest", rules=NO_RULES) as world:
        await place(world, "before")
        await trio.sleep(0.01)
        world.exchange.faults.act_then_answer(503)
        world.exchange.faults.fail_requests(f"/orders/user/{world.user.public_key}/{ASSET}", 503, 1000)
        asked_at = trio.current_time()
        assert await outcome_of(lambda: place(world, "lost")) == "done"
        assert trio.current_time() < asked_at + 0.03


async def test_the_first_order_of_a_user_fails_no_feed(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    # The listing that a feed begins with may be requested before the order arrives, and answered after.
    for latency in (0.0, 0.001, 0.01):
        async with open_world(latency=latency, orders={"use_ws_control": True}) as world:
            await place(world, "first")
            await trio.sleep(1)
    assert [record.message for record in caplog.records if "trying again" in record.message] == []

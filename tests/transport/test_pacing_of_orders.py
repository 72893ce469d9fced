"""What holds an order and what does not, as a client meets it: a 429 elsewhere, and snapshots that hang."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.world import ASSET, SNAPSHOT, World, feeds_are_live, open_world
from tplus_trio import RateLimitError
from tplus_trio.orders.sending import ORDER
from tplus_trio.transport.pacing import Pacer, Priority

#: Seconds for which the service asks for no requests.
PAUSE = 60.0


def calls_elsewhere(world: World) -> dict[str, Callable[[], Awaitable[object]]]:
    """A read for each kind of path, over the connections and the pauses of the client that trades."""
    read = partial(world.oms._service.request, "GET")
    return {
        "/klines": lambda: read(f"/klines/{ASSET}"),
        SNAPSHOT: lambda: read(SNAPSHOT),
        "/orders/user": world.oms.get_user_orders,
        "/market": lambda: read(f"/market/{ASSET}", dispatch=ORDER),
    }


@pytest.mark.parametrize("path", ["/klines", SNAPSHOT, "/orders/user", "/market"])
async def test_a_429_elsewhere_holds_no_order(path: str, autojump_clock: MockClock) -> None:
    async with open_world() as world:
        order = await world.oms.create_limit_order(5, 900, "Buy", asset_id=ASSET)
        world.exchange.faults.fail_requests(path, 429, retry_after=PAUSE)
        with pytest.raises(RateLimitError) as caught:
            await calls_elsewhere(world)[path]()
        assert caught.value.retry_after == PAUSE
        await world.oms.cancel_order(order.order_id, ASSET)
        await world.oms.create_limit_order(5, 900, "Buy", asset_id=ASSET)
        assert trio.current_time() == 0.0


@pytest.mark.parametrize("path", ["/orders/create", "/orders/cancel"])
async def test_a_429_on_an_order_path_holds_orders_and_other_requests(path: str, autojump_clock: MockClock) -> None:
    async with open_world(timeout=10.0) as world:
        order = await world.oms.create_limit_order(5, 900, "Buy", asset_id=ASSET)
        await feeds_are_live(world)
        end = trio.current_time() + PAUSE
        calls: list[Callable[[], Awaitable[object]]] = [
            partial(world.oms.create_limit_order, 5, 900, "Buy", asset_id=ASSET),
            partial(world.oms.cancel_order, order.order_id, ASSET),
        ]
        world.exchange.faults.fail_requests(path, 429, retry_after=PAUSE)
        with pytest.raises(RateLimitError) as caught:
            await calls[path == "/orders/cancel"]()
        assert caught.value.retry_after == PAUSE
        requests = sum(world.exchange.requests.values())
        for call in (*calls, world.oms.get_user_orders):
            await trio.sleep(1.0)
            with pytest.raises(RateLimitError) as caught:
                await call()
            assert caught.value.retry_after == pytest.approx(end - trio.current_time())
        assert sum(world.exchange.requests.values()) == requests, "they were refused unsent"
        await trio.sleep_until(end - 5.0)
        await calls[1]()
        assert trio.current_time() == pytest.approx(end)


async def test_an_order_goes_at_once_while_a_hundred_snapshots_hang(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        await world.oms.create_limit_order(5, 900, "Buy", asset_id=ASSET)
        world.exchange.faults.delay_requests(SNAPSHOT, 20.0, 200)
        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(world.oms._service.request, "GET", SNAPSHOT)
            await trio.sleep(0.5)
            before = trio.current_time()
            order = await world.oms.create_limit_order(5, 900, "Buy", asset_id=ASSET)
            await world.oms.cancel_order(order.order_id, ASSET)
            assert trio.current_time() == before
            nursery.cancel_scope.cancel()


async def test_waiting_cancels_are_sent_before_waiting_creates(autojump_clock: MockClock) -> None:
    async with open_world(timeout=10.0) as world:
        order = await world.oms.create_limit_order(5, 900, "Buy", asset_id=ASSET)
        world.exchange.faults.fail_requests("/orders/create", 429, retry_after=2.0)
        done: list[str] = []

        async def call(name: str, call: Callable[[], Awaitable[object]]) -> None:
            await call()
            done.append(name)

        create = partial(world.oms.create_limit_order, 5, 900, "Buy", asset_id=ASSET)
        with pytest.raises(RateLimitError):
            await create()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(call, "create", create)
            await trio.sleep(1.0)
            nursery.start_soon(call, "cancel", partial(world.oms.cancel_order, order.order_id, ASSET))
        assert done == ["cancel", "create"]


async def test_orders_do_not_wait_for_a_pause_that_snapshots_caused(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        world.exchange.faults.fail_requests("/orders/user", 429, retry_after=60.0)
        with pytest.raises(RateLimitError):
            await world.oms.get_user_orders()
        await world.oms.create_limit_order(5, 900, "Buy", asset_id=ASSET)
        assert trio.current_time() < 1.0


async def test_orders_do_not_wait_behind_a_thousand_snapshots(autojump_clock: MockClock) -> None:
    async with open_world(latency=0.01) as world:
        await world.oms.create_limit_order(5, 900, "Buy", asset_id=ASSET)
        world.exchange.faults.delay_requests("/orders/user", 5.0, 2000)
        async with trio.open_nursery() as nursery:
            for _ in range(1000):
                nursery.start_soon(world.oms.get_user_orders)
            await trio.sleep(0.5)
            before = trio.current_time()
            await world.oms.create_limit_order(5, 900, "Buy", asset_id=ASSET)
            assert trio.current_time() - before < 0.1
            nursery.cancel_scope.cancel()


async def test_a_cancel_is_not_sent_before_the_create_of_its_order(autojump_clock: MockClock) -> None:
    async with open_world(timeout=10.0) as world:
        create = partial(world.oms.create_limit_order, 5, 900, "Buy", asset_id=ASSET)
        await create()
        world.exchange.faults.fail_requests("/orders/create", 429, retry_after=2.0)
        with pytest.raises(RateLimitError):
            await create()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(create, order_id="mine"))
            await trio.sleep(1.0)
            await world.oms.cancel_order("mine", ASSET)  # the exchange knows it: the create came first


async def test_a_cancel_goes_first_after_a_create_of_its_order_that_was_given_up(autojump_clock: MockClock) -> None:
    async with open_world(timeout=10.0) as world:
        create = partial(world.oms.create_limit_order, 5, 900, "Buy", asset_id=ASSET)
        await create(order_id="mine")
        world.exchange.faults.fail_requests("/orders/create", 429, retry_after=2.0)
        with pytest.raises(RateLimitError):
            await create()
        with trio.move_on_after(0.5):
            await create(order_id="mine")
        async with trio.open_nursery() as nursery:
            other = partial(create, order_id="other")
            nursery.start_soon(other)
            await trio.sleep(0.5)
            await world.oms.cancel_order("mine", ASSET)
            assert world.exchange.requests["POST", "/orders/create"] == 2, "the other one still waits"


@pytest.mark.parametrize("path", ["/klines", "/trades"])
async def test_a_429_elsewhere_does_not_hold_the_handshake_of_a_control_channel(
    path: str, autojump_clock: MockClock
) -> None:
    async with open_world() as world:
        service = world.oms._service
        world.exchange.faults.fail_requests(path, 429, retry_after=PAUSE)
        world.exchange.faults.reject_handshakes(1, 429, retry_after=PAUSE)
        with pytest.raises(RateLimitError):
            await service.request("GET", f"{path}/{ASSET}")
        before = trio.current_time()
        async with trio.open_nursery() as nursery:
            # The other stream meets the refusal of a handshake.
            nursery.start_soon(world.md.stream_ticker(ASSET).receive)
            await trio.sleep(0.1)
            async with service.websocket("/control", user=world.user, required=True, priority=Priority.ORDER):
                assert trio.current_time() == before + 0.1
            nursery.cancel_scope.cancel()


async def test_a_429_for_the_handshake_of_a_control_channel_holds_it_and_other_requests(
    autojump_clock: MockClock,
) -> None:
    pacer = Pacer(lambda: 0.0)
    queue = pacer.handshake_queue(Priority.ORDER)
    assert queue is not pacer.handshake_queue(Priority.RECOVERY)
    pacer.answered(queue, 429, 0.0, 5.0)
    await pacer.queue(Priority.ORDER).acquire(Priority.ORDER)
    assert trio.current_time() == 0.0
    for other, priority in ((queue, Priority.ORDER), (pacer.queue(Priority.CALL), Priority.CALL)):
        await other.acquire(priority)
        assert trio.current_time() == pytest.approx(5.0)

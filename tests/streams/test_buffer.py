"""The buffer of a stream: order, waiting, the end, and cancellation."""

from __future__ import annotations

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.helpers.buffers import buffer_of, put, take
from tplus_trio import MarketDataClient, OrderBookDiff
from tplus_trio.testing import Exchange


async def test_items_arrive_in_order() -> None:
    buffer = buffer_of(10)
    await put(buffer, [1, 2])
    await put(buffer, ())
    await put(buffer, [3])
    assert len(buffer) == 3
    assert await take(buffer, 3) == [1, 2, 3]


async def test_a_consumer_waits_for_items() -> None:
    buffer, got = buffer_of(10), list[int]()

    async def consume() -> None:
        got.extend(await take(buffer, 3))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(consume)
        await wait_all_tasks_blocked()
        buffer.put_nowait([1])
        await wait_all_tasks_blocked()
        assert got == []
        buffer.put_nowait([2, 3])
    assert got == [1, 2, 3]


async def test_each_waiting_consumer_gets_one_item() -> None:
    buffer, got = buffer_of(10), list[int]()

    async def consume() -> None:
        got.append(await anext(buffer))

    with trio.move_on_after(5):
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(consume)
            await wait_all_tasks_blocked()
            buffer.put_nowait([1, 2, 3])
            await wait_all_tasks_blocked()
            assert sorted(got) == [1, 2, 3], "a consumer sleeps though there is an item"


async def test_a_cancelled_get_takes_nothing() -> None:
    buffer = buffer_of(10)
    with trio.CancelScope() as scope:
        scope.cancel()
        await anext(buffer)
    assert scope.cancelled_caught
    got = list[int]()

    async def consume() -> None:
        got.append(await anext(buffer))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(consume)
        await wait_all_tasks_blocked()
        # The item arrives before the consumer runs again: the consumer takes it or leaves it in the buffer.
        buffer.put_nowait([1])
        nursery.cancel_scope.cancel()
    buffer.put_nowait([2])
    assert got + await take(buffer, len(buffer)) == [1, 2]


async def test_an_item_for_a_cancelled_consumer_goes_to_the_next() -> None:
    buffer, got = buffer_of(10), list[int]()

    async def consume(scope: trio.CancelScope) -> None:
        with scope:
            got.append(await anext(buffer))

    first, second = trio.CancelScope(), trio.CancelScope()
    with trio.move_on_after(5):
        async with trio.open_nursery() as nursery:
            for scope in (first, second):
                nursery.start_soon(consume, scope)
                await wait_all_tasks_blocked()
            first.cancel()
            buffer.put_nowait([1])
            await wait_all_tasks_blocked()
            assert got == [1]
            second.cancel()


async def test_a_get_cancelled_before_it_begins_leaves_the_item() -> None:
    buffer = buffer_of(10)
    buffer.put_nowait([1, 2])
    with trio.CancelScope() as scope:
        scope.cancel()
        await anext(buffer)
    assert scope.cancelled_caught
    assert await take(buffer, 2) == [1, 2]


async def test_other_tasks_run_while_a_consumer_drains_a_full_buffer() -> None:
    buffer, turns = buffer_of(10_000), 0
    buffer.put_nowait(range(4000))

    async def neighbour() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(neighbour)
        await take(buffer, 4000)
        nursery.cancel_scope.cancel()
    assert turns >= 10


async def test_a_batch_is_taken_before_the_next_one_is_decoded(
    exchange: Exchange, market_data: MarketDataClient, autojump_clock: MockClock
) -> None:
    """Two batches at once would be so many objects that they start the garbage collector."""
    async with market_data.stream_depth(200) as stream:
        await stream.receive()
        last = exchange.book(200).sequence_number + 5000
        for n in range(5000):
            exchange.publish_diff(200, bids=[(n + 1, 1)])
        async for item in stream:
            if isinstance(item, OrderBookDiff) and item.sequence_number == last:
                break
        assert 64 < stream.statistics().consumer.peak_buffer_used <= 128

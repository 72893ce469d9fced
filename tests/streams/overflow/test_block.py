"""``"block"``: the producer waits for room, and nothing is lost."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.helpers.buffers import buffer_of, put, take

END = trio.ClosedResourceError("the end")


async def test_block_waits_for_room_and_loses_nothing() -> None:
    buffer, sent = buffer_of(4), 0

    async def produce() -> None:
        nonlocal sent
        for n in range(0, 30, 3):
            await put(buffer, [n, n + 1, n + 2])
            sent += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(produce)
        await wait_all_tasks_blocked()
        assert (sent, len(buffer)) == (1, 6)  # the second batch is in the buffer completely, and its producer waits
        got = await take(buffer, 2)
        await wait_all_tasks_blocked()
        got += await take(buffer, 28)
    assert got == list(range(30))
    assert sent == 10


async def test_a_cancelled_put_loses_nothing() -> None:
    buffer = buffer_of(2)
    with trio.move_on_after(0):
        await put(buffer, [1, 2, 3])
    with trio.move_on_after(0):
        await put(buffer, [4, 5])
    assert await take(buffer, 5) == [1, 2, 3, 4, 5]


async def test_close_wakes_producers_and_keeps_the_items() -> None:
    buffer, woken = buffer_of(1), list[str]()

    async def produce() -> None:
        await put(buffer, [1, 2])
        woken.append("producer")

    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(produce)
            await wait_all_tasks_blocked()
            buffer.close(END)
            buffer.close(ValueError("the second error does not count"))
            await put(buffer, [3])
    assert woken == ["producer"]
    assert await take(buffer, 2) == [1, 2]
    for _ in range(2):
        with pytest.raises(trio.ClosedResourceError, match="the end"):
            await anext(buffer)


async def test_close_wakes_waiting_consumers() -> None:
    buffer = buffer_of(1)

    async def consume() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await anext(buffer)

    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(consume)
        await wait_all_tasks_blocked()
        buffer.close(END)


async def test_clear_makes_room_for_a_waiting_producer() -> None:
    buffer = buffer_of(2)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(put, buffer, [1, 2, 3])
        await wait_all_tasks_blocked()
        buffer.clear()
    assert len(buffer) == 0

"""``"error"``: items without room raise, except those for a consumer that waits."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.helpers.buffers import buffer_of, put, take
from tplus_trio import SlowConsumer


async def test_error_raises_when_the_buffer_is_full() -> None:
    buffer = buffer_of(3, "error")
    await put(buffer, [1, 2])
    await put(buffer, [3])
    with pytest.raises(SlowConsumer) as caught:
        await put(buffer, [4])
    assert caught.value.buffer == 3
    assert await take(buffer, 3) == [1, 2, 3]  # and the items that waited are still in the buffer
    await put(buffer, [4])
    assert await take(buffer, 1) == [4]


async def test_error_keeps_the_items_that_fit() -> None:
    buffer = buffer_of(3, "error")
    await put(buffer, [1])
    with pytest.raises(SlowConsumer):
        await put(buffer, [2, 3, 4, 5])
    assert await take(buffer, 3) == [1, 2, 3]


async def test_error_accepts_a_whole_batch_for_a_waiting_consumer() -> None:
    buffer = buffer_of(3, "error")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(take, buffer, 2)
        await wait_all_tasks_blocked()
        buffer.put_nowait([1, 2, 3, 4, 5, 6])
        buffer.put_nowait([7, 8, 9])  # three more have room, before the consumer has taken any
        with pytest.raises(SlowConsumer):
            buffer.put_nowait([10])
    assert await take(buffer, 4) == [3, 4, 5, 6]  # the items for the waiting consumer are taken
    with pytest.raises(SlowConsumer):
        buffer.put_nowait([10])
    assert await take(buffer, 3) == [7, 8, 9]
    with pytest.raises(SlowConsumer):
        buffer.put_nowait([1, 2, 3, 4])  # no consumer waits

"""Calls on a stream that has ended change nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.world import ASSET, URL, World, open_world
from tplus_trio import LiveBook, MarketDataClient, StreamState


async def closed(world: World, stream: Any) -> None:
    async with stream:
        await trio.sleep(1)


async def cancelled_while_it_backs_off(world: World, stream: Any) -> None:
    world.network.refuse(1000)
    with trio.move_on_after(3):
        async with stream:
            await trio.sleep_forever()


async def failed(world: World, stream: Any) -> None:
    world.exchange.faults.reject_handshakes(1, 404)
    async with stream:
        await trio.sleep(1)


async def cancelled_while_it_connects(world: World, stream: Any) -> None:
    world.network.partition(1000)
    with trio.move_on_after(3):
        async with stream:
            await trio.sleep_forever()


async def left_with_its_client(world: World, stream: Any) -> None:
    """It was never started, and its client is left."""


@pytest.mark.parametrize(
    "end",
    [closed, cancelled_while_it_backs_off, failed, cancelled_while_it_connects, left_with_its_client],
    ids=lambda end: end.__name__,
)
@pytest.mark.parametrize(
    "make", [lambda md: md.stream_depth(ASSET), lambda md: md.open_book(ASSET), lambda md: md.stream_tickers()]
)
async def test_orders_to_a_stream_that_has_ended_change_nothing(
    make: Callable[[MarketDataClient], Any], end: Callable[[World, Any], Awaitable[None]], autojump_clock: MockClock
) -> None:
    async with open_world() as world:
        async with MarketDataClient(URL, connector=world.network) as md:
            stream = make(md)
            if end is not left_with_its_client:
                await end(world, stream)
        before = stream.stats
        for order in (stream.reconnect, stream.resync, stream.reconnect):
            order()
            assert stream.state is StreamState.CLOSED
            wait = stream.wait_synced if isinstance(stream, LiveBook) else stream.wait_live
            with trio.fail_after(0.1), pytest.raises(Exception) as caught:  # noqa: PT011 - its type depends on the end
                await wait()
            assert not isinstance(caught.value, trio.TooSlowError)
        await trio.sleep(60)
        assert stream.stats == before
        assert stream.state is StreamState.CLOSED

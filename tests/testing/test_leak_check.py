"""What `assert_no_leaks` finds, and what it lets pass."""

from __future__ import annotations

import socket
from contextlib import ExitStack

import pytest
import trio
from trio.testing import MockClock

from tplus_trio import MarketDataClient
from tplus_trio.testing import Exchange, MemoryNetwork, assert_no_leaks, serve


@pytest.mark.tplus_network(latency=0.1)
async def test_a_client_leaves_nothing(network: MemoryNetwork, autojump_clock: MockClock) -> None:
    async with assert_no_leaks():
        async with MarketDataClient(network.url, connector=network) as client:
            async for _ in client.stream_depth(200):
                break
        with trio.move_on_after(0.35):
            async with MarketDataClient(network.url, connector=network) as client, client.open_book(200) as book:
                await book.wait_synced()
                await trio.sleep_forever()


async def test_over_tcp_a_client_leaves_nothing(exchange: Exchange) -> None:
    async with (
        serve(exchange) as url,
        assert_no_leaks(),
        MarketDataClient(url) as client,
        client.open_book(200) as book,
    ):
        await book.wait_synced()


async def test_a_task_that_goes_on(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    with pytest.raises(AssertionError, match=r"left behind: task trio\.sleep_forever"):
        async with assert_no_leaks():
            nursery.start_soon(trio.sleep_forever)
    nursery.cancel_scope.cancel()


async def test_a_stream_that_goes_on(market_data: MarketDataClient, autojump_clock: MockClock) -> None:
    stream = market_data.stream_depth(200)
    with pytest.raises(AssertionError, match="left behind: task"):
        async with assert_no_leaks():
            await stream.receive()
    await stream.aclose()


async def test_a_task_that_takes_its_time(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with assert_no_leaks():
        nursery.start_soon(trio.sleep, 0.9)
    with pytest.raises(AssertionError):
        async with assert_no_leaks(grace=0.5):
            nursery.start_soon(trio.sleep, 0.9)


async def test_a_descriptor_that_stays_open(autojump_clock: MockClock) -> None:
    with pytest.raises(AssertionError, match=r"descriptor \d+ \(socket:"), ExitStack() as stack:
        async with assert_no_leaks():
            stack.enter_context(socket.socket())


async def test_a_descriptor_that_was_there_is_no_leak(autojump_clock: MockClock) -> None:
    with socket.socket():
        async with assert_no_leaks():
            await trio.sleep(1)


async def test_what_the_body_raises_comes_out(autojump_clock: MockClock) -> None:
    async def leak_and_fail(stack: ExitStack) -> None:
        async with assert_no_leaks():
            stack.enter_context(socket.socket())
            raise ValueError("its own")

    with ExitStack() as stack, pytest.raises(ValueError, match="its own"):
        await leak_and_fail(stack)

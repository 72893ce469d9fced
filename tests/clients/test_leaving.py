"""Leaving takes a bounded time in all, and what has ended stays ended."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.peers import Peer, websocket
from tests.helpers.world import ASSET, URL, open_world
from tplus_trio import ConnectionFailed, LiveBook, MarketDataClient, Stream, StreamState
from tplus_trio.testing import MemoryNetwork


async def ignore(peer: Peer) -> None:
    await peer.ignore()


@pytest.mark.parametrize(("close_timeout", "most"), [(1.0, 1.2), (0.2, 0.4), (0.0, 0.0)])
async def test_thirty_streams_of_a_peer_that_is_gone(
    close_timeout: float, most: float, autojump_clock: MockClock
) -> None:
    async with (
        MemoryNetwork(handler=websocket(ignore)) as network,
        MarketDataClient(URL, connector=network, close_timeout=close_timeout) as md,
    ):
        async with AsyncExitStack() as stack:
            for _ in range(30):
                stream = await stack.enter_async_context(md.stream_tickers())
                await stream.wait_live()
            before = trio.current_time()
        assert trio.current_time() - before <= most
        assert network.open_connections == 0


async def test_many_streams_that_are_left_at_once(autojump_clock: MockClock) -> None:
    async with MemoryNetwork(handler=websocket(ignore)) as network:
        async with MarketDataClient(URL, connector=network) as md:
            loops = [md.stream_tickers() for _ in range(200)]
            async with trio.open_nursery() as nursery:
                for stream in loops:
                    nursery.start_soon(start_bare, stream)
            before = trio.current_time()
        assert trio.current_time() - before <= 1.2
        assert network.open_connections == 0


async def start_bare(stream: Stream[object]) -> None:
    with trio.move_on_after(0.01):
        await stream.receive()


async def test_a_peer_that_answers_again_is_waited_for_again(autojump_clock: MockClock) -> None:
    manners = iter((False, True, False))
    codes: list[int | None] = []

    async def script(peer: Peer) -> None:
        await peer.serve(answering=next(manners))
        codes.append(peer.closed_with)

    async with (
        MemoryNetwork(handler=websocket(script), latency=0.1) as network,
        MarketDataClient(URL, connector=network) as md,
    ):
        for least, most in ((0.99, 1.1), (0.19, 0.3), (0.99, 1.1)):
            async with md.stream_tickers() as stream:
                await stream.wait_live()
                before = trio.current_time()
            assert least <= trio.current_time() - before <= most
        await trio.sleep(1)
        assert codes == [1000] * 3


async def ended_by_closing(stream: Stream[object] | LiveBook) -> None:
    async with stream:
        await trio.sleep(1)


async def ended_by_cancelling(stream: Stream[object] | LiveBook) -> None:
    with trio.move_on_after(1.0):
        async with stream:
            await trio.sleep_forever()


@pytest.mark.parametrize("end", [ended_by_closing, ended_by_cancelling])
@pytest.mark.parametrize("situation", ["live", "in backoff", "connecting"])
@pytest.mark.parametrize("kind", ["stream", "book"])
async def test_orders_to_what_has_ended_change_nothing(
    kind: str, situation: str, end: Callable[[Stream[object] | LiveBook], Awaitable[None]], autojump_clock: MockClock
) -> None:
    async with open_world() as world:
        if situation == "in backoff":
            world.exchange.faults.reject_handshakes(10**3, 503)
        if situation == "connecting":
            world.network.partition(100)
        thing: Stream[object] | LiveBook = (
            world.md.stream_depth(ASSET) if kind == "stream" else world.md.open_book(ASSET)
        )
        await end(thing)
        asked = sum(world.exchange.requests.values())
        connects = world.network.connects
        for _ in range(2):
            thing.reconnect()
            thing.resync()
            await trio.sleep(1)
        assert thing.state is StreamState.CLOSED
        assert (sum(world.exchange.requests.values()), world.network.connects) == (asked, connects)
        with trio.fail_after(1), pytest.raises(trio.ClosedResourceError):
            await (thing.wait_live() if isinstance(thing, Stream) else thing.wait_synced())


async def test_orders_to_a_stream_that_failed_change_nothing(autojump_clock: MockClock) -> None:
    async with open_world(restart=None) as world:
        world.network.refuse(1)
        async with world.md.stream_ticker(ASSET) as stream:
            with pytest.raises(ConnectionFailed):
                await stream.receive()
            stream.reconnect()
            stream.resync()
            with trio.fail_after(1), pytest.raises(ConnectionFailed):
                await stream.wait_live()


async def test_a_stream_of_a_client_that_was_left_is_over(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        async with MarketDataClient(URL, connector=world.network) as md:
            stream, book = md.stream_depth(ASSET), md.open_book(ASSET)
        for thing in (stream, book):
            thing.reconnect()
            thing.resync()
            assert thing.state is StreamState.CLOSED

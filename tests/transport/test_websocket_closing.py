"""Closing a WebSocket sends a close frame and takes bounded time, whatever the server does."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.peers import Peer, websocket
from tests.helpers.websocket_pairs import client
from tplus_trio.testing import MemoryNetwork


async def test_an_orderly_exit_sends_a_close_frame(autojump_clock: MockClock) -> None:
    peers: list[Peer] = []

    async def script(peer: Peer) -> None:
        peers.append(peer)
        await peer.serve()

    async with MemoryNetwork(handler=websocket(script), latency=0.1) as network, client(network) as md:
        async with md.stream_tickers() as stream:
            await stream.wait_live()
        assert network.open_connections == 0
    assert peers[0].closed_with == 1000


async def test_a_server_that_does_not_answer_the_close_frame_delays_the_exit_for_bounded_time(
    autojump_clock: MockClock,
) -> None:
    async with MemoryNetwork(handler=websocket(Peer.ignore)) as network, client(network, close_timeout=2.5) as md:
        async with md.stream_tickers() as stream:
            await stream.wait_live()
            left = trio.current_time()
        assert trio.current_time() - left == pytest.approx(2.5)
        assert network.open_connections == 0


async def test_a_server_that_reads_nothing_delays_the_exit_for_bounded_time(autojump_clock: MockClock) -> None:
    async def script(peer: Peer) -> None:
        await trio.sleep_forever()

    async with (
        MemoryNetwork(handler=websocket(script), capacity=400) as network,
        client(network, ping_interval=0.1, ping_timeout=1000.0) as md,
    ):
        async with md.stream_tickers():
            await trio.sleep(60)
            left = trio.current_time()
        assert trio.current_time() - left <= 1.001
        assert network.open_connections == 0


async def test_a_cancelled_exit_does_not_wait(autojump_clock: MockClock) -> None:
    async with MemoryNetwork(handler=websocket(Peer.ignore)) as network, client(network) as md:
        with trio.move_on_after(5):
            async with md.stream_tickers() as stream:
                await stream.wait_live()
                await trio.sleep_forever()
        assert trio.current_time() == pytest.approx(5)
        assert network.open_connections == 0


async def test_a_close_that_is_cancelled_does_not_wait(autojump_clock: MockClock) -> None:
    async with MemoryNetwork(handler=websocket(Peer.ignore)) as network, client(network, close_timeout=1000) as md:
        stream = md.stream_tickers()
        with trio.move_on_after(1):
            await stream.receive()
        with trio.move_on_after(5) as scope:
            await stream.aclose()
        assert scope.cancelled_caught
        await trio.sleep(0.01)
        assert network.open_connections == 0

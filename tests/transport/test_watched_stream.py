"""Liveness: any byte shows that the peer is alive, wherever it is delayed; silence does not."""

from __future__ import annotations

import ssl
import time
from contextlib import suppress

import pytest
import trio
import trustme
from trio.testing import MockClock

from tests.helpers.peers import Peer, ticker, websocket
from tests.helpers.wrapped_streams import WrappedStream
from tplus_trio import MarketDataClient
from tplus_trio.testing import MemoryNetwork
from tplus_trio.testing.network.pipe import stream_pair
from tplus_trio.testing.wire_frames import PONG, frame, text_frame
from tplus_trio.transport.watched_stream import WatchedStream


class Passes(WrappedStream):
    """A connector's own stream, which needs a few scheduler steps to pass bytes on."""

    def __init__(self, stream: trio.abc.Stream, turns: int) -> None:
        super().__init__(stream)
        self._turns = turns

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data = await self._stream.receive_some(max_bytes)
        for _ in range(self._turns):
            await trio.lowlevel.cancel_shielded_checkpoint()
        return data


async def read_all(stream: trio.abc.Stream) -> None:
    with suppress(trio.ClosedResourceError):
        while await stream.receive_some():
            pass


async def block(clock: MockClock, seconds: float, times: int) -> None:
    """Block the event loop for a number of seconds, several times in a row."""
    for _ in range(times):
        clock.jump(seconds)
        await trio.lowlevel.checkpoint()


@pytest.mark.parametrize("turns", [0, 5, 10])
@pytest.mark.parametrize("times", [1, 3, 6])
async def test_a_byte_that_waits_while_the_loop_is_blocked_is_life(
    turns: int, times: int, mock_clock: MockClock
) -> None:
    near, far = stream_pair()
    watched = WatchedStream(Passes(near, turns))
    alive: list[bool] = []

    async def wait() -> None:
        alive.append(await watched.wait_for_byte(1.0))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read_all, watched)
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        await far.send_all(b"x")
        await block(mock_clock, 5.0, times)
        await trio.testing.wait_all_tasks_blocked()
        assert alive == [True]
        nursery.cancel_scope.cancel()


async def test_silence_is_noticed_in_time(autojump_clock: MockClock) -> None:
    near, _far = stream_pair()
    watched = WatchedStream(near)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(read_all, watched)
        assert not await watched.wait_for_byte(3.0)
        assert trio.current_time() == pytest.approx(3.0)
        nursery.cancel_scope.cancel()


async def test_time_counts_only_while_the_peer_is_waited_for(autojump_clock: MockClock) -> None:
    near, _far = stream_pair()
    watched = WatchedStream(near)

    async def now_and_then() -> None:
        for _ in range(3):
            await trio.sleep(10)
            with trio.move_on_after(1):
                await watched.receive_some()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(now_and_then)
        assert not await watched.wait_for_byte(2.5)
        assert trio.current_time() == pytest.approx(32.5)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("tls", [False, True])
async def test_a_pong_behind_a_backlog_on_a_slow_link(tls: bool, autojump_clock: MockClock) -> None:
    """Data arrives all the time. Under TLS, a whole record takes longer than `ping_timeout` to arrive."""
    authority = trustme.CA()
    served, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.issue_cert("exchange").configure_cert(served)
    authority.configure_trust(trusting)

    async def script(peer: Peer) -> None:
        for n in range(4):
            await peer.send(bytes(text_frame(ticker(n) + b" " * 16_000)))
        await peer.serve()

    async def handler(stream: trio.abc.Stream) -> None:
        if tls:
            stream = trio.SSLStream(stream, served, server_side=True, https_compatible=True)
        await websocket(script)(stream)

    async with (
        MemoryNetwork(handler=handler, bandwidth=5000) as network,
        MarketDataClient(
            f"http{'s' if tls else ''}://exchange",
            verify=trusting,
            connector=network,
            restart=None,
            ping_interval=1.0,
            ping_timeout=1.0,
        ) as md,
        md.stream_tickers() as stream,
    ):
        assert [int((await stream.receive()).last_price or 0) for _ in range(4)] == list(range(4))
        assert trio.current_time() > 10
        await trio.sleep(30)
        assert stream.stats.connects == 1


async def test_a_peer_that_sends_and_never_pongs_costs_no_memory(autojump_clock: MockClock) -> None:
    """Each interval brings a ping and some byte. Nothing is kept for the pong that does not come."""

    async def script(peer: Peer) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.ignore)
            while True:
                await peer.send(frame(PONG, b"another"))
                await trio.sleep(5)

    async with (
        MemoryNetwork(handler=websocket(script)) as network,
        MarketDataClient("http://exchange", connector=network, restart=None) as md,
        md.stream_tickers() as stream,
    ):
        with trio.move_on_after(3600):
            await stream.receive()
        assert stream.stats.connects == 1


@pytest.mark.parametrize("block", [0.15, 0.3])
async def test_a_consumer_that_blocks_the_loop_keeps_its_connection(block: float) -> None:
    """In real time: longer than `ping_timeout`, again and again."""

    async def script(peer: Peer) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.serve)
            with suppress(trio.BrokenResourceError):
                for n in range(1000):
                    await peer.text(ticker(n))
                    await trio.sleep(0.01)

    async with (
        MemoryNetwork(handler=websocket(script)) as network,
        MarketDataClient(
            "http://exchange", connector=network, restart=None, ping_interval=0.05, ping_timeout=0.12
        ) as md,
        md.stream_tickers() as stream,
    ):
        with trio.move_on_after(0.3):
            async for _ in stream:
                time.sleep(block)  # noqa: ASYNC251 - it blocks the loop, on purpose
        assert stream.stats.connects == 1

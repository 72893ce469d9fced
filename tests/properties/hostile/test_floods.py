"""Floods of frames let other tasks run, and their answers do not accumulate."""

from __future__ import annotations

import itertools
import tracemalloc
from contextlib import suppress

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.floods import MIB, Flood, flooded
from tests.helpers.hostile import URL, turns
from tests.helpers.peers import Peer, ticker, websocket
from tplus_trio import ConnectionFailed, MarketDataClient, StreamState
from tplus_trio.testing import MemoryNetwork
from tplus_trio.testing.wire_frames import BINARY, PING, PONG, frame, text_frame

MANY = 5000


FLOODS = {
    "empty messages": (text_frame(b""), MANY),
    "messages of one byte": (text_frame(b"x"), MANY),
    "bare brackets": (text_frame(b"[]"), 0),
    "empty binary messages": (frame(BINARY, b""), 1000),
    "pings in text": (text_frame(b'{"type":"ping"}'), 0),
    "subscriptions": (text_frame(b'{"type":"subscriptions","channels":[]}'), 0),
}


@pytest.mark.long
@pytest.mark.parametrize("how", FLOODS)
async def test_tiny_frames_by_the_thousand(how: str, autojump_clock: MockClock) -> None:
    """Limit: another task runs at each batch of at most 128 messages, and 2 MiB suffice for any number of messages."""
    wire, bad = FLOODS[how]
    many = bad or MANY
    counted = [0]
    per_read = 1000
    server = Flood(itertools.chain(itertools.repeat(bytes(wire) * per_read, many // per_read), [text_frame(ticker(2))]))
    async with flooded(server) as stream, trio.open_nursery() as nursery:
        tracemalloc.start()
        nursery.start_soon(turns, counted)
        try:
            assert (await stream.receive()).last_price == 2
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        nursery.cancel_scope.cancel()
        assert stream.stats.malformed == bad
        assert stream.stats.messages == many + 2
        assert stream.stats.connects == 1
    assert counted[0] >= many // 160
    assert peak <= 2 * MIB


CONTROL = {"pings": PING, "pongs": PONG}


@pytest.mark.parametrize("how", CONTROL)
async def test_control_frames_by_the_thousand(how: str, autojump_clock: MockClock) -> None:
    """Limit: as above. A ping is answered before the next is read, and answers are not kept."""
    counted = [0]
    wire = bytes(frame(CONTROL[how], b"x" * 125)) * 500
    server = Flood(itertools.chain([wire], [text_frame(ticker(2))]))
    async with flooded(server, capacity=1000) as stream, trio.open_nursery() as nursery:
        tracemalloc.start()
        nursery.start_soon(turns, counted)
        try:
            assert (await stream.receive()).last_price == 2
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        nursery.cancel_scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
    assert counted[0] >= 500
    assert peak <= MIB // 2
    assert server.answered >= (500 * 131 if how == "pings" else 0)


async def test_pings_of_a_peer_that_reads_nothing_end_the_connection(autojump_clock: MockClock) -> None:
    """Limit: 20 s. Our pongs fill the network, no ping of ours is sent, and nothing more is read meanwhile."""
    server = Flood(itertools.repeat(bytes(frame(PING, b"x" * 100)) * 10), reads=False)
    async with flooded(server, capacity=1000) as stream:
        with pytest.raises(ConnectionFailed, match="no pong within 10 s"):
            await stream.receive()
        assert trio.current_time() <= 20.1


async def test_a_stream_that_is_stuck_in_pongs_can_be_left_and_cancelled(autojump_clock: MockClock) -> None:
    """Limits: `close_timeout`, 1 s, in order; at once when cancelled."""
    wire = bytes(frame(PING, b"x" * 100)) * 10
    async with flooded(Flood(itertools.repeat(wire), reads=False), capacity=1000) as stream:
        await trio.sleep(1)
        assert stream.state is StreamState.LIVE
    assert trio.current_time() <= 2.001
    with trio.move_on_after(2):
        async with flooded(Flood(itertools.repeat(wire), reads=False), capacity=1000) as stream:
            await stream.receive()
    assert trio.current_time() <= 4.001


async def test_a_slow_consumer_does_not_count_as_a_silent_peer(autojump_clock: MockClock) -> None:
    """A full buffer holds up the reader, which proves nothing about the peer."""

    async def script(peer: Peer) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.serve)
            with suppress(trio.BrokenResourceError):
                for n in range(200):
                    await peer.send(bytes(text_frame(ticker(n + 1))) + bytes(frame(PING, b"there?")))

    async with (
        MemoryNetwork(handler=websocket(script), capacity=2000) as network,
        MarketDataClient(URL, connector=network, restart=None, buffer=1) as md,
        md.stream_tickers() as stream,
    ):
        for n in range(200):
            assert (await stream.receive()).last_price == n + 1
            if n % 20 == 0:
                await trio.sleep(100)
        assert stream.stats.connects == 1


async def test_unrequested_pongs_prove_liveness_but_are_no_data(autojump_clock: MockClock) -> None:
    """Limit: `idle_timeout` where it is given."""

    async def script(peer: Peer) -> None:
        await peer.text(ticker(1))
        with suppress(trio.BrokenResourceError):
            while True:
                await peer.send(frame(PONG, b"nobody asked"))
                await trio.sleep(0.5)

    async with (
        MemoryNetwork(handler=websocket(script)) as network,
        MarketDataClient(URL, connector=network, restart=None) as md,
    ):
        stream = md.stream_tickers(idle_timeout=60.0)
        await stream.receive()
        with pytest.raises(ConnectionFailed, match="no data for 60 s"):
            await stream.receive()
        assert trio.current_time() == pytest.approx(60.0)

"""WebSockets over any stream: handshakes that fail, connections that end, and how long anything may take."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.peers import Peer, ticker, websocket
from tests.helpers.websocket_pairs import client, collect
from tplus_trio import ConnectionFailed, StreamState
from tplus_trio.testing import MemoryNetwork
from tplus_trio.testing.wire_frames import CLOSE, frame


@pytest.mark.parametrize(
    ("payload", "match"),
    [
        (b"\x03\xf4back soon", r"1012.*back soon"),
        (b"\x0f\xa0", "4000"),
        (b"", "closed|lost"),
        (b"\x03", "lost|closed"),
    ],
)
async def test_a_close_frame_is_quoted(payload: bytes, match: str, autojump_clock: MockClock) -> None:
    async def script(peer: Peer) -> None:
        await peer.text(ticker(1))
        await peer.send(frame(CLOSE, payload))
        await peer.ignore()

    async with MemoryNetwork(handler=websocket(script)) as network, client(network) as md:
        stream = md.stream_tickers()
        assert (await stream.receive()).last_price == 1
        with pytest.raises(ConnectionFailed, match=match):
            await stream.receive()
        assert network.open_connections == 0


@pytest.mark.parametrize("end", ["eof", "reset", "mid-frame"])
async def test_a_lost_connection_is_a_failure_after_what_came_before(end: str, autojump_clock: MockClock) -> None:
    async def script(peer: Peer) -> None:
        await peer.text(*(ticker(n) for n in range(10)))
        if end == "mid-frame":
            await peer.send(frame(1, ticker(10))[:-5])
        if end != "eof":
            await trio.sleep(1)
            network.reset_connections()

    async with MemoryNetwork(handler=websocket(script)) as network, client(network) as md:
        prices: list[int] = []
        with pytest.raises(ConnectionFailed) as caught:
            await collect(md.stream_tickers(), prices)
        assert prices == list(range(10))
        if end != "eof":
            assert isinstance(caught.value.__cause__, trio.BrokenResourceError)
        assert network.open_connections == 0


async def test_frames_on_the_heels_of_the_handshake_are_delivered(autojump_clock: MockClock) -> None:
    async def script(peer: Peer) -> None:
        pass

    then = b"".join(frame(1, ticker(n)) for n in range(5)) + frame(CLOSE, b"\x03\xe9")
    async with MemoryNetwork(handler=websocket(script, then=then)) as network, client(network) as md:
        stream = md.stream_tickers()
        assert [int((await stream.receive()).last_price or 0) for _ in range(5)] == list(range(5))
        with pytest.raises(ConnectionFailed, match="1001"):
            await stream.receive()


async def test_pings_go_out_and_pongs_keep_a_quiet_connection(autojump_clock: MockClock) -> None:
    async with (
        MemoryNetwork(handler=websocket(Peer.serve)) as network,
        client(network) as md,
        md.stream_tickers() as stream,
    ):
        with trio.move_on_after(3600):
            await stream.receive()
        assert trio.current_time() == pytest.approx(3600)
        assert stream.state is StreamState.LIVE


async def test_a_missing_pong_is_noticed_in_time(autojump_clock: MockClock) -> None:
    async with (
        MemoryNetwork(handler=websocket(Peer.ignore)) as network,
        client(network, ping_interval=5.0, ping_timeout=2.0) as md,
    ):
        with pytest.raises(ConnectionFailed, match="no pong within 2 s"):
            await md.stream_tickers().receive()
        assert trio.current_time() == pytest.approx(7.0)
        assert network.open_connections == 0


async def test_a_half_open_connection_is_noticed(autojump_clock: MockClock) -> None:
    async with (
        MemoryNetwork(handler=websocket(Peer.serve)) as network,
        client(network) as md,
        md.stream_tickers() as stream,
    ):
        await stream.wait_live()
        network.stall()
        with pytest.raises(ConnectionFailed, match="pong"):
            await stream.receive()
        assert trio.current_time() <= 20.1


async def test_a_slow_consumer_holds_up_pongs_and_loses_nothing(autojump_clock: MockClock) -> None:
    """The pong waits behind data that nobody reads, so its absence proves nothing about the server."""
    count = 400

    async def script(peer: Peer) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.serve)
            await peer.text(*(ticker(n) for n in range(count)))

    async with (
        MemoryNetwork(handler=websocket(script), capacity=1000) as network,
        client(network, ping_interval=1.0, ping_timeout=1.0, buffer=1) as md,
        md.stream_tickers() as stream,
    ):
        for n in range(count):
            assert int((await stream.receive()).last_price or 0) == n
            if n % 5 == 0:
                await trio.sleep(30)
        assert trio.current_time() >= 30 * count / 5
        assert stream.stats.connects == 1


async def test_silence_of_data_counts_where_it_is_asked_for(autojump_clock: MockClock) -> None:
    async def script(peer: Peer) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.serve)
            for n in range(3):
                await peer.text(ticker(n))
                await trio.sleep(4)
            await trio.sleep_forever()

    async with MemoryNetwork(handler=websocket(script)) as network, client(network) as md:
        with pytest.raises(ConnectionFailed, match="no data for 5 s"):
            async for _ in md.stream_tickers(idle_timeout=5.0):
                pass
        assert trio.current_time() == pytest.approx(8 + 5)


async def test_heartbeats_are_no_data(autojump_clock: MockClock) -> None:
    async def script(peer: Peer) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.serve)
            for n in range(12):
                await peer.text(b'{"type":"ping"}', *((ticker(n),) if n in {3, 7} else ()))
                await trio.sleep(1)
            await trio.sleep_forever()

    async with MemoryNetwork(handler=websocket(script)) as network, client(network) as md:
        with pytest.raises(ConnectionFailed, match="no data for 5 s"):
            async for _ in md.stream_tickers(idle_timeout=5.0):
                pass
        assert trio.current_time() == pytest.approx(7 + 5)


async def test_a_slow_consumer_is_no_silence(autojump_clock: MockClock) -> None:
    async def script(peer: Peer) -> None:
        await peer.text(*(ticker(n) for n in range(50)))
        await peer.serve()

    async with (
        MemoryNetwork(handler=websocket(script)) as network,
        client(network, buffer=1) as md,
        md.stream_tickers(idle_timeout=5.0) as stream,
    ):
        for _ in range(50):
            await stream.receive()
            await trio.sleep(60)

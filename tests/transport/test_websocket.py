"""WebSockets over any stream: handshakes that fail, connections that end, and how long anything may take."""

from __future__ import annotations

from contextlib import suppress

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.peers import Handler, Peer, answer, answers, read_head, ticker, websocket
from tplus_trio import ConnectionFailed, HandshakeRejected, MarketDataClient, Stream, StreamState, Ticker, TplusError
from tplus_trio.testing import MemoryNetwork
from tplus_trio.testing.wire_frames import CLOSE, frame


def client(network: MemoryNetwork, **options: float) -> MarketDataClient:
    return MarketDataClient("http://exchange", connector=network, restart=None, **options)  # type: ignore[arg-type]


async def failure_of(handler: Handler, **options: float) -> TplusError:
    """What a stream raises, whose server is this; nothing may be left of the connection."""
    async with MemoryNetwork(handler=handler) as network, client(network, **options) as md:
        with pytest.raises(TplusError) as caught:
            await collect(md.stream_tickers(), [])
        await trio.testing.wait_all_tasks_blocked()
        assert network.connects == 1
        assert network.open_connections == 0
    return caught.value


async def collect(stream: Stream[Ticker], into: list[int]) -> None:
    """The prices that tell a stream's tickers from each other, until it ends."""
    async for item in stream:
        into.append(int(item.last_price or 0))  # noqa: PERF401 - what came before the end counts


async def read_on(stream: trio.abc.Stream) -> None:
    """A server that never answers."""
    with suppress(trio.BrokenResourceError):
        while await stream.receive_some():
            pass


# Handshakes


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 429, 500, 503])
async def test_a_refusal_names_its_status_and_reason(status: int, autojump_clock: MockClock) -> None:
    headers = ["Location: http://elsewhere/"] if status == 302 else []
    error = await failure_of(answers(answer(status, b"because I say so", *headers)))
    assert isinstance(error, HandshakeRejected)
    assert (error.status, error.body, error.retry_after) == (status, "because I say so", None)


@pytest.mark.parametrize("length", [True, False])
async def test_a_refusal_says_when_to_come_back(length: bool, autojump_clock: MockClock) -> None:
    error = await failure_of(answers(answer(429, b"slow down", "Retry-After: 7", length=length)))
    assert isinstance(error, HandshakeRejected)
    assert (error.status, error.body, error.retry_after) == (429, "slow down", 7.0)


async def test_a_refusal_without_end_is_still_a_refusal(autojump_clock: MockClock) -> None:
    async def handler(stream: trio.abc.Stream) -> None:
        await read_head(stream)
        await stream.send_all(answer(404, b"no", "X: y", length=False))
        await trio.sleep_forever()

    error = await failure_of(handler, timeout=3.0)
    assert isinstance(error, HandshakeRejected)
    assert error.status == 404
    assert trio.current_time() == pytest.approx(3.0)


async def test_a_huge_refusal_is_cut(autojump_clock: MockClock) -> None:
    sent = 0

    async def handler(stream: trio.abc.Stream) -> None:
        nonlocal sent
        await read_head(stream)
        await stream.send_all(b"HTTP/1.1 503 No\r\nContent-Length: 100000000\r\n\r\n")
        try:
            while sent < 100_000_000:
                await stream.send_all(b"x" * 10_000)
                sent += 10_000
        except trio.BrokenResourceError:
            pass

    error = await failure_of(handler)
    assert isinstance(error, HandshakeRejected)
    assert error.status == 503
    assert len(error.body) <= 200
    assert sent < 1_000_000


async def test_an_endless_head_is_cut(autojump_clock: MockClock) -> None:
    sent = 0

    async def handler(stream: trio.abc.Stream) -> None:
        nonlocal sent
        await read_head(stream)
        await stream.send_all(b"HTTP/1.1 101 Switching Protocols\r\n")
        try:
            while sent < 100_000_000:
                await stream.send_all(b"X-Filler: " + b"x" * 1000 + b"\r\n")
                sent += 1012
        except trio.BrokenResourceError:
            pass

    error = await failure_of(handler)
    assert isinstance(error, ConnectionFailed)
    assert sent < 1_000_000


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\x00\xff\xfe\x15\x03\x01" * 50,
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: bm90IHlvdXJzISEhISEhISEh\r\n\r\n"
        ),
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 101 Switching\r\nUpgrade: websock",
        b"",
    ],
)
async def test_an_answer_that_is_no_handshake_fails_at_once(data: bytes, autojump_clock: MockClock) -> None:
    async def handler(stream: trio.abc.Stream) -> None:
        await read_head(stream)
        await stream.send_all(data)
        if data.endswith(b"\r\n\r\n"):
            await trio.sleep_forever()  # the client is to see by itself that this leads nowhere

    error = await failure_of(handler)
    assert isinstance(error, ConnectionFailed | HandshakeRejected)
    assert trio.current_time() < 0.1


async def test_a_server_that_hangs_up_before_the_request(autojump_clock: MockClock) -> None:
    async def handler(stream: trio.abc.Stream) -> None:
        pass

    error = await failure_of(handler)
    assert isinstance(error, ConnectionFailed)
    assert isinstance(error.__cause__, trio.BrokenResourceError)
    assert trio.current_time() < 0.1


async def test_a_reset_in_the_middle_of_a_handshake_is_the_cause(autojump_clock: MockClock) -> None:
    async with MemoryNetwork(handler=read_on) as network, client(network) as md:
        stream = md.stream_tickers()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(expect_lost, stream)
            await trio.sleep(0.5)
            network.reset_connections()


async def expect_lost(stream: trio.abc.ReceiveChannel[Ticker]) -> None:
    with pytest.raises(ConnectionFailed) as caught:
        await stream.receive()
    assert isinstance(caught.value.__cause__, trio.BrokenResourceError)


async def test_a_refused_connection_keeps_its_cause(autojump_clock: MockClock) -> None:
    async with MemoryNetwork() as network, client(network) as md:
        network.refuse()
        with pytest.raises(ConnectionFailed) as caught:
            await md.stream_tickers().receive()
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


@pytest.mark.parametrize("where", ["connect", "handshake"])
async def test_a_server_that_never_answers_is_given_up(where: str, autojump_clock: MockClock) -> None:
    async with MemoryNetwork(handler=read_on) as network:
        if where == "connect":
            network.partition(1000)
        async with client(network, timeout=4.0) as md:
            with pytest.raises(ConnectionFailed, match="within 4 s"):
                await md.stream_tickers().receive()
            assert trio.current_time() == pytest.approx(4.0)
            assert network.open_connections == 0


# The end of a connection


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


# Liveness


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
    """The pong waits behind data that nobody reads: its absence proves nothing about the server."""
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


# Closing


async def test_an_orderly_exit_says_goodbye(autojump_clock: MockClock) -> None:
    peers: list[Peer] = []

    async def script(peer: Peer) -> None:
        peers.append(peer)
        await peer.serve()

    async with MemoryNetwork(handler=websocket(script), latency=0.1) as network, client(network) as md:
        async with md.stream_tickers() as stream:
            await stream.wait_live()
        assert network.open_connections == 0
    assert peers[0].closed_with == 1000


async def test_a_server_that_does_not_answer_the_close_frame_holds_up_nobody(autojump_clock: MockClock) -> None:
    async with MemoryNetwork(handler=websocket(Peer.ignore)) as network, client(network, close_timeout=2.5) as md:
        async with md.stream_tickers() as stream:
            await stream.wait_live()
            left = trio.current_time()
        assert trio.current_time() - left == pytest.approx(2.5)
        assert network.open_connections == 0


async def test_a_server_that_reads_nothing_holds_up_nobody(autojump_clock: MockClock) -> None:
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

"""A WebSocket handshake that fails is a typed failure, in bounded time and memory."""

from __future__ import annotations

from contextlib import suppress

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.peers import Handler, answer, answers, read_head
from tests.helpers.websocket_pairs import client, collect
from tplus_trio import ConnectionFailed, HandshakeRejected, Ticker, TplusError
from tplus_trio.testing import MemoryNetwork


async def failure_of(handler: Handler, **options: float) -> TplusError:
    """Return the error of a stream over this server. No connection may remain open."""
    async with MemoryNetwork(handler=handler) as network, client(network, **options) as md:
        with pytest.raises(TplusError) as caught:
            await collect(md.stream_tickers(), [])
        await trio.testing.wait_all_tasks_blocked()
        assert network.connects == 1
        assert network.open_connections == 0
    return caught.value


async def read_on(stream: trio.abc.Stream) -> None:
    """A server that never answers."""
    with suppress(trio.BrokenResourceError):
        while await stream.receive_some():
            pass


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 429, 500, 503])
async def test_a_refusal_names_its_status_and_reason(status: int, autojump_clock: MockClock) -> None:
    headers = ["Location: http://elsewhere/"] if status == 302 else []
    error = await failure_of(answers(answer(status, b"because I say so", *headers)))
    assert isinstance(error, HandshakeRejected)
    assert (error.status, error.body, error.retry_after) == (status, "because I say so", None)


@pytest.mark.parametrize("length", [True, False])
async def test_a_refusal_carries_its_retry_after(length: bool, autojump_clock: MockClock) -> None:
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
            await trio.sleep_forever()  # the client has to notice by itself that this is no handshake

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

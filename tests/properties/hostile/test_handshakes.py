"""WebSocket handshakes with hostile servers: each ends with a typed error, within `timeout`, and within 64 KiB."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.hostile import SWITCHING, URL, Pouring, accepted, failure_of
from tests.helpers.peers import answer, answers, read_head, ticker
from tplus_trio import ConnectionFailed, HandshakeRejected, MarketDataClient, RestartPolicy
from tplus_trio.testing import MemoryNetwork
from tplus_trio.testing.wire_frames import text_frame


class Accepting:
    """A server that accepts the handshake in its own way, sends a ticker and waits."""

    def __init__(self, *more: bytes, status: bytes = SWITCHING, line: bytes = b"\r\n", cut: int = 0) -> None:
        self.more = more
        self.status = status
        self.line = line
        self.cut = cut

    async def __call__(self, stream: trio.abc.Stream) -> None:
        request = await read_head(stream)
        data = accepted(request, *self.more, status=self.status, line=self.line) + text_frame(ticker(1))
        if not self.cut:
            await stream.send_all(data)
        for at in range(0, len(data), self.cut or len(data)):
            if self.cut:
                await stream.send_all(data[at : at + self.cut])
                await trio.sleep(0.001)
        while await stream.receive_some():
            pass


# Time: `timeout` (12 s here) covers the whole handshake.

SLOW = {
    "one byte": (b"", b"H", ConnectionFailed),
    "one byte of an acceptance": (SWITCHING + b"x: ", b"y", ConnectionFailed),
    "one header": (SWITCHING, b"x: y\r\n", ConnectionFailed),
    "one byte of a refusal": (b"HTTP/1.1 503 Wait\r\nContent-Length: 1000\r\n\r\n", b"x", HandshakeRejected),
    "one chunk of a refusal": (
        b"HTTP/1.1 503 Wait\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"1\r\nx\r\n",
        HandshakeRejected,
    ),
}


@pytest.mark.parametrize("how", SLOW)
async def test_a_handshake_that_dribbles_in_ends_in_time(how: str, autojump_clock: MockClock) -> None:
    head, piece, error = SLOW[how]
    failed = await failure_of(Pouring(head, piece, every=5.0), "handshake", timeout=12.0)
    assert isinstance(failed.error, error)
    assert failed.seconds == pytest.approx(12.0)


async def test_a_sign_in_and_a_handshake_have_a_timeout_each(autojump_clock: MockClock) -> None:
    async def handler(stream: trio.abc.Stream) -> None:
        await trio.sleep(4)
        while head := await read_head(stream):
            await trio.sleep(4)
            if b"/nonce/" in head:
                await stream.send_all(answer(200, b'{"value":"1"}'))
            elif b"/auth" in head:
                await stream.send_all(answer(200, b'{"token":"t","expiry_ns":9999999999999999999}'))
            else:
                await trio.sleep_forever()

    failed = await failure_of(handler, "sign-in of a stream", timeout=10.0)
    assert isinstance(failed.error, ConnectionFailed)
    assert failed.seconds <= 3 * 10.0


# Size: 64 KiB, and the 64 KiB that the network holds.

ENDLESS = {
    "a status line": (b"HTTP/1.1 101 ", b"S" * 1000),
    "a header": (SWITCHING + b"x: ", b"y" * 1000),
    "headers": (SWITCHING, b"x: y\r\n" * 200),
    "headers of a refusal": (b"HTTP/1.1 403 No\r\n", b"x: y\r\n" * 200),
    "a refusal": (b"HTTP/1.1 403 No\r\n\r\n", b"no" * 500),
    "a refusal of 100 MB": (b"HTTP/1.1 403 No\r\nContent-Length: 100000000\r\n\r\n", b"no" * 500),
    "a refusal in chunks": (b"HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 200),
    "interim answers": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 40),
    "nothing": (b"", b"\r\n" * 500),
    "binary": (b"", bytes(range(256)) * 4),
}


@pytest.mark.parametrize("how", ENDLESS)
async def test_a_handshake_without_end_is_cut_off(how: str, autojump_clock: MockClock) -> None:
    server = Pouring(*ENDLESS[how])
    failed = await failure_of(server, "handshake")
    assert isinstance(failed.error, ConnectionFailed | HandshakeRejected)
    assert server.sent <= 3 * 65536
    assert failed.seconds < 1


# Unrequested extensions and protocols.

UNASKED = {
    "permessage-deflate": [b"Sec-WebSocket-Extensions: permessage-deflate"],
    "with parameters": [b"Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=15"],
    "an unknown extension": [b"Sec-WebSocket-Extensions: x-unknown"],
    "many extensions": [b"Sec-WebSocket-Extensions: " + b"x, " * 1000 + b"y"],
    "a subprotocol": [b"Sec-WebSocket-Protocol: tplus.ws.v1"],
    "an empty subprotocol": [b"Sec-WebSocket-Protocol: "],
    "a subprotocol in Latin-1": [b"Sec-WebSocket-Protocol: \xe9"],
    "another key as well": [b"Sec-WebSocket-Accept: bm90IHlvdXJzISEhISEhISEh"],
    "another upgrade as well": [b"Upgrade: h2c"],
}


@pytest.mark.parametrize("how", UNASKED)
async def test_an_extension_that_was_not_offered_is_refused(how: str, autojump_clock: MockClock) -> None:
    """A compressed message could unpack to any size, so a server that accepts compression is refused at once."""
    failed = await failure_of(Accepting(*UNASKED[how]), "handshake")
    assert isinstance(failed.error, ConnectionFailed)
    assert failed.seconds < 0.1


async def test_a_compressed_message_is_no_message(autojump_clock: MockClock) -> None:
    async def handler(stream: trio.abc.Stream) -> None:
        await stream.send_all(accepted(await read_head(stream)) + bytes([0x81 | 0x40, 3]) + b"\xaa\x02\x00")
        while await stream.receive_some():
            pass

    failed = await failure_of(handler, "handshake")
    assert isinstance(failed.error, ConnectionFailed)
    assert failed.seconds < 1.1


UNUSUAL = {
    "line feeds alone": {"line": b"\n"},
    "HTTP/1.0": {"status": b"HTTP/1.0 101 Switching"},
    "HTTP/1.9": {"status": b"HTTP/1.9 101 Switching"},
    "no reason": {"status": b"HTTP/1.1 101"},
}


@pytest.mark.parametrize("cut", [0, 1, 7])
@pytest.mark.parametrize("how", UNUSUAL)
async def test_an_unusual_acceptance_is_one_or_is_refused(how: str, cut: int, autojump_clock: MockClock) -> None:
    """One reader reads the bytes after the handshake, once, whichever parser finds its end."""
    handler = Accepting(**UNUSUAL[how], cut=cut)
    async with (
        MemoryNetwork(handler=handler) as network,
        MarketDataClient(URL, connector=network, restart=None) as md,
    ):
        stream = md.stream_tickers()
        try:
            assert (await stream.receive()).last_price == 1
        except ConnectionFailed:
            assert how == "HTTP/1.0"
        assert trio.current_time() < 5


# Redirects and refusals.


@pytest.mark.parametrize("call", ["handshake", "sign-in of a stream"])
@pytest.mark.parametrize("target", ["http://elsewhere/", "ws://elsewhere/", "file:///etc/passwd", "/tickers/ws", ""])
@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirected_handshake_is_a_refusal(
    status: int, target: str, call: str, autojump_clock: MockClock
) -> None:
    async def handler(stream: trio.abc.Stream) -> None:
        while head := await read_head(stream):
            if b"/nonce/" in head:
                await stream.send_all(answer(200, b'{"value":"1"}'))
            elif b"/auth" in head:
                await stream.send_all(answer(200, b'{"token":"t","expiry_ns":9999999999999999999}'))
            else:
                await stream.send_all(answer(status, b"", f"Location: {target}"))

    failed = await failure_of(handler, call)
    assert isinstance(failed.error, HandshakeRejected)
    assert failed.error.status == status
    assert {host for host, _ in failed.asked} == {"exchange"}
    assert len(failed.asked) == (1 if call == "handshake" else 2)


@pytest.mark.parametrize("status", [100, 103, 200, 204, 304, 407, 426, 600, 999])
async def test_odd_answers_to_a_handshake_end_it_at_once(status: int, autojump_clock: MockClock) -> None:
    failed = await failure_of(answers(answer(status, b"")), "handshake")
    assert isinstance(failed.error, HandshakeRejected | ConnectionFailed)
    assert failed.seconds < 1


# After connections that end at once, the next attempt is delayed. With the longest delays drawn, the default delays
# are 0.25, 0.5, 1, … 30 s.


@pytest.mark.parametrize("how", ["before", "refused", "after", "after a message", "after nonsense"])
async def test_connections_that_end_at_once_are_no_busy_loop(how: str, autojump_clock: MockClock) -> None:
    async def handler(stream: trio.abc.Stream) -> None:
        if how == "before":
            return
        request = await read_head(stream)
        if how == "refused":
            await stream.send_all(answer(500, b"no"))
            return
        more = {"after a message": text_frame(ticker(1)), "after nonsense": b"\xff" * 10}.get(how, b"")
        await stream.send_all(accepted(request) + more)

    async with (
        MemoryNetwork(handler=handler) as network,
        MarketDataClient(URL, connector=network, jitter=lambda: 1.0, restart=RestartPolicy()) as md,
        md.stream_tickers() as stream,
    ):
        with trio.move_on_after(300):
            async for _ in stream:
                pass
        assert 8 + 7 <= network.connects <= 8 + 10
        assert network.open_connections <= 1

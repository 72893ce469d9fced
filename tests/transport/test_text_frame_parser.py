"""Frames that break a feed's format: each is a counted bad frame or a typed failure, within limits."""

from __future__ import annotations

import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.peers import Peer, ticker, websocket
from tplus_trio import ConnectionFailed, MarketDataClient, OrderBook, Stream, StreamState, Ticker
from tplus_trio.clients import base
from tplus_trio.testing import Exchange, MemoryNetwork
from tplus_trio.testing.wire_frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, frame, text_frame
from tplus_trio.transport.text_frame_parser import TextFrameParser
from tplus_trio.transport.websocket import WebSocketLimits


@pytest.fixture(autouse=True, params=["fast", "plain"])
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames are parsed in bulk, or all by trio-websocket, with the same result."""
    monkeypatch.setattr(base, "WebSocketLimits", partial(WebSocketLimits, fast=request.param == "fast"))


@asynccontextmanager
async def feed(*wire: bytes, max_message_size: int = 1 << 20) -> AsyncIterator[Stream[Ticker]]:
    """Open a stream of tickers whose server writes these bytes and keeps the connection."""

    async def script(peer: Peer) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.serve)
            with suppress(trio.BrokenResourceError):
                for data in wire:
                    await peer.send(data)

    async with MemoryNetwork(handler=websocket(script)) as network:
        async with (
            MarketDataClient(
                "http://exchange", connector=network, restart=None, max_message_size=max_message_size
            ) as md,
            md.stream_tickers() as stream,
        ):
            yield stream
        assert network.open_connections == 0


def price(item: Ticker) -> int:
    return int(item.last_price or 0)


BAD_FRAMES = {
    "binary": frame(BINARY, ticker(1)),
    "nonsense": text_frame(b"nonsense"),
    "empty": text_frame(b""),
    "deep": text_frame(b"[" * 100_000 + b"]" * 100_000),
    "deep and open": text_frame(b'{"a":' * 100_000),
    "another feed's": text_frame(b'{"asks":[],"bids":[],"sequence_number":5}'),
    "NaN": text_frame(ticker(1).replace(b'"1"', b"NaN")),
    "infinity": text_frame(ticker(1).replace(b'"1"', b'"Infinity"')),
    "a huge integer": text_frame(ticker(1).replace(b'"timestamp_ns":1', b'"timestamp_ns":' + b"9" * 5000)),
    "a lone surrogate": text_frame(b'[{"asset_id":"\\ud800"}]'),
    "negative": text_frame(ticker(1).replace(b'"volume_24h":"0"', b'"volume_24h":"-1"')),
    "binary fragments": frame(BINARY, b"abc", final=False) + frame(CONTINUATION, b"def"),
    "a large one": text_frame(b'"' + b"x" * 1_000_000 + b'"'),
}


@pytest.mark.parametrize("bad", BAD_FRAMES.values(), ids=BAD_FRAMES.keys())
async def test_a_bad_frame_is_counted_and_the_stream_goes_on(bad: bytes, autojump_clock: MockClock) -> None:
    async with feed(text_frame(ticker(1)), bad, text_frame(ticker(2)), bad, text_frame(ticker(3))) as stream:
        assert [price(await stream.receive()) for _ in range(3)] == [1, 2, 3]
        assert (stream.stats.malformed, stream.stats.connects, stream.stats.messages) == (2, 1, 5)


async def test_a_kind_of_bad_frame_is_logged_once_and_in_short(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    bad = text_frame(b'{"token":"top secret","signature":[1,2,3],"filler":"' + b"x" * 5000 + b'"}')
    async with feed(*[bad] * 50, text_frame(b"nonsense"), text_frame(ticker(1))) as stream:
        await stream.receive()
        assert stream.stats.malformed == 51
    records = [record for record in caplog.records if record.levelname == "WARNING"]
    assert 1 <= len(records) <= 2
    assert all(len(record.getMessage()) < 500 for record in records)
    assert "top secret" not in caplog.text
    assert "1,2,3" not in caplog.text


CONTROL = {
    "a subscription": text_frame(b'{"type":"subscriptions","channels":[]}'),
    "a ping in text": text_frame(b'{"type":"ping"}'),
    "a pong in text": text_frame(b'{ "type" : "pong" }'),
    "a ping": frame(PING, b"are you there"),
    "a pong that nobody asked for": frame(PONG, b"yes"),
    "an empty ping": frame(PING, b""),
}


@pytest.mark.parametrize("control", CONTROL.values(), ids=CONTROL.keys())
async def test_control_messages_are_no_items(control: bytes, autojump_clock: MockClock) -> None:
    async with feed(control, text_frame(ticker(1)), control * 3, text_frame(ticker(2))) as stream:
        assert [price(await stream.receive()) for _ in range(2)] == [1, 2]
        assert (stream.stats.malformed, stream.stats.connects) == (0, 1)


def fragments(payload: bytes, *cuts: int, between: bytes = b"") -> bytes:
    parts = [payload[a:b] for a, b in zip((0, *cuts), (*cuts, len(payload)), strict=True)]
    frames = [frame(CONTINUATION if i else TEXT, part, final=i == len(parts) - 1) for i, part in enumerate(parts)]
    return between.join(frames)


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 64, 10_000])
async def test_fragments_with_pings_between_them_keep_their_place(chunk: int, autojump_clock: MockClock) -> None:
    wire = b""
    for n in range(0, 30, 3):
        data = ticker(n + 1).replace(b"[", b"[ ")
        wire += text_frame(ticker(n))
        wire += fragments(data, 1, 5, 5, 40, between=frame(PING, b"x") + frame(PONG, b"y"))
        wire += text_frame(ticker(n + 2))
    pieces = [wire[i : i + chunk] for i in range(0, len(wire), chunk)]
    async with feed(*pieces) as stream:
        assert [price(await stream.receive()) for _ in range(30)] == list(range(30))
        assert (stream.stats.malformed, stream.stats.messages) == (0, 30)


async def test_a_character_may_be_cut_in_two(autojump_clock: MockClock) -> None:
    payload = ticker(7).replace(b'"200"', '"200","name":"prix en €"'.encode())
    cut = payload.index("€".encode()) + 1
    async with feed(fragments(payload, cut, between=frame(PING, b"")), text_frame(payload)) as stream:
        assert [price(await stream.receive()) for _ in range(2)] == [7, 7]


BROKEN = {
    "invalid UTF-8": text_frame(b'"\xff\xfe"'),
    "UTF-8 that is cut off": text_frame(b'"\xe2\x82'),
    "UTF-8 that is cut off, in fragments": fragments(b'"\xe2\x82"', 2),
    "a reserved opcode": frame(3, b"what"),
    "a reserved bit": bytes([0x81 | 0x40, 2]) + b"{}",
    "a masked frame": bytes([0x81, 0x82, 1, 2, 3, 4]) + b"zz",
    "a continuation of nothing": frame(CONTINUATION, b"{}"),
    "a message in a message": frame(TEXT, b"[", final=False) + text_frame(b"[]"),
    "a fragmented ping": frame(PING, b"x", final=False),
    "a ping too long": bytes([0x89, 126, 0, 200]) + b"x" * 200,
    "a length of 2**63": bytes([0x81, 127]) + b"\xff" * 8,
    "a length in too many bytes": bytes([0x81, 126, 0, 2]) + b"{}",
    "a close code that is none": frame(CLOSE, b"\x00\x01"),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
async def test_a_protocol_violation_ends_the_connection(broken: bytes, autojump_clock: MockClock) -> None:
    async with feed(text_frame(ticker(1)), broken, text_frame(ticker(2))) as stream:
        assert price(await stream.receive()) == 1
        with pytest.raises(ConnectionFailed):
            await stream.receive()
        assert trio.current_time() < 1.1


@pytest.mark.parametrize("shape", ["one frame", "fragments", "chunked by the network"])
async def test_a_message_beyond_the_limit_is_cut_off(shape: str, autojump_clock: MockClock) -> None:
    """100 MB are neither collected nor waited for."""
    total, limit, sent = 100_000_000, 1_000_000, 0

    async def script(peer: Peer) -> None:
        nonlocal sent
        await peer.text(ticker(1))
        piece = b"x" * 50_000
        if shape == "fragments":
            pieces = [bytes(frame(CONTINUATION if n else TEXT, piece, final=False)) for n in range(total // len(piece))]
        else:
            await peer.send(bytes([0x81, 127]) + total.to_bytes(8, "big"))
            pieces = [piece] * (total // len(piece))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.ignore)
            try:
                for data in pieces:
                    await peer.send(data)
                    sent += len(piece)
            except trio.BrokenResourceError:
                pass
            nursery.cancel_scope.cancel()

    capacity = 1000 if shape == "chunked by the network" else 65536
    async with (
        MemoryNetwork(handler=websocket(script), capacity=capacity) as network,
        MarketDataClient("http://exchange", connector=network, restart=None, max_message_size=limit) as md,
    ):
        stream = md.stream_tickers()
        await stream.receive()
        tracemalloc.start()
        try:
            with pytest.raises(ConnectionFailed, match="1009"):
                await stream.receive()
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert sent < 3 * limit
        assert peak < 12 * limit
        assert network.open_connections == 0


@pytest.mark.parametrize("shape", ["one frame", "fragments"])
async def test_a_message_beyond_the_limit_is_a_bad_frame(
    shape: str, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        MemoryNetwork(Exchange()) as network,
        MarketDataClient("http://exchange", connector=network, max_message_size=1000) as md,
    ):
        network.exchange.add_market(200)
        async with md.stream_depth(200) as stream:
            for n in range(3):
                assert isinstance(await stream.receive(), OrderBook)
                await stream.wait_live()
                assert (stream.stats.malformed, stream.stats.gaps, stream.stats.messages) == (n, n, n)
                if shape == "fragments":
                    network.exchange.faults.send_fragmented("/marketdepth/diff/200", "x" * 1500)
                else:
                    network.exchange.faults.send_text("/marketdepth/diff/200", "x" * 1500)
                network.exchange.publish_diff(200, bids=[(9, 1)])
            assert await stream.receive() == network.exchange.book(200)
            assert stream.state is StreamState.LIVE
            assert stream.stats.connects == 4
    said = [record.levelname for record in caplog.records if "longer than max_message_size" in record.getMessage()]
    assert said == ["WARNING"], "logged once; each lost connection is another matter"


async def test_a_message_of_just_the_limit_is_taken(autojump_clock: MockClock) -> None:
    payload = ticker(5)
    size = len(payload)
    async with feed(text_frame(payload), fragments(payload, 9), max_message_size=size) as stream:
        assert [price(await stream.receive()) for _ in range(2)] == [5, 5]
    for wire in (text_frame(payload), fragments(payload, 9)):
        async with feed(wire, max_message_size=size - 1) as stream:
            with pytest.raises(ConnectionFailed):
                await stream.receive()


async def test_a_large_message_in_small_pieces_takes_linear_time(autojump_clock: MockClock) -> None:
    payload = b'{"type":"ping","filler":"' + b"x" * 4_000_000 + b'"}'
    async with (
        MemoryNetwork(Exchange(), capacity=500) as network,
        MarketDataClient("http://exchange", connector=network, restart=None) as md,
        md.stream_tickers() as stream,
    ):
        await stream.wait_live()
        network.exchange.publish("/tickers/ws", payload.decode())
        network.exchange.publish("/tickers/ws", ticker(1).decode())
        assert price(await stream.receive()) == 1
        assert stream.stats.bytes > 4_000_000


def test_what_was_parsed_is_released_also_if_a_control_frame_was_the_last() -> None:
    parser = TextFrameParser(1 << 20, batch_size=100)
    parser.feed(b"\x81\x02{}" * 5000 + b"\x8a\x00")
    while parser.messages():
        pass
    assert len(parser._data) == 2
    passed = parser.passthrough()
    assert passed is not None
    assert passed.data == b"\x8a\x00"
    assert parser.available == 0
    assert len(parser._data) == 0

"""Open streams of hostile servers: floods, endless messages, peers that read nothing, each within its limit."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.floods import MIB, Flood, flooded
from tests.helpers.hostile import URL, accepted
from tests.helpers.peers import Peer, answer, read_head, ticker, websocket
from tplus_trio import ConnectionFailed, MarketDataClient
from tplus_trio.streams import subscription
from tplus_trio.testing import MemoryNetwork
from tplus_trio.testing.wire_frames import BINARY, CONTINUATION, PING, TEXT, frame, text_frame
from tplus_trio.transport import text_frame_parser

LIMIT = 1_000_000


async def failure_of(server: Flood, *, capacity: int = 65536, **options: float) -> ConnectionFailed:
    """Return the error that ends the stream, which must come soon."""
    async with flooded(server, capacity=capacity, **options) as stream:
        with pytest.raises(ConnectionFailed) as caught:
            await stream.receive()
    return caught.value


# Limits of one message: `max_message_size` bytes, and 65,536 fragments.
def in_fragments(payload: bytes, *, opcode: int = TEXT) -> Iterator[bytes]:
    yield bytes(frame(opcode, payload, final=False))
    piece = bytes(frame(CONTINUATION, payload, final=False))
    yield from itertools.repeat(piece)


async def test_a_gigabyte_in_fragments_ends_at_the_limit(autojump_clock: MockClock) -> None:
    """Limit: 16 MiB of received bytes, the default; a little more than twice that in memory."""
    server = Flood(itertools.islice(in_fragments(b"x" * 262_144), 4096))
    async with flooded(server) as stream:
        tracemalloc.start()
        try:
            with pytest.raises(ConnectionFailed, match="1009"):
                await stream.receive()
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert server.sent <= 17 * MIB
    assert peak <= 20 * MIB


@pytest.mark.parametrize("size", [1 << 62, (1 << 63) - 1, 1 << 63, LIMIT + 1])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_a_length_is_not_believed_in_advance(opcode: int, size: int, autojump_clock: MockClock) -> None:
    """Limit: at most `max_message_size` is received, plus what the network holds."""
    head = bytes([0x80 | opcode, 127]) + size.to_bytes(8, "big")
    server = Flood(itertools.chain([head], itertools.repeat(b"x" * 50_000)))
    await failure_of(server, max_message_size=LIMIT)
    assert server.sent <= LIMIT + 4 * 65536


@pytest.mark.parametrize("shape", ["one frame", "fragments"])
async def test_the_limit_is_in_bytes_whatever_the_alphabet(shape: str, autojump_clock: MockClock) -> None:
    """A million characters of three bytes each are three megabytes."""
    payload = b'"' + "€".encode() * (LIMIT // 2) + b'"'
    if shape == "one frame":
        wire = [bytes(text_frame(payload))]
    else:
        cut = len(payload) // 3
        wire = [
            bytes(frame(TEXT, payload[:cut], final=False)),
            bytes(frame(CONTINUATION, payload[cut:], final=True)),
        ]
    server = Flood(itertools.chain(wire, [text_frame(ticker(2))]))
    error = await failure_of(server, max_message_size=LIMIT)
    assert "1000000 bytes" in str(error)


PIECES: dict[str, Callable[[], Iterator[bytes]]] = {
    "empty": lambda: in_fragments(b""),
    "empty and binary": lambda: in_fragments(b"", opcode=BINARY),
    "of one byte": lambda: in_fragments(b"x"),
    "of one wide character": lambda: in_fragments("€".encode()),
    "empty, with pings between": lambda: (piece + bytes(frame(PING, b"")) for piece in in_fragments(b"")),
}


@pytest.mark.parametrize("how", PIECES)
async def test_a_message_in_pieces_without_end_is_cut_off(
    how: str, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fragments use memory, however small they are. Limit: 65,536 of them; 500 here."""
    assert text_frame_parser._MOST_FRAMES == 65536
    monkeypatch.setattr(text_frame_parser, "_MOST_FRAMES", 500)
    server = Flood(PIECES[how]())
    error = await failure_of(server, capacity=1000)
    assert "frames" in str(error)
    assert server.sent <= 500 * 7 + 3 * 1000


async def test_a_frame_that_reads_split_is_one_frame(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit counts frames: a read that splits a frame adds none, and the kept pieces are not tiny."""
    monkeypatch.setattr(text_frame_parser, "_MOST_FRAMES", 2)
    payload = ticker(7) + b" " * 10_000
    wire = bytes(frame(TEXT, payload[:-1], final=False)) + bytes(frame(CONTINUATION, payload[-1:]))
    async with flooded(Flood([wire[n : n + 1] for n in range(len(wire))] * 2), capacity=1) as stream:
        assert [int((await stream.receive()).last_price or 0) for _ in range(2)] == [7, 7]


async def test_one_message_may_come_in_many_pieces(autojump_clock: MockClock) -> None:
    """The fragments of one message are counted, not those of a connection."""
    payload = ticker(7)
    wire = b"".join(
        bytes(frame(CONTINUATION if n else TEXT, payload[n : n + 1], final=n == len(payload) - 1))
        for n in range(len(payload))
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_frame_parser, "_MOST_FRAMES", len(payload))
        async with flooded(Flood([wire] * 5)) as stream:
            for _ in range(5):
                assert (await stream.receive()).last_price == 7


async def test_single_bytes_prove_liveness_but_are_no_data(autojump_clock: MockClock) -> None:
    """Limit: `idle_timeout` if given. A slow link looks the same as a peer that sends slowly."""

    async def script(peer: Peer) -> None:
        await peer.text(ticker(1))
        with suppress(trio.BrokenResourceError):
            await peer.send(bytes(text_frame(b" " * 60_000))[:10])
            while True:
                await peer.send(b" ")
                await trio.sleep(1)

    async with (
        MemoryNetwork(handler=websocket(script)) as network,
        MarketDataClient(URL, connector=network, restart=None) as md,
    ):
        stream = md.stream_tickers(idle_timeout=60.0)
        await stream.receive()
        with pytest.raises(ConnectionFailed, match="no data for 60 s"):
            await stream.receive()
        assert trio.current_time() == pytest.approx(60.0)


async def test_items_that_wait_for_rest_are_bounded_in_bytes(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Limits: 16 MiB (1 MB here) of frames, or 50,000 items, wait for an answer that does not come."""
    assert subscription._MAX_HELD_BYTES == 16 * MIB
    monkeypatch.setattr(subscription, "_MAX_HELD_BYTES", LIMIT)
    sent = 0

    async def handler(stream: trio.abc.Stream) -> None:
        nonlocal sent
        head = await read_head(stream)
        if b"/diff/" not in head:
            await trio.sleep(5)
            book = b'{"asks":[],"bids":[],"sequence_number":0}'
            with suppress(trio.BrokenResourceError):
                await stream.send_all(answer(200, book))
                await read_head(stream)
            return
        await stream.send_all(accepted(head))
        levels = b",".join(b'["%d","1"]' % n for n in range(1000))
        with suppress(trio.BrokenResourceError):
            for n in itertools.count(1):
                data = text_frame(b'{"asks":[%s],"bids":[],"sequence_number":%d}' % (levels, n))
                await stream.send_all(data)
                sent += len(data)
                if n == 500:
                    break
            await trio.sleep_forever()

    async with (
        MemoryNetwork(handler=handler) as network,
        MarketDataClient(URL, connector=network) as md,
        md.open_book(200) as book,
    ):
        await trio.sleep(4)
        assert not book.is_synced
        assert sent <= LIMIT + 4 * 65536
        await book.wait_synced()
        await book.wait_for(lambda change: change.sequence_number == 500)
        assert trio.current_time() < 15


@pytest.mark.parametrize("how", ["bad frames", "jumps", "old snapshots"])
async def test_a_feed_that_does_not_fit_is_asked_about_ever_more_seldom(how: str, autojump_clock: MockClock) -> None:
    """Limit: if no snapshot fits, two requests are sent at once, the next after delays that double to 30 s."""
    requests = 0

    async def handler(stream: trio.abc.Stream) -> None:
        nonlocal requests
        head = await read_head(stream)
        if b"/diff/" not in head:
            with suppress(trio.BrokenResourceError):
                while head:
                    requests += 1
                    number = 0 if how == "old snapshots" else 10 * requests
                    await trio.sleep(0.02)
                    await stream.send_all(answer(200, b'{"asks":[],"bids":[],"sequence_number":%d}' % number))
                    head = await read_head(stream)
            return
        await stream.send_all(accepted(head))
        with suppress(trio.BrokenResourceError):
            for n in itertools.count(1):
                await trio.sleep(0.01)
                if how == "bad frames":
                    await stream.send_all(text_frame(b"x"))
                else:
                    step = 1000 * n if how == "jumps" else 5000 + n
                    await stream.send_all(text_frame(b'{"asks":[],"bids":[],"sequence_number":%d}' % step))

    async with (
        MemoryNetwork(handler=handler) as network,
        MarketDataClient(URL, connector=network, jitter=lambda: 1.0, restart=None) as md,
    ):
        with trio.move_on_after(20), suppress(ConnectionFailed):
            async with md.open_book(200, sequence="contiguous") as book:
                await trio.sleep(1)
                while True:
                    assert not (how == "old snapshots" and book.is_synced)
                    await trio.sleep(0.5)
        assert 5 <= requests <= 12

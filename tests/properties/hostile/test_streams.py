"""Open streams whose servers mean harm: floods, endless messages, peers that take nothing, each within its limit."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, suppress

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.hostile import URL, accepted, forever, turns
from tests.helpers.peers import Peer, answer, read_head, ticker, websocket
from tplus_trio import ConnectionFailed, MarketDataClient, Stream, StreamState, Ticker
from tplus_trio.streams import subscription
from tplus_trio.testing import MemoryNetwork
from tplus_trio.testing.wire_frames import BINARY, CONTINUATION, PING, PONG, TEXT, frame, text_frame
from tplus_trio.transport import text_frame_parser

LIMIT = 1_000_000
MIB = 1 << 20


class Flood:
    """A server that shakes hands, sends a ticker, then these pieces for as long as it is let.

    Args:
        pieces: What to send, made as it goes.
        reads: Whether it reads what the client sends; it answers none of it.
    """

    def __init__(self, pieces: Iterable[bytes], *, reads: bool = True) -> None:
        self.pieces = pieces
        self.reads = reads
        self.sent = 0
        #: What the client sent after the handshake, in bytes.
        self.answered = 0

    async def __call__(self, stream: trio.abc.Stream) -> None:
        await stream.send_all(accepted(await read_head(stream)) + text_frame(ticker(1)))

        async def read() -> None:
            with suppress(trio.BrokenResourceError):
                while data := await stream.receive_some():
                    self.answered += len(data)

        async with trio.open_nursery() as nursery:
            if self.reads:
                nursery.start_soon(read)
            self.sent = await forever(self.pieces)(stream)
            if not self.reads:
                await trio.sleep_forever()


@asynccontextmanager
async def flooded(server: Flood, *, capacity: int = 65536, **options: float) -> AsyncIterator[Stream[Ticker]]:
    """A stream over that server, whose first ticker has come."""
    async with MemoryNetwork(handler=server, capacity=capacity) as network:
        async with (
            MarketDataClient(URL, connector=network, restart=None, **options) as md,  # type: ignore[arg-type]  # numbers
            md.stream_tickers() as stream,
        ):
            assert (await stream.receive()).last_price == 1
            yield stream
        assert network.open_connections == 0


async def failure_of(server: Flood, *, capacity: int = 65536, **options: float) -> ConnectionFailed:
    """What ends the stream, which must be soon."""
    async with flooded(server, capacity=capacity, **options) as stream:
        with pytest.raises(ConnectionFailed) as caught:
            await stream.receive()
    return caught.value


# One message without end. Limits: `max_message_size` bytes, and 65,536 pieces of one message that comes in fragments.


def in_fragments(payload: bytes, *, opcode: int = TEXT) -> Iterator[bytes]:
    yield bytes(frame(opcode, payload, final=False))
    piece = bytes(frame(CONTINUATION, payload, final=False))
    yield from itertools.repeat(piece)


async def test_a_gigabyte_in_fragments_ends_at_the_limit(autojump_clock: MockClock) -> None:
    """Limit: 16 MiB, the default, of what is taken; twice that and a little of memory."""
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
    """Limit: what was taken is at most `max_message_size`, and what the network holds."""
    head = bytes([0x80 | opcode, 127]) + size.to_bytes(8, "big")
    server = Flood(itertools.chain([head], itertools.repeat(b"x" * 50_000)))
    await failure_of(server, max_message_size=LIMIT)
    assert server.sent <= LIMIT + 4 * 65536


@pytest.mark.parametrize("shape", ["one frame", "fragments"])
async def test_the_limit_is_in_bytes_whatever_the_alphabet(shape: str, autojump_clock: MockClock) -> None:
    """A million characters that are three bytes each are three megabytes."""
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
    """Pieces take memory, however little is in them. Limit: 65,536 of them; 500 here."""
    assert text_frame_parser._MOST_FRAMES == 65536
    monkeypatch.setattr(text_frame_parser, "_MOST_FRAMES", 500)
    server = Flood(PIECES[how]())
    error = await failure_of(server, capacity=1000)
    assert "frames" in str(error)
    assert server.sent <= 500 * 7 + 3 * 1000


async def test_a_frame_that_reads_split_is_one_frame(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is for frames: a read that split one does not count, and the pieces that are kept are not tiny."""
    monkeypatch.setattr(text_frame_parser, "_MOST_FRAMES", 2)
    payload = ticker(7) + b" " * 10_000
    wire = bytes(frame(TEXT, payload[:-1], final=False)) + bytes(frame(CONTINUATION, payload[-1:]))
    async with flooded(Flood([wire[n : n + 1] for n in range(len(wire))] * 2), capacity=1) as stream:
        assert [int((await stream.receive()).last_price or 0) for _ in range(2)] == [7, 7]


async def test_one_message_may_come_in_many_pieces(autojump_clock: MockClock) -> None:
    """The pieces of one message are counted, not those of a connection."""
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


async def test_a_byte_now_and_then_is_life_but_no_data(autojump_clock: MockClock) -> None:
    """Limit: `idle_timeout` where it is given. A slow link looks the same as a peer that dribbles."""

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


# Floods. Neighbours get their turns, and what is answered does not pile up.

MANY = 5000
FLOODS = {
    "empty messages": (text_frame(b""), MANY),
    "messages of one byte": (text_frame(b"x"), MANY),
    "bare brackets": (text_frame(b"[]"), 0),
    "empty binary messages": (frame(BINARY, b""), 1000),
    "pings in text": (text_frame(b'{"type":"ping"}'), 0),
    "subscriptions": (text_frame(b'{"type":"subscriptions","channels":[]}'), 0),
}


@pytest.mark.parametrize("how", FLOODS)
async def test_tiny_frames_by_the_thousand(how: str, autojump_clock: MockClock) -> None:
    """Limit: a neighbour runs at each batch, of 128 messages at most, and 2 MiB are enough for any number of them."""
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
    """Limit: as above; a ping is answered before the next is looked at, and answers are not kept."""
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
    """Limit: 20 s. Our pongs fill the network, no ping of ours gets through, and nothing more is read meanwhile."""
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


async def test_a_slow_consumer_is_not_taken_for_a_peer_that_takes_nothing(autojump_clock: MockClock) -> None:
    """The reader that a full buffer holds up is nobody's fault but ours."""

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


async def test_pongs_that_nobody_asked_for_are_life_but_no_data(autojump_clock: MockClock) -> None:
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


# What is held back, and what is asked for.


async def test_what_waits_for_rest_is_bounded_in_bytes(
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
    """Limit: where no snapshot is of use, two requests come at once, the next after delays that double to 30 s."""
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

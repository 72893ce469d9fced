"""Messages that are written without a wait: their frames, their order, and what a full network leaves of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
import wsproto.events as ws
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock
from wsproto.connection import Connection, ConnectionType

from tplus_trio import ConnectionFailed
from tplus_trio.secret import SecretBytes
from tplus_trio.testing.network.pipe import MemoryStream, stream_pair
from tplus_trio.transport.handshake_stream import HandshakeStream
from tplus_trio.transport.message_writer import MessageWriter, masked_text_frame
from tplus_trio.transport.watched_stream import WatchedStream

#: Bytes that the network holds in each direction.
ROOM = 1000
MASK = b"\x01\x20\xff\x00"


@attrs.define
class Line:
    """A writer, the stream below it, and the peer's end."""

    writer: MessageWriter
    stream: HandshakeStream
    far: MemoryStream
    protocol: Connection = attrs.field(factory=lambda: Connection(ConnectionType.SERVER))
    is_over: bool = False

    async def read(self) -> list[str]:
        """What the peer has received by now: the texts of messages, and ``ping`` for each ping."""
        found: list[str] = []
        text = ""
        with trio.move_on_after(1):
            while data := await self.far.receive_some():
                self.protocol.receive_data(data)
                for event in self.protocol.events():
                    if isinstance(event, ws.TextMessage):
                        text += event.data
                        if event.message_finished:
                            found.append(text)
                            text = ""
                    else:
                        found.append("ping")
        return found


@asynccontextmanager
async def open_line(*, watched: bool = True) -> AsyncIterator[Line]:
    near, far = stream_pair(capacity=ROOM)
    stream = HandshakeStream(WatchedStream(near) if watched else near, split=True)
    failure = ConnectionFailed("the connection was lost")

    def ended(nothing_sent: bool) -> ConnectionFailed:
        failure.nothing_sent = nothing_sent
        return failure

    line = Line(MessageWriter(stream, lambda: line.is_over, ended), stream, far)
    yield line
    await trio.aclose_forcefully(stream)
    await trio.aclose_forcefully(far)


@given(
    st.one_of(st.integers(0, 300), st.sampled_from([125, 126, 65_535, 65_536, 70_001])),
    st.binary(min_size=4, max_size=4),
)
def test_a_frame_is_read_by_another_implementation(size: int, mask: bytes) -> None:
    payload = ("ü" + "x" * size)[:size]
    protocol = Connection(ConnectionType.SERVER)
    protocol.receive_data(masked_text_frame(payload.encode(), mask))
    events = list(protocol.events())
    messages = [event for event in events if isinstance(event, ws.TextMessage)]
    assert len(messages) == len(events)
    assert "".join(str(message.data) for message in messages) == payload
    assert messages[-1].message_finished


async def test_messages_leave_in_the_step_that_writes_them(autojump_clock: MockClock) -> None:
    async with open_line() as line:
        assert [line.writer.write_now(text) for text in ("", "a", "ü")] == [True] * 3
        assert not line.writer.has_rest
        assert await line.read() == ["", "a", "ü"]


async def test_a_full_network_leaves_a_rest_that_goes_first(autojump_clock: MockClock) -> None:
    async with open_line() as line:
        assert line.writer.write_now("a" * 990)
        assert line.writer.write_now("b" * 990)
        assert line.writer.has_rest
        assert not line.writer.write_now("c")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(line.stream.send_all, b"\x89\x80" + MASK)
            nursery.start_soon(line.writer.flush)
            assert await line.read() == ["a" * 990, "b" * 990, "ping"]
        assert not line.writer.has_rest
        assert line.writer.write_now("c")
        assert await line.read() == ["c"]


async def test_a_network_without_room_takes_nothing_now(autojump_clock: MockClock) -> None:
    async with open_line() as line:
        assert line.stream.send_now(SecretBytes(masked_text_frame(b"a" * 992, MASK)))
        assert not line.writer.write_now("b")
        assert not line.writer.has_rest
        async with trio.open_nursery() as nursery:
            nursery.start_soon(line.writer.write, "b")
            assert await line.read() == ["a" * 992, "b"]


async def test_what_another_task_sends_goes_first(autojump_clock: MockClock) -> None:
    async with open_line() as line, trio.open_nursery() as nursery:
        nursery.start_soon(line.writer.write, "a" * 3000)
        await trio.sleep(1)
        assert not line.writer.write_now("b")
        assert await line.read() == ["a" * 3000]


async def test_a_stream_that_cannot_send_now_waits(autojump_clock: MockClock) -> None:
    async with open_line(watched=False) as line:
        assert not line.writer.write_now("a")
        await line.writer.write("a")
        assert await line.read() == ["a"]


async def test_after_the_end_nothing_is_written(autojump_clock: MockClock) -> None:
    async with open_line() as line:
        line.is_over = True
        assert not line.writer.write_now("a")
        with pytest.raises(ConnectionFailed) as caught:
            await line.writer.write("a")
        assert caught.value.nothing_sent
        assert await line.read() == []


async def test_on_a_broken_network_nothing_is_sent_now_and_the_error_comes_later(autojump_clock: MockClock) -> None:
    async with open_line() as line:
        await line.far.aclose()
        assert not line.writer.write_now("a")
        with pytest.raises(ConnectionFailed) as caught:
            await line.writer.write("a")
        assert not caught.value.nothing_sent


async def test_a_cancelled_write_closes_the_connection(autojump_clock: MockClock) -> None:
    async with open_line() as line:
        with trio.move_on_after(1) as scope:
            await line.writer.write("a" * 3000)
        assert scope.cancelled_caught
        assert await line.read() == []
        with pytest.raises(ConnectionFailed):
            await line.writer.write("b")

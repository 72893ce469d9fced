"""TCP streams: trio's contract for a stream, and reads that wait first."""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import assert_checkpoints, check_half_closeable_stream, wait_all_tasks_blocked

from tplus_trio import TcpConnector
from tplus_trio.transport.tcp import TcpStream


async def connected() -> tuple[TcpStream, trio.SocketStream]:
    """Open both ends of a connection: the one under test, and trio's own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = await trio.open_tcp_stream(*listener.getsockname())
        far, _ = listener.accept()
    far.setblocking(False)
    return TcpStream(near), trio.SocketStream(trio.socket.from_stdlib_socket(far))


@pytest.fixture
async def ends() -> AsyncIterator[tuple[TcpStream, trio.SocketStream]]:
    near, far = await connected()
    yield near, far
    await trio.aclose_forcefully(near)
    await trio.aclose_forcefully(far)


async def clogged() -> tuple[TcpStream, trio.SocketStream]:
    """Open both ends, and fill the connection in both directions."""
    near, far = await connected()
    for stream in (near, far):
        with trio.move_on_after(0.02):
            while True:
                await stream.send_all(b"x" * 65536)
    return near, far


async def test_it_is_a_stream_as_trio_defines_one() -> None:
    await check_half_closeable_stream(connected, clogged)


async def test_the_connector_opens_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        async with await TcpConnector().connect("127.0.0.1", port) as stream:
            assert isinstance(stream, TcpStream)
            assert stream.socket.getpeername()[1] == port


async def test_after_an_emptied_socket_a_read_waits_first(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int | None] = []

    class Asked(socket.socket):
        def recv(self, size: int, flags: int = 0) -> bytes:
            asked.append(None)
            data = super().recv(size, flags)
            asked[-1] = len(data)
            return data

    monkeypatch.setattr("tplus_trio.transport.tcp.socket.socket", Asked)
    near, far = await connected()
    async with near, far, trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(near.receive_some, 100)
            await wait_all_tasks_blocked()
            await far.send_all(b"hello")
            await wait_all_tasks_blocked(0.01)
    assert asked == [5, 5, 5]


async def test_more_than_was_asked_for_is_read_without_waiting(
    ends: tuple[TcpStream, trio.SocketStream], monkeypatch: pytest.MonkeyPatch
) -> None:
    near, far = ends
    await far.send_all(b"0123456789")
    assert await near.receive_some(4) == b"0123"

    async def wait_readable(_: object) -> None:
        pytest.fail("there is more, and it waited")

    with monkeypatch.context() as patched:
        patched.setattr(trio.lowlevel, "wait_readable", wait_readable)
        with assert_checkpoints():
            assert await near.receive_some(4) == b"4567"
        assert await near.receive_some(4) == b"89"
    await far.aclose()
    assert await near.receive_some(4) == b""
    assert await near.receive_some(4) == b""


async def test_a_read_that_just_filled_its_bytes_waits_for_the_next(ends: tuple[TcpStream, trio.SocketStream]) -> None:
    near, far = ends
    await far.send_all(b"0123")
    assert await near.receive_some(4) == b"0123"
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def _() -> None:
            assert await near.receive_some(4) == b"45"

        await wait_all_tasks_blocked()
        await far.send_all(b"45")


@pytest.mark.parametrize("left", [b"", b"rest"])
async def test_cancelled_it_has_taken_nothing(ends: tuple[TcpStream, trio.SocketStream], left: bytes) -> None:
    near, far = ends
    await far.send_all(b"0123" + left)
    assert await near.receive_some(4) == b"0123"
    with trio.CancelScope() as scope:
        scope.cancel()
        await near.receive_some()
    assert scope.cancelled_caught
    await far.send_all(b"!")
    received = b""
    while len(received) < len(left) + 1:
        received += await near.receive_some()
    assert received == left + b"!"


async def test_a_reset_breaks_it(ends: tuple[TcpStream, trio.SocketStream]) -> None:
    near, far = ends
    far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await far.aclose()
    with pytest.raises(trio.BrokenResourceError, match=r"the connection is broken: .*reset") as caught:
        await near.receive_some()
    assert isinstance(caught.value.__cause__, ConnectionResetError)


async def test_closing_it_wakes_who_reads(ends: tuple[TcpStream, trio.SocketStream]) -> None:
    near, _ = ends
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def _() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await near.receive_some()

        await wait_all_tasks_blocked()
        await near.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await near.receive_some()


async def test_a_stream_closed_as_its_wait_ends_is_closed_and_not_broken(
    ends: tuple[TcpStream, trio.SocketStream], monkeypatch: pytest.MonkeyPatch
) -> None:
    near, far = ends
    await far.send_all(b"hello")

    async def wait_readable(_: object) -> None:
        await near.aclose()

    monkeypatch.setattr(trio.lowlevel, "wait_readable", wait_readable)
    with pytest.raises(trio.ClosedResourceError):
        await near.receive_some()


async def test_no_bytes_cannot_be_asked_for(ends: tuple[TcpStream, trio.SocketStream]) -> None:
    near, _ = ends
    with pytest.raises(ValueError, match="max_bytes is at least 1, not 0"):
        await near.receive_some(0)

"""A TCP connection, as trio has it, but for how it is read."""

from __future__ import annotations

import socket

import trio

from tplus_trio.arguments import check_count
from tplus_trio.transport.sizes import READ_SIZE

__all__ = ["TcpStream"]


class TcpStream(trio.abc.HalfCloseableStream):
    """trio's `trio.SocketStream`, which waits before it reads where it can know that there is nothing yet.

    trio's own asks the system for bytes each time, and waits once that has failed. A feed at a trickle fails each time,
    and what that costs delays whoever was just handed the last message. A read that brought less than was asked for
    has taken all there was, so the next one may as well begin with waiting.

    Args:
        stream: The connection. It is taken over, and must not be used any more.
    """

    def __init__(self, stream: trio.SocketStream) -> None:
        old = stream.socket
        # Told what it is, it does not ask the system, which might refuse: then nobody would own the descriptor.
        self._socket = socket.socket(old.family, old.type, old.proto, fileno=old.detach())
        self._socket.setblocking(False)
        self._stream = trio.SocketStream(trio.socket.from_stdlib_socket(self._socket))
        #: For options, addresses, and whether something can be read.
        self.socket: trio.socket.SocketType = self._stream.socket
        #: Whether the last read may have left something.
        self._may_have_more = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Wait for bytes; none, once the peer has ended its side. Cancelled, it has taken nothing.

        Raises:
            ValueError: ``max_bytes`` is less than 1.
            trio.ClosedResourceError: the stream was closed, here.
            trio.BrokenResourceError: the connection is broken.
            trio.BusyResourceError: another task waits for bytes.
        """
        size = READ_SIZE if max_bytes is None else check_count("max_bytes", max_bytes)
        sock = self._socket
        waits = not self._may_have_more
        if not waits:
            await trio.lowlevel.checkpoint_if_cancelled()
        while True:
            if sock.fileno() < 0:
                msg = "the stream was closed"
                raise trio.ClosedResourceError(msg)
            if waits:
                await trio.lowlevel.wait_readable(sock)
            try:
                data = sock.recv(size)
            except BlockingIOError:
                waits = True
                continue
            except OSError as exc:
                if sock.fileno() < 0:
                    continue  # closed here, between the end of the wait and this task's turn
                msg = f"the connection is broken: {exc}"
                raise trio.BrokenResourceError(msg) from exc
            self._may_have_more = len(data) == size
            if not waits:
                await trio.lowlevel.cancel_shielded_checkpoint()
            return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send, as trio's stream does."""
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """Wait, as trio's stream does."""
        await self._stream.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        """End this side, as trio's stream does."""
        await self._stream.send_eof()

    async def aclose(self) -> None:
        """Close, as trio's stream does."""
        await self._stream.aclose()

"""A TCP connection that waits before it reads, to save system calls."""

from __future__ import annotations

import socket

import trio

from tplus_trio.arguments import check_count
from tplus_trio.transport.sizes import READ_SIZE

__all__ = ["TcpStream"]


class TcpStream(trio.abc.HalfCloseableStream):
    """A `trio.SocketStream` that waits before it reads if the previous read emptied the socket.

    trio's own stream reads first, and waits if that fails. On a slow feed each first read fails, which delays the
    consumer of the previous message. A read that returns fewer bytes than requested has emptied the socket, so the next
    read waits first.

    Args:
        stream: The connection. This stream owns it; the caller must not use it any more.
    """

    def __init__(self, stream: trio.SocketStream) -> None:
        old = stream.socket
        # The family is given: a failed request of the system for it would leak the descriptor.
        self._socket = socket.socket(old.family, old.type, old.proto, fileno=old.detach())
        self._socket.setblocking(False)
        self._stream = trio.SocketStream(trio.socket.from_stdlib_socket(self._socket))
        #: The socket, for its options, its addresses and `is_readable`.
        self.socket: trio.socket.SocketType = self._stream.socket
        #: Whether the last read may have left something.
        self._may_have_more = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Wait for bytes. A cancelled call has taken none.

        Args:
            max_bytes: The most bytes to return, 1 or more; None is 64 KiB.

        Returns:
            One byte or more; ``b""`` after the peer ended its side.

        Raises:
            ValueError: ``max_bytes`` is less than 1.
            trio.ClosedResourceError: the stream was closed here.
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
                    continue  # closed here, after the wait ended and before this task ran
                msg = f"the connection is broken: {exc}"
                raise trio.BrokenResourceError(msg) from exc
            self._may_have_more = len(data) == size
            if not waits:
                await trio.lowlevel.cancel_shielded_checkpoint()
            return data

    def send_now(self, data: bytes) -> int:
        """Send without waiting; see `SendsNow`."""
        try:
            return self._socket.send(data)
        except OSError:
            return 0

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

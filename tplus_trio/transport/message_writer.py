"""Text messages written straight to the byte stream of a WebSocket, without a wait where the network takes them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

import trio

from tplus_trio.errors import ConnectionFailed
from tplus_trio.secret import SecretBytes
from tplus_trio.transport.handshake_stream import HandshakeStream

__all__ = ["MessageWriter", "masked_text_frame"]

#: A whole text message, and the bit that announces a mask: RFC 6455, section 5.2.
_TEXT: Final = 0x81
_MASKED: Final = 0x80
#: Payloads up to this long have their length in the second byte; longer ones have two or eight more bytes for it.
_SHORT: Final = 125
_MEDIUM: Final = 0xFFFF


def masked_text_frame(payload: bytes, mask: bytes) -> SecretBytes:
    """Return a client's frame with a whole text message.

    Args:
        payload: The message in UTF-8.
        mask: Four random bytes.
    """
    size = len(payload)
    if size <= _SHORT:
        head = bytes((_TEXT, _MASKED | size))
    elif size <= _MEDIUM:
        head = bytes((_TEXT, _MASKED | 126)) + size.to_bytes(2)
    else:
        head = bytes((_TEXT, _MASKED | 127)) + size.to_bytes(8)
    masks = (mask * (size // 4 + 1))[:size]
    masked = int.from_bytes(payload) ^ int.from_bytes(masks)
    return SecretBytes(head + mask + masked.to_bytes(size))


class MessageWriter:
    """Writes the text messages of one connection, from one task and from steps that do not wait.

    trio-websocket is not used: its lock costs two turns of the scheduler for each message. `WebSocket.send` and this
    writer are not used on one connection: their messages would have no order.

    Args:
        stream: The connection's byte stream.
        is_over: Whether the connection ended or is being closed.
        ended: Makes the error that says why the connection ended.
    """

    def __init__(
        self, stream: HandshakeStream, is_over: Callable[[], bool], ended: Callable[[bool], ConnectionFailed]
    ) -> None:
        self._stream = stream
        self._is_over = is_over
        self._ended = ended

    @property
    def is_over(self) -> bool:
        """Whether the connection ended or is being closed."""
        return self._is_over()

    @property
    def has_rest(self) -> bool:
        """Whether a part of a message waits for `flush`."""
        return self._stream.has_rest

    def write_now(self, text: str) -> bool:
        """Write a message without waiting.

        Args:
            text: The message. It may hold secrets: no error repeats it.

        Returns:
            True if the network took the message, or its beginning: `flush` sends the rest. False if it took no byte.
        """
        return not self._is_over() and self._stream.send_now(_frame(text))

    async def write(self, text: str) -> None:
        """Write a message, and wait until the byte stream has taken all of it.

        If it is cancelled, the connection is closed at once.

        Args:
            text: The message. It may hold secrets: no error repeats it.

        Raises:
            ConnectionFailed: the connection ended. ``nothing_sent`` is True if no byte of the message can have left.
        """
        if self.is_over:
            await trio.lowlevel.checkpoint()
            raise self._ended(True)
        await self._send(_frame(text))

    async def flush(self) -> None:
        """Send what `write_now` left, and wait until the byte stream has taken all of it.

        If it is cancelled, the connection is closed at once.

        Raises:
            ConnectionFailed: the connection ended.
        """
        await self._send(b"")

    async def _send(self, data: bytes) -> None:
        try:
            await self._stream.send_all(data)
        except trio.Cancelled:
            await trio.aclose_forcefully(self._stream)
            raise
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            await trio.aclose_forcefully(self._stream)
        else:
            return
        raise self._ended(False)


def _frame(text: str) -> SecretBytes:
    return masked_text_frame(text.encode(), os.urandom(4))

"""WebSocket frames as a server writes them: unmasked, and here also split, odd or broken on purpose."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

__all__ = ["WireBytes", "fragmented", "frame", "text_frame"]

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA


class WireBytes(bytes):
    """Bytes to be written to a connection as they are, in place of a payload to be framed."""

    __slots__ = ()


def frame(opcode: int, payload: bytes, *, final: bool = True) -> WireBytes:
    """One frame.

    Args:
        opcode: What it is (:data:`TEXT`, :data:`PING`, …).
        payload: What it carries.
        final: Whether the message ends with it.
    """
    first = opcode | (0x80 if final else 0)
    size = len(payload)
    if size < 126:
        head = bytes((first, size))
    elif size < 1 << 16:
        head = bytes((first, 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, 127)) + size.to_bytes(8, "big")
    return WireBytes(head + payload)


def text_frame(payload: bytes) -> WireBytes:
    """A whole text message in one frame."""
    return frame(TEXT, payload)


def fragmented(payload: bytes, pieces: int = 3, *, ping: bytes | None = b"between") -> WireBytes:
    """A text message cut into ``pieces`` frames, with a ping between any two of them.

    Args:
        payload: The message.
        pieces: How many frames, at least 1; some are empty where the message is shorter.
        ping: What each ping carries; None sends no pings.
    """
    if pieces < 1:
        raise ValueError(f"pieces must be at least 1, got {pieces}")
    cuts = [len(payload) * i // pieces for i in range(pieces + 1)]
    frames: list[bytes] = []
    for i in range(pieces):
        if i and ping is not None:
            frames.append(frame(PING, ping))
        opcode = CONTINUATION if i else TEXT
        frames.append(frame(opcode, payload[cuts[i] : cuts[i + 1]], final=i == pieces - 1))
    return WireBytes(b"".join(frames))


def on_the_wire(messages: Iterable[bytes]) -> bytes:
    """The bytes of some messages: payloads become text frames, :class:`WireBytes` stay as they are."""
    return b"".join([item if isinstance(item, WireBytes) else text_frame(item) for item in messages])

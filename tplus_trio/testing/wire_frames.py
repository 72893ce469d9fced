"""WebSocket frames as a server writes them (unmasked), including fragmented, unusual and illegal ones."""

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
    """Bytes that are written to a connection unchanged, instead of a payload that is framed."""

    __slots__ = ()


def frame(opcode: int, payload: bytes, *, final: bool = True) -> WireBytes:
    """Return one frame.

    Args:
        opcode: The opcode (:data:`TEXT`, :data:`PING`, …), from 0 to 15.
        payload: The payload.
        final: Whether it is the last frame of its message.
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
    """Return a whole text message in one frame."""
    return frame(TEXT, payload)


def fragmented(payload: bytes, pieces: int = 3, *, ping: bytes | None = b"between") -> WireBytes:
    """Return a text message in ``pieces`` frames, with a ping between any two of them.

    Args:
        payload: The message.
        pieces: The number of frames, 1 or more; some are empty if the message is shorter.
        ping: The payload of each ping; None sends no pings.

    Raises:
        ValueError: ``pieces`` is less than 1.
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
    """Return the bytes of some messages: payloads become text frames, :class:`WireBytes` are unchanged."""
    return b"".join([item if isinstance(item, WireBytes) else text_frame(item) for item in messages])

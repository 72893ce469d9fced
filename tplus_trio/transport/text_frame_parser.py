"""Parses whole text frames out of a WebSocket's bytes, and passes all other frames through. Pure: no I/O.

A frame head (RFC 6455, section 5.2) is two bytes, then up to eight bytes of length and four of mask. Nearly all data
that a server sends is whole, unmasked text, whose heads are quick to parse. All other frames go to a full
implementation unchanged, in their order among the text frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

__all__ = ["BATCH_SIZE", "Passthrough", "TextFrameParser"]

#: Bytes of messages that are returned at a time, if nobody says otherwise.
BATCH_SIZE: Final = 32 * 1024

_FIN: Final = 0x80
_WHOLE_TEXT: Final = 0x81
_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_MASKED: Final = 0x80
_LENGTH_16, _LENGTH_64 = 126, 127
#: The least payload size that a length field of so many bytes may hold.
_SHORTEST: Final = {0: 0, 2: _LENGTH_16, 8: 1 << 16}
#: Bytes. If more than this are missing of a frame, its parts are collected and parsed once all are there.
_MUCH: Final = 4096
#: The most messages of a batch. A batch is decoded without a checkpoint, and other tasks have to run in between.
_BATCH: Final = 128
#: The most frames of one message. trio-websocket keeps each until the last is there, and each takes about 80 bytes of
#: memory besides its payload, even an empty one. The pieces of one frame need no limit: all but its last have `_MUCH`
#: bytes at least.
_MOST_FRAMES: Final = 1 << 16


@attrs.frozen
class Passthrough:
    """Bytes that go to trio-websocket."""

    data: bytes
    #: Whether they complete a message.
    completes: bool
    #: Whether all bytes after them go to trio-websocket as well.
    final: bool
    #: Whether the message that they belong to is longer than ``max_size`` by now, or in too many frames.
    excess: bool = False


class TextFrameParser:
    """Takes bytes as they come, and returns messages and other frames in order.

    Args:
        max_size: The longest message, in bytes. A longer one is passed through.
        batch_size: About how many bytes of messages `messages` returns at a time. A batch ends with the first message
            that exceeds it.
    """

    # Thirteen attributes: the parser runs for each message, and parts of it in objects would cost a lookup each.

    def __init__(self, max_size: int, batch_size: int = BATCH_SIZE) -> None:
        self._max_size = max_size
        self.batch_size: int = batch_size
        #: From this value on, the second byte of a head is not the size of a short message that is parsed here.
        self._not_short = min(_LENGTH_16, max_size + 1)
        #: True if nothing can be returned before more bytes come. If False, there may be nothing all the same.
        self.exhausted: bool = True
        self._data = b""
        self._position = 0
        #: The parts of a long frame that is not complete.
        self._parts: list[bytes] = []
        self._missing = 0
        #: Of a frame that is being passed through: the bytes still to come, and whether they complete a message.
        self._passing = 0
        self._completes = False
        self._fragmented = False
        #: Of a message that is being passed through: its frames so far, and their bytes without heads.
        self._frames = 0
        self._passed = 0

    @property
    def available(self) -> int:
        """How many bytes there are to parse."""
        return len(self._data) - self._position

    def feed(self, data: bytes) -> None:
        """Add bytes from the network."""
        if self._parts:
            # A long frame is joined once, not at each read.
            self._parts.append(data)
            self._missing -= len(data)
            if self._missing > 0:
                return
            data, self._parts = b"".join(self._parts), []
        elif self._position < len(self._data):
            data = self._data[self._position :] + data
        self._data = data
        self._position = 0
        self.exhausted = False

    def messages(self) -> Sequence[bytes]:
        """The next text messages, as UTF-8, one batch at most. Empty if another frame is next, or bytes are missing."""
        data, position = self._data, self._position
        end = position if self._passing or self._fragmented else len(data)
        messages: list[bytes] = []
        missing, not_short, max_size = 0, self._not_short, self._max_size
        last = min(end - 1, position + self.batch_size)
        for _ in range(_BATCH):
            if position >= last or data[position] != _WHOLE_TEXT:
                break
            start, size = position + 2, data[position + 1]
            if size >= not_short:
                if size == _LENGTH_16 and position + 4 <= end:
                    # The same as in `_long`, without the call: most frames of most feeds are of this kind.
                    start, size = position + 4, data[position + 2] << 8 | data[position + 3]
                    if not _LENGTH_16 <= size <= max_size:
                        break
                else:
                    start, size = self._long(position)
                    if not start:
                        break
            stop = start + size
            if stop > end:
                missing = stop - end
                break
            message = data[start:stop]
            if not message.isascii() and not _is_utf8(message):
                break
            messages.append(message)
            position = stop
        self._leave_off(position, missing)
        return messages

    def _leave_off(self, position: int, missing: int) -> None:
        """Go on from this position the next time. ``missing`` bytes of the message there have not come yet."""
        rest = len(self._data) - position
        self.exhausted = missing > 0 or not rest
        if missing > _MUCH:
            # Its parts are joined once it is complete, and not parsed one by one.
            self._parts, self._missing = [self._data[position:]], missing
            self._data, self._position = b"", 0
        elif missing or rest <= _MUCH:
            # The rest may wait for long, and must not keep all that came with it in memory.
            self._data, self._position = self._data[position:], 0
        else:
            self._position = position

    def _long(self, position: int) -> tuple[int, int]:
        """The start and size of a longer frame's message; 0, 0 if it is passed through, or its head is incomplete."""
        width = {_LENGTH_16: 2, _LENGTH_64: 8}.get(self._data[position + 1], 0)
        start = position + 2 + width
        if not width or start > len(self._data):
            return 0, 0
        size = int.from_bytes(self._data[position + 2 : start])
        return (start, size) if _SHORTEST[width] <= size <= self._max_size else (0, 0)

    def passthrough(self) -> Passthrough | None:
        """The next bytes that belong to no whole text frame; None if more bytes are needed first."""
        passed = self._pass_on() if self._passing else self._begin_passthrough()
        self.exhausted = passed is None
        return passed

    def _begin_passthrough(self) -> Passthrough | None:
        data, position = self._data, self._position
        head = data[position : position + 10]
        if len(head) < 2:
            return None
        opcode, fin = head[0] & ~_FIN, bool(head[0] & _FIN)
        is_control = opcode in {_PING, _PONG} and fin and head[1] < _LENGTH_16
        is_first = opcode in {_TEXT, _BINARY} and not self._fragmented
        is_next = opcode == _CONTINUATION and self._fragmented
        if head[1] & _MASKED or not (is_control or is_first or is_next):
            # A close frame, or a protocol violation: trio-websocket answers, and reads the rest alone.
            return Passthrough(self.rest(), completes=False, final=True)
        size = head[1]
        width = {_LENGTH_16: 2, _LENGTH_64: 8}.get(size, 0)
        start = 2 + width
        if width:
            if len(head) < start:
                return None
            size = int.from_bytes(head[2:start])
        if is_control:
            return self._take(start + size, completes=False) if len(data) - position >= start + size else None
        if size < _SHORTEST[width] or size >= 1 << 63:
            return Passthrough(self.rest(), completes=False, final=True)  # an illegal length
        if opcode == _TEXT and fin and size <= self._max_size and len(data) - position < start + size:
            return None  # `messages` returns it once it is complete
        if opcode != _CONTINUATION:
            self._frames = self._passed = 0
        self._frames += 1
        self._passed -= start
        self._passing = start + size
        self._completes = fin
        self._fragmented = not fin
        return self._pass_on()

    def _pass_on(self) -> Passthrough | None:
        available = min(self._passing, len(self._data) - self._position)
        excess = self._passed + available > self._max_size or self._frames > _MOST_FRAMES
        if available < min(self._passing, _MUCH) and not (available and excess):
            return None
        self._passing -= available
        self._passed += available
        return self._take(available, completes=self._completes and not self._passing, excess=excess)

    def _take(self, size: int, *, completes: bool, excess: bool = False) -> Passthrough:
        passed = Passthrough(self._data[self._position : self._position + size], completes, final=False, excess=excess)
        self._leave_off(self._position + size, 0)
        return passed

    def rest(self) -> bytes:
        """Everything that was fed and not given out. The parser has nothing after that."""
        rest = b"".join(self._parts) if self._parts else self._data[self._position :]
        self._parts, self._data, self._position = [], b"", 0
        self.exhausted = True
        return rest


def _is_utf8(message: bytes) -> bool:
    try:
        message.decode()
    except UnicodeDecodeError:
        return False
    return True

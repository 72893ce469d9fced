"""Cuts the frames that nearly all are out of a WebSocket's bytes, and names the rest. Pure: no I/O.

A frame head (RFC 6455, section 5.2) is two bytes, then up to eight bytes of length and four of mask. What a server
sends of data is whole, unmasked text nearly always, and its head is quickly read. Whatever else comes is left to a full
implementation, byte for byte and in its place among the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

__all__ = ["Passthrough", "TextFrameParser"]

_FIN: Final = 0x80
_WHOLE_TEXT: Final = 0x81
_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_MASKED: Final = 0x80
_LENGTH_16, _LENGTH_64 = 126, 127
#: The least size that may be written with so many bytes of length.
_SHORTEST: Final = {0: 0, 2: _LENGTH_16, 8: 1 << 16}
#: More bytes than this are worth waiting for without looking.
_MUCH: Final = 4096
#: How many messages are handed out at a time, at most: they are decoded in one go, and neighbours want their turn.
_BATCH: Final = 128
#: In how many frames one message may come. Each is kept until the last is there, and takes some eighty bytes besides
#: its own, even an empty one. A frame that reads split is passed on in pieces of `_MUCH` bytes at least, its last
#: excepted, so that its pieces need no limit.
_MOST_FRAMES: Final = 1 << 16


@attrs.frozen
class Passthrough:
    """Bytes that are not for the cutter."""

    data: bytes
    #: Whether they complete a message.
    completes: bool
    #: Whether everything after them is not for the cutter either.
    final: bool
    #: Whether the message that they belong to is longer than allowed by now, or in too many frames.
    excess: bool = False


class TextFrameParser:
    """Takes bytes as they come, gives messages and whatever else there was, in order.

    Args:
        max_size: The longest message, in bytes; a longer one is not cut.
        batch_size: How many bytes of messages are handed out at a time, give or take the last.
    """

    def __init__(self, max_size: int, batch_size: int = 1 << 15) -> None:
        self._max_size = max_size
        self._batch_size = batch_size
        #: From here on, the second byte of a head is not the size of a message to cut.
        self._not_short = min(_LENGTH_16, max_size + 1)
        #: Whether there is nothing to give out before more bytes come. (Where not, there may be nothing all the same.)
        self.exhausted: bool = True
        self._data = b""
        self._position = 0
        #: What came of a frame that is not complete yet, when that is much.
        self._parts: list[bytes] = []
        self._missing = 0
        #: Bytes of a frame that is being passed on, still to come, and whether they complete a message.
        self._passing = 0
        self._completes = False
        self._fragmented = False
        #: Of a message that is being passed on: its frames so far, and the bytes that went, without heads.
        self._frames = 0
        self._passed = 0

    def feed(self, data: bytes) -> None:
        """Add bytes from the network."""
        if self._parts:
            # A long frame is put together once, not at each read.
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
        """The text messages that are next, as UTF-8, a batch at most; none if something else is next, or nothing."""
        data, position = self._data, self._position
        end = position if self._passing or self._fragmented else len(data)
        messages: list[bytes] = []
        missing, not_short, max_size = 0, self._not_short, self._max_size
        last = min(end - 1, position + self._batch_size)
        for _ in range(_BATCH):
            if position >= last or data[position] != _WHOLE_TEXT:
                break
            start, size = position + 2, data[position + 1]
            if size >= not_short:
                if size == _LENGTH_16 and position + 4 <= end:
                    # As `_long` would say, without the call: most frames of most feeds are of this kind.
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
        """Go on from here the next time; of the message there, so many bytes have not come yet."""
        self.exhausted = missing > 0 or position == len(self._data)
        if missing > _MUCH:
            # Its parts are put together once it is complete, without a look at each.
            self._parts, self._missing = [self._data[position:]], missing
            self._data, self._position = b"", 0
        elif missing or position == len(self._data):
            # What is left waits for more, perhaps for long: it should not hold all that came with it.
            self._data, self._position = self._data[position:], 0
        else:
            self._position = position

    def _long(self, position: int) -> tuple[int, int]:
        """Where the message of a longer frame starts, and its size; 0, 0 if it is not for `messages` to cut, or yet."""
        width = {_LENGTH_16: 2, _LENGTH_64: 8}.get(self._data[position + 1], 0)
        start = position + 2 + width
        if not width or start > len(self._data):
            return 0, 0
        size = int.from_bytes(self._data[position + 2 : start])
        return (start, size) if _SHORTEST[width] <= size <= self._max_size else (0, 0)

    def passthrough(self) -> Passthrough | None:
        """What is next and is no whole text message, as far as it is there; None if more bytes are needed first."""
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
            # A close frame, or what breaks the protocol: the full implementation answers, and goes on alone.
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
            return Passthrough(self.rest(), completes=False, final=True)  # a length that nobody may write like this
        if opcode == _TEXT and fin and size <= self._max_size and len(data) - position < start + size:
            return None  # a message for `messages`, once it is complete
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
        start, self._position = self._position, self._position + size
        return Passthrough(self._data[start : self._position], completes, final=False, excess=excess)

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

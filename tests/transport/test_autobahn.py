"""The bytes of the Autobahn suite's cases for clients: our receive path and trio-websocket's behave the same.

Each case is the bytes that a server sends after the handshake. Both paths read them in several divisions into chunks.
The messages, the close code and reason that the client sees, and the frames that it sends must be equal.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

import attrs
import pytest
import trio
from trio.testing import MockClock

from tests.helpers.peers import Peer
from tplus_trio import ConnectionFailed
from tplus_trio.testing import MemoryNetwork
from tplus_trio.testing.wire_frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, frame
from tplus_trio.transport.connector import Endpoint
from tplus_trio.transport.websocket import BinaryMessage, LongMessage, WebSocketLimits
from tplus_trio.transport.websocket_opening import open_websocket

SIZES: Final = (0, 1, 125, 126, 127, 128, 65535, 65536)
WIDE: Final = "Hello-µ@ßöäüàá-UTF-8!!".encode()
KIB: Final = 1024


def closing(code: int | None = 1000, reason: bytes = b"") -> bytes:
    return frame(CLOSE, b"" if code is None else code.to_bytes(2) + reason)


def pieces(payload: bytes, size: int, opcode: int = TEXT, between: bytes = b"") -> bytes:
    """Make one message in frames of a given size, with other frames between them."""
    parts = [payload[at : at + size] for at in range(0, len(payload), size)] or [b""]
    last = len(parts) - 1
    frames = (frame(CONTINUATION if n else opcode, part, final=n == last) for n, part in enumerate(parts))
    return between.join(frames)


def with_bits(data: bytes, bits: int) -> bytes:
    """Make a frame with reserved bits set."""
    return bytes([data[0] | bits << 4]) + data[1:]


def sizes() -> Iterator[tuple[str, bytes]]:
    for opcode, size in itertools.product((TEXT, BINARY), SIZES):
        yield f"1.{opcode}.{size}", frame(opcode, b"*" * size) + closing()


def pings() -> Iterator[tuple[str, bytes]]:
    for number, payload in enumerate((b"", b"Hello", bytes(range(240, 256)), b"\xfe" * 125, b"\xfe" * 126), 1):
        yield f"2.{number}", frame(PING, payload) + frame(TEXT, b"x") + closing()
        yield f"2.{number} pong", frame(PONG, payload) + frame(PING, b"a") + frame(TEXT, b"x") + closing()
    yield "2.10", b"".join(frame(PING, b"%d" % n) for n in range(10)) + closing()
    yield "2.11", frame(PING, b"", final=False) + closing()
    yield "2.12", frame(PONG, b"x", final=False) + frame(TEXT, b"x") + closing()


def reserved() -> Iterator[tuple[str, bytes]]:
    for bits, opcode in itertools.product(range(1, 8), (TEXT, BINARY, PING, CLOSE)):
        yield (
            f"3.{bits}.{opcode}",
            frame(TEXT, b"first") + with_bits(frame(opcode, b"\x03\xe8"), bits) + frame(PING, b""),
        )
    for opcode, payload in itertools.product((3, 4, 5, 6, 7, 11, 12, 13, 14, 15), (b"", b"reserved", b"x" * 200)):
        yield (
            f"4.{opcode}.{len(payload)}",
            frame(TEXT, b"first") + frame(opcode, payload) + frame(PING, b"") + closing(),
        )
    yield "3.masked", frame(TEXT, b"first") + b"\x81\x81\0\0\0\0x" + closing()
    yield "3.long length", b"\x81\x7e\0\x05Hello" + closing()
    yield "3.longer length", b"\x81\x7f\0\0\0\0\0\0\0\x05Hello" + closing()
    yield "3.longest length", b"\x82\x7f\xff\0\0\0\0\0\0\x05Hello" + closing()


def fragmented() -> Iterator[tuple[str, bytes]]:
    after = frame(TEXT, b"after") + closing()
    for opcode, between in itertools.product(
        (TEXT, BINARY), (b"", frame(PING, b"p"), frame(PONG, b"p"), frame(PING, b""))
    ):
        name = f"{opcode}.{between.hex()}"
        yield f"5.two.{name}", pieces(b"fragment1fragment2", 9, opcode, between) + after
        yield f"5.five.{name}", pieces(b"fragment" * 5, 8, opcode, between * 2) + after
        yield f"5.empty.{name}", frame(opcode, b"", final=False) + between + frame(CONTINUATION, b"") + after
    yield "5.a continuation alone", frame(CONTINUATION, b"x") + after
    yield "5.a continuation alone, open", frame(CONTINUATION, b"x", final=False) + frame(TEXT, b"y") + after
    yield "5.a continuation after", pieces(b"abcdef", 3) + frame(CONTINUATION, b"x") + after
    yield "5.text in text", frame(TEXT, b"abc", final=False) + frame(TEXT, b"def") + after
    yield "5.binary in text", frame(TEXT, b"abc", final=False) + frame(BINARY, b"def") + after
    yield "5.open text in text", frame(TEXT, b"abc", final=False) + frame(TEXT, b"def", final=False) + after
    yield "5.ping in pieces", frame(TEXT, b"abc", final=False) + frame(PING, b"x", final=False) + after
    yield "5.close in between", frame(TEXT, b"abc", final=False) + closing() + frame(CONTINUATION, b"def")
    yield "5.close in pieces", frame(CLOSE, b"\x03\xe8", final=False) + after
    yield "5.nothing more", frame(TEXT, b"abc", final=False)


VALID: Final = (
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5",
    b"\0",
    b"\xc2\x80",
    b"\xe0\xa0\x80",
    b"\xf0\x90\x80\x80",
    b"\x7f",
    b"\xdf\xbf",
    b"\xef\xbf\xbf",
    b"\xf4\x8f\xbf\xbf",
    b"\xed\x9f\xbf",
    b"\xee\x80\x80",
    b"\xef\xbf\xbd",
    b"\xef\xbf\xbe",
    WIDE,
)
INVALID: Final = (
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
    b"\xf8\x88\x80\x80\x80",
    b"\xfc\x84\x80\x80\x80\x80",
    b"\xf7\xbf\xbf\xbf",
    b"\xf4\x90\x80\x80",
    b"\x80",
    b"\xbf",
    b"\x80\xbf" * 3,
    b"\xc0 \xc1 ",
    b"\xe0 \xef ",
    b"\xf0 \xf7 ",
    b"\xfe",
    b"\xff",
    b"\xfe\xfe\xff\xff",
    b"\xc0",
    b"\xe0\x80",
    b"\xf0\x80\x80",
    b"\xef\xbf",
    b"\xdf",
    b"\xc0\xaf",
    b"\xe0\x80\xaf",
    b"\xf0\x80\x80\xaf",
    b"\xc1\xbf",
    b"\xe0\x9f\xbf",
    b"\xf0\x8f\xbf\xbf",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\xed\xbf\xbf",
    b"\xed\xa0\x80\xed\xb0\x80",
    b"\xed\xaf\xbf\xed\xbf\xbf",
)


def texts() -> Iterator[tuple[str, bytes]]:
    for number, text in enumerate((*VALID, *INVALID)):
        data = b"before " + text
        yield f"6.{number} whole", frame(TEXT, b"first") + frame(TEXT, data) + closing()
        yield f"6.{number} bytewise", frame(TEXT, b"first") + pieces(data, 1) + frame(TEXT, b"after") + closing()
        yield f"6.{number} split", pieces(data, 8) + closing()
    # It is invalid already, and the message has no end: this has to be noticed at once.
    yield "6.fail fast", frame(TEXT, b"\xce\xba\xe1\xbd\xb9\xcf\x83\xf4\x90\x80\x80", final=False)
    yield "6.fail fast, later", frame(TEXT, b"\xce\xba", final=False) + frame(CONTINUATION, b"\xf4\x90", final=False)


def closes() -> Iterator[tuple[str, bytes]]:
    after = frame(TEXT, b"after") + frame(PING, b"after")
    first = frame(TEXT, b"first")
    for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999):
        yield f"7.{code}", first + closing(code) + after
        yield f"7.{code} reason", first + closing(code, b"because") + after
    for code in (0, 999, 1004, 1005, 1006, 1012, 1013, 1014, 1015, 1016, 1100, 2000, 2999, 5000, 65535):
        yield f"7.illegal {code}", first + closing(code, b"because") + after
    yield "7.none", first + closing(None) + after
    yield "7.one byte", first + frame(CLOSE, b"\x03") + after
    yield "7.longest reason", first + closing(1000, b"*" * 123) + after
    yield "7.too long", first + closing(1000, b"*" * 124) + after
    yield "7.wide reason", first + closing(1000, WIDE) + after
    yield "7.invalid reason", first + closing(1000, INVALID[0]) + after
    yield "7.twice", first + closing() + closing() + after
    yield "7.nothing at all", b""


def large() -> Iterator[tuple[str, bytes]]:
    for opcode in (TEXT, BINARY):
        for size in (64 * KIB, 256 * KIB):
            yield f"9.{opcode}.{size}", frame(opcode, b"*" * size) + closing()
        for piece in (64, 256, KIB, 4 * KIB, 16 * KIB):
            yield f"9.{opcode} in {piece}", pieces(b"*" * (64 * KIB), piece, opcode) + closing()
    yield "9.many", frame(TEXT, b"*" * 16) * 300 + frame(BINARY, b"*" * 16) * 50 + closing()
    # Without a close frame after them: trio-websocket reads one or not by chance, also when used alone.
    yield "9.beyond the limit", frame(TEXT, b"*" * (300 * KIB))
    yield "9.beyond the limit in pieces", pieces(b"*" * (300 * KIB), 4 * KIB)
    yield "10.1", pieces(b"*" * 65536, 1300) + closing()


CASES: Final = dict(itertools.chain(sizes(), pings(), reserved(), fragmented(), texts(), closes(), large()))


@attrs.frozen
class Seen:
    """What both sides received from a connection."""

    messages: list[tuple[str, bytes]]
    #: The error that ends it, with the close code and reason.
    end: str
    #: What the client sent, unmasked: opcode and payload.
    sent: list[tuple[int, bytes]]


def chop(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


async def seen(wire: bytes, size: int, *, fast: bool) -> Seen:
    sent: list[tuple[int, bytes]] = []

    async def handler(stream: trio.abc.Stream) -> None:
        await Peer.accept(stream)
        received = bytearray()

        async def read() -> None:
            with suppress(trio.BrokenResourceError):
                while data := await stream.receive_some():
                    received.extend(data)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            with suppress(trio.BrokenResourceError):
                for piece in chop(wire, size):
                    await stream.send_all(piece)
                    await trio.testing.wait_all_tasks_blocked() if size < 100 and len(wire) < 2000 else None
            await trio.sleep(1)
            nursery.cancel_scope.cancel()
        sent.extend(unmasked(bytes(received)))
        await stream.aclose()

    limits = WebSocketLimits(fast=fast, max_message_size=256 * KIB, ping_interval=3600.0)
    messages: list[tuple[str, bytes]] = []
    end = ""
    async with MemoryNetwork(handler=handler) as network:
        with suppress(ConnectionFailed):
            async with open_websocket(network, Endpoint.from_url("http://exchange"), "/", limits=limits) as websocket:
                try:
                    while True:
                        messages += [kind_of(message) for message in await websocket.receive()]
                except ConnectionFailed as exc:
                    end = str(exc)
        await trio.sleep(2)
    return Seen(messages, end, sent)


def kind_of(message: str | bytes) -> tuple[str, bytes]:
    match message:
        case BinaryMessage() | LongMessage():
            return type(message).__name__, bytes(message)
        case str():
            return "text", message.encode()
        case _:
            return "text", bytes(message)


def unmasked(data: bytes) -> Iterator[tuple[int, bytes]]:
    while data:
        size, mask = data[1] & 127, data[2:6]
        yield data[0], bytes(byte ^ mask[n % 4] for n, byte in enumerate(data[6 : 6 + size]))
        data = data[6 + size :]


def choppings(wire: bytes) -> tuple[int, ...]:
    return (1 << 20, 1, 7) if len(wire) < 1000 else (1 << 20, 997)


@pytest.mark.parametrize("case", CASES)
async def test_both_paths_say_the_same(case: str, autojump_clock: MockClock) -> None:
    wire = CASES[case]
    reference = await seen(wire, 1 << 20, fast=False)
    for size in choppings(wire):
        assert await seen(wire, size, fast=True) == reference


def test_there_are_as_many_cases_as_in_the_suite() -> None:
    assert len(CASES) >= 291

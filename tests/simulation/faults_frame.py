"""Frames and messages that are wrong or unusual."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tplus_trio.testing.wire_frames import BINARY, TEXT, frame

if TYPE_CHECKING:
    from .faults import Fault, Injector

__all__ = ["FRAME_FAULTS"]

#: Messages that belong to no feed.
_GARBAGE: Final = (
    '{"sequence_number": \x07 nonsense',
    "",
    "[]]",
    "{}",
    '{"bids":[[1,"NaN"]],"asks":[],"sequence_number":7}',
    '{"bids":[[1,-1]],"asks":[],"sequence_number":7}',
    '{"Created":{}}',
    "null",
    "[" * 5000,
)
#: Frames that break RFC 6455.
_ILLEGAL: Final = (
    b"\xf1\x03abc",  # reserved bits
    b"\x83\x01x",  # an opcode that does not exist
    bytes(frame(TEXT, b"\xff\xfe")),  # not UTF-8
    b"\x09\x01x",  # a ping in fragments
)


def garbage(injector: Injector) -> None:
    """Send a message that cannot be decoded."""
    injector.faults.send_text(injector.draw_feed(), injector.rng.choice(_GARBAGE))


def garbled(injector: Injector) -> None:
    """Replace a message with one that cannot be decoded."""
    injector.faults.garble(injector.draw_feed(), 1, injector.rng.choice(_GARBAGE))


def binary(injector: Injector) -> None:
    """Send a binary message."""
    injector.faults.send_wire(injector.draw_feed(), frame(BINARY, b"\x00\x01"))


def illegal_frame(injector: Injector) -> None:
    """Send a frame that breaks the protocol."""
    injector.faults.send_wire(injector.draw_feed(), injector.rng.choice(_ILLEGAL))


def fragmented(injector: Injector) -> None:
    """Send messages in fragments."""
    injector.faults.fragment(injector.draw_feed(), injector.draw_count(), injector.rng.randrange(2, 6))


def control_message(injector: Injector) -> None:
    """Send a control message."""
    kind = injector.rng.choice(("ping", "pong", "subscriptions"))
    injector.faults.send_text(injector.draw_feed(), f'{{"type":"{kind}"}}')


_FAULTS: Final[tuple[Fault, ...]] = (
    garbage,
    garbled,
    binary,
    illegal_frame,
    fragmented,
    control_message,
)
FRAME_FAULTS: Final[dict[str, Fault]] = {fault.__name__.replace("_", " "): fault for fault in _FAULTS}

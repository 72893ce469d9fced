"""Play a tape on an exchange, at its recorded pace or another."""

from __future__ import annotations

from math import inf
from typing import Final, Protocol

import trio

from tplus_trio.testing.replay.tape import Tape, TapeEntry

__all__ = ["play"]

#: At ``speed=inf``, other tasks run after this many entries…
_BATCH: Final = 64
#: …and the tape pauses while the slowest subscriber has more than this many messages to fetch.
_MAX_BACKLOG: Final = 4096


class ReplayTarget(Protocol):
    """The part of an exchange that a tape is played on: :class:`~tplus_trio.testing.Exchange` has it."""

    @property
    def backlog(self) -> int:
        """The number of messages that the slowest subscriber has not fetched."""
        ...

    def has_tape(self, tape: Tape) -> bool:
        """Return whether a tape was loaded."""
        ...

    def load_tape(self, tape: Tape) -> None:
        """Give the feeds on a tape to it alone."""
        ...

    def play_entry(self, entry: TapeEntry) -> None:
        """Send one frame, or serve one answer from now on."""
        ...


async def play(exchange: ReplayTarget, tape: Tape, speed: float = 1.0) -> None:
    """Play a tape on an exchange, every frame byte for byte as it was recorded.

    It runs on trio's clock, real or virtual.

    Args:
        exchange: The :class:`~tplus_trio.testing.Exchange`; the tape is loaded unless it was before.
        tape: The tape.
        speed: The pace, more than 0: 1 is the recorded pace, 10 is ten times as fast, ``math.inf`` is as fast as the
            subscribers fetch messages.

    Raises:
        ValueError: ``speed`` is not more than 0.

    Cancelling it stops between two entries; the entries played so far stay, and so does the loaded tape.
    """
    if not speed > 0:
        raise ValueError(f"speed must be more than 0, got {speed!r}")
    if not exchange.has_tape(tape):
        exchange.load_tape(tape)
    await trio.lowlevel.checkpoint()
    started, first_ns = trio.current_time(), tape[0].t_ns if tape else 0
    for count, entry in enumerate(tape, 1):
        due = started if speed == inf else started + (entry.t_ns - first_ns) / 1e9 / speed
        if due > trio.current_time():
            await trio.sleep_until(due)
        elif count % _BATCH == 0:
            await trio.lowlevel.checkpoint()
            # The slowest of any number of subscribers: there is no single event to wait for.
            while speed == inf and exchange.backlog > _MAX_BACKLOG:  # noqa: ASYNC110 - see above
                await trio.sleep(0.001)
        exchange.play_entry(entry)

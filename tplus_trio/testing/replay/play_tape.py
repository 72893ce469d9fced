"""Play a tape on an exchange, at its recorded pace or another."""

from __future__ import annotations

from math import inf
from typing import Final, Protocol

import trio

from tplus_trio.testing.replay.tape import Tape, TapeEntry, TapeFrame, TapeLoss

__all__ = ["play"]

#: At ``speed=inf``, other tasks run after this many entries…
_BATCH: Final = 64
#: …and the tape pauses while the slowest subscriber has more than this many messages to fetch.
_MAX_BACKLOG: Final = 4096
#: Seconds that the tape waits at most for the subscribers of a feed to come back after a recorded loss. The delay of a
#: client that has failed many times is 30 seconds at most.
_RETURN: Final = 30.0
#: Seconds between checks whether they are back.
_LOOK: Final = 0.005


class ReplayTarget(Protocol):
    """The part of an exchange that a tape is played on: :class:`~tplus_trio.testing.Exchange` has it."""

    @property
    def backlog(self) -> int:
        """The number of messages that the slowest subscriber has not fetched."""
        ...

    def subscribers(self, path: str) -> int:
        """Return the number of open subscriptions to one feed."""
        ...

    def has_tape(self, tape: Tape) -> bool:
        """Return whether a tape was loaded."""
        ...

    def load_tape(self, tape: Tape) -> None:
        """Give the feeds on a tape to it alone."""
        ...

    def play_entry(self, entry: TapeEntry) -> None:
        """Send one frame, serve one answer from now on, or lose the connections of one feed."""
        ...


async def play(exchange: ReplayTarget, tape: Tape, speed: float = 1.0) -> None:
    """Play a tape on an exchange, every frame byte for byte as it was recorded.

    It runs on trio's clock, real or virtual. Where the recorder lost a connection, the subscribers lose theirs. The
    tape then waits before the next frame of that feed until they are back, at most 30 seconds; all that follows is
    later by the time that it waited.

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
    #: How many subscribers a feed had when its connections were lost.
    gone: dict[str, int] = {}
    for count, entry in enumerate(tape, 1):
        due = started if speed == inf else started + (entry.t_ns - first_ns) / 1e9 / speed
        if due > trio.current_time():
            await trio.sleep_until(due)
        elif count % _BATCH == 0 and not isinstance(entry, TapeLoss):  # a loss is played in the step that showed it
            await trio.lowlevel.checkpoint()
            # The slowest of any number of subscribers: there is no single event to wait for.
            while speed == inf and exchange.backlog > _MAX_BACKLOG:  # noqa: ASYNC110 - see above
                await trio.sleep(0.001)
        if isinstance(entry, TapeLoss):
            gone[entry.path] = max(gone.get(entry.path, 0), exchange.subscribers(entry.path))
        elif isinstance(entry, TapeFrame) and (expected := gone.pop(entry.path, 0)):
            started += await _wait_return(exchange, entry.path, expected)
        exchange.play_entry(entry)


async def _wait_return(exchange: ReplayTarget, path: str, expected: int) -> float:
    """Wait until a feed has so many subscribers again; return the seconds that it took."""
    began = trio.current_time()
    with trio.move_on_after(_RETURN):
        while exchange.subscribers(path) < expected:  # noqa: ASYNC110 - the exchange does not tell
            await trio.sleep(_LOOK)
    return trio.current_time() - began

"""Playing a tape in time."""

from __future__ import annotations

from math import inf
from typing import Final

import trio

from tplus_trio.testing.exchange.exchange import Exchange
from tplus_trio.testing.replay.tape import Tape

__all__ = ["play"]

#: Without a pace of its own, a tape stops every so many entries to let others run…
_BATCH: Final = 64
#: …and does not run further ahead of the slowest listener than this.
_MAX_BACKLOG: Final = 4096


async def play(exchange: Exchange, tape: Tape, speed: float = 1.0) -> None:
    """Play a tape on an exchange, every frame byte for byte as it was recorded.

    It runs on trio's clock, and can be cancelled between any two entries.

    Args:
        exchange: Where to; the tape is loaded unless it was before.
        tape: What.
        speed: 1 is the recorded pace, 10 is ten times as fast, ``math.inf`` is as fast as the listeners can
            take it.

    Raises:
        ValueError: ``speed`` is not more than 0.
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
            # The slowest of any number of listeners: there is no one event to wait for.
            while speed == inf and exchange.backlog > _MAX_BACKLOG:  # noqa: ASYNC110
                await trio.sleep(0.001)
        exchange.play_entry(entry)

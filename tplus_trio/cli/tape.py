"""Loads and plays tapes, and reports what is wrong with them as a `Failure`."""

from __future__ import annotations

import trio

from tplus_trio.cli.failure import Failure, explaining, say
from tplus_trio.errors import DecodeError
from tplus_trio.testing import Exchange, Tape, play

__all__ = ["UNPLAYABLE", "load", "load_into", "play_on", "warn_of_tear"]

#: The exceptions that playing a tape raises if its texts are JSON, but not valid messages.
UNPLAYABLE = (DecodeError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError)


async def load(file: str) -> Tape:
    """Read a tape, and warn if its file breaks off.

    Raises:
        Failure: The file cannot be read, or is not a tape.
    """
    with explaining(f"the tape {file}", OSError, ValueError, RecursionError):
        tape = await trio.to_thread.run_sync(Tape.load, file, abandon_on_cancel=True)
    if tape.tear is not None:
        warn_of_tear(file, tape.tear)
    return tape


def warn_of_tear(file: str, tear: str) -> None:
    """Warn on standard error that the file of a tape breaks off."""
    say(f"tplus-trio: the tape {file} is not complete: {tear}; what comes before that is used")


def load_into(exchange: Exchange, tape: Tape) -> None:
    """Load a tape into an exchange, whose feeds that are on the tape then come from it alone.

    Raises:
        Failure: The tape has no frames, or an answer on it cannot be served.
    """
    if not tape.feeds:
        raise Failure("the tape holds no frames")
    with explaining("the tape cannot be served", *UNPLAYABLE):
        exchange.load_tape(tape)


async def play_on(exchange: Exchange, tape: Tape, speed: float) -> None:
    """Play a tape on an exchange, ``speed`` times faster than recorded.

    Raises:
        Failure: A frame on it cannot be played.
    """
    with explaining("the tape cannot be played", *UNPLAYABLE):
        await play(exchange, tape, speed)

"""How a command reports a failure, and the exit statuses of all commands."""

from __future__ import annotations

import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Final

from tplus_trio.escapes import escape

__all__ = [
    "EXIT_STATUSES",
    "FAILED",
    "INTERRUPTED",
    "IN_DOUBT",
    "REFUSED",
    "USAGE",
    "Failure",
    "complain",
    "explaining",
    "say",
]

FAILED: Final = 1
USAGE: Final = 2
REFUSED: Final = 3
IN_DOUBT: Final = 4
#: As a shell states the end by Ctrl-C: 128 and the number of the signal.
INTERRUPTED: Final = 130

#: What each exit status means. The help and docs/commands.md show it.
EXIT_STATUSES: Final[Mapping[int, str]] = {
    0: "success",
    FAILED: "failure; an order command: not carried out, or taken back",
    USAGE: "usage error, illegal setting, or missing package",
    REFUSED: "the exchange refused an order, or has no such open order",
    IN_DOUBT: "an order is in doubt: it may have been carried out",
    INTERRUPTED: "interrupted by Ctrl-C or SIGTERM",
}


class Failure(Exception):
    """A command cannot continue; the message is printed in one line.

    Args:
        message: The message.
        status: The exit status.
    """

    def __init__(self, message: str, status: int = FAILED) -> None:
        super().__init__(message)
        self.status = status


@contextmanager
def explaining(what: str, *expected: type[Exception]) -> Generator[None]:
    """Convert the expected exceptions of the body to a `Failure` whose message begins with ``what``."""
    try:
        yield
    except expected as exc:
        # The text of an OSError begins with its number, which users do not know.
        reason = (exc.strerror if isinstance(exc, OSError) else None) or str(exc) or type(exc).__name__
        raise Failure(f"{what}: {reason}") from exc


def complain(failure: BaseException, program: str = "tplus-trio") -> int:
    """Print a failure to standard error in one line, and return the exit status."""
    say(f"{program}: {' '.join(str(failure).split())}")
    return failure.status if isinstance(failure, Failure) else FAILED


def say(line: str) -> None:
    """Print a line to standard error, escaped."""
    if sys.stderr is not None:
        sys.stderr.write(f"{escape(line)}\n")

"""How a command reports a failure."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from tplus_trio.escapes import escape

__all__ = ["INTERRUPTED", "Failure", "complain", "explaining"]

#: The exit status of a command that was interrupted.
INTERRUPTED: Final = 130


class Failure(Exception):
    """A command cannot continue; the message is printed in one line."""


@contextmanager
def explaining(what: str, *expected: type[Exception]) -> Generator[None]:
    """Convert the expected exceptions of the body to a `Failure` whose message begins with ``what``."""
    try:
        yield
    except expected as exc:
        # The text of an OSError begins with its number, which users do not know.
        reason = (exc.strerror if isinstance(exc, OSError) else None) or str(exc) or type(exc).__name__
        raise Failure(f"{what}: {reason}") from exc


def complain(failure: BaseException) -> int:
    """Print a failure to standard error in one line, and return the exit status."""
    if sys.stderr is not None:
        sys.stderr.write(f"tplus-trio: {escape(' '.join(str(failure).split()))}\n")
    return 1

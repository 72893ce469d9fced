"""What a command's user is told when it cannot go on."""

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
    """A command cannot go on, for a reason that is told in one line."""


@contextmanager
def explaining(what: str, *expected: type[Exception]) -> Generator[None]:
    """Turn expected exceptions of the body into a `Failure` that says what could not be done."""
    try:
        yield
    except expected as exc:
        # An OSError's text begins with its number, which says nothing to a person.
        reason = (exc.strerror if isinstance(exc, OSError) else None) or str(exc) or type(exc).__name__
        raise Failure(f"{what}: {reason}") from exc


def complain(failure: BaseException) -> int:
    """Tell a failure on standard error, in one line; the exit status."""
    if sys.stderr is not None:
        sys.stderr.write(f"tplus-trio: {escape(' '.join(str(failure).split()))}\n")
    return 1

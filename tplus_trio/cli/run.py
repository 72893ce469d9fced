"""How a command runs: until it is done, fails, is interrupted, or nobody reads what it prints."""

from __future__ import annotations

import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, cast

import trio

from tplus_trio.cli.failure import INTERRUPTED, Failure, complain
from tplus_trio.cli.lines import Lines, Unread
from tplus_trio.errors import TplusError
from tplus_trio.escapes import escape

__all__ = ["Program", "run"]

#: What a command does, given where to print; it returns the exit status.
Program = Callable[[Lines], Awaitable[int]]

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class _OneLine(logging.Formatter):
    """Other packages log here too, and quote what a service said."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the base class's name
        return escape(super().formatMessage(record))


def run(program: Program) -> int:
    """Run a command.

    Returns:
        The exit status. A failure is told on standard error, in one line.

    Raises:
        Exception: What no command expects: a bug.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_OneLine("tplus-trio: %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    # Who watches a stream wants to know when it is interrupted, and why.
    logging.getLogger("tplus_trio.streams").setLevel(logging.INFO)
    try:
        return trio.run(_run, program)
    except KeyboardInterrupt:
        return INTERRUPTED  # before the signals were listened to, or after
    except Exception as exc:
        failures = [failure for failure in _leaves(exc) if not isinstance(failure, Unread)]
        if not failures:
            return 0
        if not all(isinstance(failure, Failure | TplusError) for failure in failures):
            raise
        return complain(failures[0])


def _leaves(exc: Exception) -> list[Exception]:
    """The exceptions in a group, or the one that is none."""
    if not isinstance(exc, ExceptionGroup):
        return [exc]
    group = cast("ExceptionGroup[Exception]", exc)
    return [leaf for inner in group.exceptions for leaf in _leaves(inner)]


async def _run(program: Program) -> int:
    status = INTERRUPTED
    with trio.open_signal_receiver(*_SIGNALS) as signals:
        async with trio.open_nursery(strict_exception_groups=True) as nursery:
            nursery.start_soon(_cancel_at_signal, signals, nursery.cancel_scope)
            lines = Lines()
            nursery.start_soon(lines.write_out)
            status = await program(lines)
            await lines.finish()
            nursery.cancel_scope.cancel()
    return status


async def _cancel_at_signal(signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
    async for _ in signals:
        scope.cancel()

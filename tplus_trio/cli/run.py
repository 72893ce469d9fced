"""Runs a command until it returns, fails, is interrupted, or the reader of its output closes it."""

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

#: The body of a command; it prints to the `Lines` and returns the exit status.
Program = Callable[[Lines], Awaitable[int]]

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class _OneLine(logging.Formatter):
    """Escapes each message, because other packages log here too and quote what a service sent."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the base class's name
        return escape(super().formatMessage(record))


def run(program: Program) -> int:
    """Run a command.

    Returns:
        The exit status. A failure is printed to standard error in one line.

    Raises:
        Exception: An exception that is neither a `Failure` nor a `TplusError`, which is a bug.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_OneLine("tplus-trio: %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    # The user of a command wants to see when a stream is interrupted, and why.
    logging.getLogger("tplus_trio.streams").setLevel(logging.INFO)
    try:
        return trio.run(_run, program)
    except KeyboardInterrupt:
        return INTERRUPTED  # before or after the signals are received by `_run`
    except Exception as exc:
        failures = [failure for failure in _leaves(exc) if not isinstance(failure, Unread)]
        if not failures:
            return 0
        if not all(isinstance(failure, Failure | TplusError) for failure in failures):
            raise
        return complain(failures[0])


def _leaves(exc: Exception) -> list[Exception]:
    """List the exceptions in a group, or ``exc`` itself if it is not a group."""
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

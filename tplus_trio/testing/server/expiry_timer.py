"""The task that removes expired orders at their time, while the exchange is served."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

import trio

from tplus_trio.scopes import ServiceTasks
from tplus_trio.testing.exchange.exchange import Exchange

__all__ = ["ExpiryTimer", "expiring_orders"]

logger: logging.Logger = logging.getLogger(__name__)

#: Added to each wait, in seconds, so that rounding never wakes the timer a nanosecond early.
_MARGIN: Final = 1e-6
#: If the exchange's clock does not follow trio's, seconds between two readings of it.
_POLL_INTERVAL: Final = 1.0


class ExpiryTimer:
    """Removes expired orders of one exchange at their time.

    Its task runs in the given nursery, only while something is due later. It also ends sessions, and carries out
    requests that a fault holds.

    Args:
        exchange: The exchange of the orders.
        nursery: The nursery in which the task runs.
    """

    def __init__(self, exchange: Exchange, nursery: trio.Nursery | ServiceTasks) -> None:
        self._exchange = exchange
        self._nursery = nursery
        self._changed = trio.Event()
        self._is_running = False

    def start(self) -> None:
        """Start watching the exchange's orders; call it in the nursery's thread."""
        self._exchange.watch_expiries(self._on_change)
        self._on_change()

    def stop(self) -> None:
        """Stop watching; the task ends with its nursery."""
        self._exchange.unwatch_expiries(self._on_change)

    def _on_change(self) -> None:
        self._changed.set()
        if not self._is_running and self._exchange.next_due_ns is not None:
            self._is_running = True
            self._nursery.start_soon(self._run)

    async def _run(self) -> None:
        try:
            while (expiry_ns := self._exchange.next_due_ns) is not None:
                self._changed = trio.Event()
                wait = (expiry_ns - self._exchange.now_ns()) / 1e9 + _MARGIN
                with trio.move_on_after(max(wait, 0.0)):
                    await self._changed.wait()
                    continue
                if self._exchange.now_ns() >= expiry_ns:
                    self._exchange.expire_orders()
                else:
                    await trio.sleep(_POLL_INTERVAL)
        except Exception as exc:
            logger.exception("the embedded exchange failed on an order's expiry")
            self._exchange.crashes.append(exc)
        finally:
            self._is_running = False


@contextmanager
def expiring_orders(exchange: Exchange, nursery: trio.Nursery | ServiceTasks) -> Generator[None]:
    """Remove expired orders at their time while the body runs; the task's nursery must outlive the body."""
    timer = ExpiryTimer(exchange, nursery)
    timer.start()
    try:
        yield
    finally:
        timer.stop()

"""Faults of the trade feed: trades that are withheld, replayed, or numbered from 1 again."""

from __future__ import annotations

from typing import Final

from tplus_trio.arguments import check_count
from tplus_trio.testing.exchange.faults.fault_group import FaultGroup, FaultTargets
from tplus_trio.testing.exchange.faults.pending_faults import PendingFaults

__all__ = ["TradeFaults"]

_TRADES: Final = "/trades"


class TradeFaults(FaultGroup):
    """Faults of the feed ``/trades``; part of :class:`~tplus_trio.testing.Faults`."""

    def __init__(self, targets: FaultTargets) -> None:
        super().__init__(targets)
        self._withheld: PendingFaults[bool] = self._pending("withhold_trades")
        self._replays: PendingFaults[int] = self._pending("replay_trades")
        self._kept: list[bytes] = []
        self._on_clear("withhold_trades", self._kept.clear)

    def withhold_trades(self, n: int = 1, *, seconds: float | None = None) -> None:
        """Hold back the next ``n`` messages of ``/trades``; REST lists the trades all the same.

        :meth:`release_trades` sends them late. Without it, or once the fault is withdrawn, the feed never sends them.

        Args:
            n: The number of messages, 0 or more.
            seconds: Hold back every message for this many seconds instead of ``n`` of them.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: An argument is out of range.
        """
        self._withheld.add("withhold_trades", _TRADES, n, True, seconds)

    def release_trades(self) -> None:
        """Send the messages that :meth:`withhold_trades` holds back to all subscribers of ``/trades``, in order."""
        kept = self._kept.copy()
        self._kept.clear()
        for message in kept:
            self._targets.hub.publish(_TRADES, message)

    def replay_trades(self, n: int = 1, count: int = 20, *, seconds: float | None = None) -> None:
        """Begin the next ``n`` subscriptions to ``/trades`` with the last ``count`` trades, sent once more.

        Args:
            n: The number of subscriptions, 0 or more.
            count: The number of trades, 1 or more; all trades if there are fewer.
            seconds: Replay on every subscription for this many seconds instead of ``n`` of them.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: An argument is out of range.
        """
        self._replays.add("replay_trades", _TRADES, n, check_count("count", count), seconds)

    def restart_trade_ids(self) -> None:
        """Number trades from 1 again, as a service does that was set up afresh."""
        self._targets.trade_ids.restart()

    # Called by the exchange

    def on_trade(self, message: bytes) -> list[bytes]:
        """Return the messages to send in place of one message of ``/trades``."""
        if self._withheld.take(_TRADES):
            self._kept.append(message)
            return []
        return [message]

    def take_replay(self, path: str) -> int:
        """Return the number of old trades that a new subscription on ``path`` begins with."""
        return (self._replays.take(path) or 0) if path == _TRADES else 0

"""Faults of settlement: trades that are confirmed late or rolled back, and users who are liquidated."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from tplus_trio.arguments import check_count, check_instance, check_number
from tplus_trio.models import AssetIdentifier
from tplus_trio.testing.exchange.faults.fault_group import FaultGroup, FaultTargets
from tplus_trio.users.user import User

__all__ = ["ROLLBACK_REASON", "SettlementFaults"]

#: The reason of a rollback if the test gives none.
ROLLBACK_REASON: Final = "Insolvent"
_SECOND_NS: Final = 10**9


class SettlementFaults(FaultGroup):
    """Faults of settlement; part of :class:`~tplus_trio.testing.Faults`."""

    def __init__(self, targets: FaultTargets) -> None:
        super().__init__(targets)
        #: How long a trade is pending, in nanoseconds.
        self.confirm_delay_ns: int = 0
        #: The reasons of the next rollbacks.
        self._next_rollbacks: deque[str] = deque()
        #: The reasons of the rollbacks of certain trades.
        self._rollbacks: dict[int, str] = {}
        self._is_pending: Callable[[int], bool] = lambda _: False
        self._liquidate: Callable[[str, AssetIdentifier, int], None] = _not_connected
        self._on_clear("confirm_after", lambda: self.confirm_after(0))
        self._on_clear("roll_back", self._next_rollbacks.clear)
        self._on_clear("roll_back", self._rollbacks.clear)

    def confirm_after(self, seconds: float) -> None:
        """Leave the trades of later matches pending for a time; the default is 0.

        Meanwhile the feed of user-trade events shows them as ``Pending``, orders show them as pending, positions count
        them, and ``/trades`` does not list them.

        Args:
            seconds: The time from the match to the confirmation, on the exchange's clock, 0 or more. At 0 a trade is
                confirmed in the step of its match.

        Raises:
            TypeError: ``seconds`` is not a number.
            ValueError: ``seconds`` is negative or infinite.
        """
        self.confirm_delay_ns = round(check_number("seconds", seconds, finite=True) * _SECOND_NS)

    def roll_back(self, n: int = 1, *, trade_id: int | None = None, reason: str = ROLLBACK_REASON) -> None:
        """Roll trades back at the time at which they would be confirmed.

        The trade becomes ``Rollbacked`` for both users. It counts no longer for the two orders, positions and candles,
        and ``/trades`` never lists it. Nothing returns to the book: an order that was filled stays ``Completed``, with
        less filled than its quantity.

        Args:
            n: The number of trades that settle next, 0 or more.
            trade_id: The pending trade to roll back instead of the next ones.
            reason: The ``rollback_reason`` of the users' trades.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: ``n`` is negative, or no trade with this id is pending.
        """
        check_count("n", n, least=0)
        check_instance("reason", reason, str)
        if trade_id is None:
            self._next_rollbacks.extend([reason] * n)
        elif self._is_pending(check_count("trade_id", trade_id)):
            self._rollbacks[trade_id] = reason
        else:
            raise ValueError(f"trade_id must be that of a pending trade; trade {trade_id} is not pending")

    def liquidate(self, user: User | str, asset: AssetIdentifier | str | int, *, sub_account: int = 1) -> None:
        """Close a user's position by force, at the market's last price.

        An order with an id that the user did not choose appears on the user's feeds, with ``is_liquidation``, and
        trades with an account of the exchange, ``exchange.liquidator``. The book does not change.

        Args:
            user: The user, or the user's public key.
            asset: The market.
            sub_account: The sub-account of the position.

        Raises:
            ValueError: The market is not listed, or the user has no open position there.
        """
        key = user.public_key if isinstance(user, User) else check_instance("user", user, str)
        self._liquidate(key, self._targets.listed(asset), check_count("sub_account", sub_account, least=0))

    # Called by the exchange

    def connect_settlement(
        self, is_pending: Callable[[int], bool], liquidate: Callable[[str, AssetIdentifier, int], None]
    ) -> None:
        """Tell the faults who knows the pending trades, and who liquidates a user in a market and sub-account."""
        self._is_pending, self._liquidate = is_pending, liquidate

    def rolls_back(self, trade_id: int) -> bool:
        """Return whether a trade would be rolled back if it settled now."""
        return bool(self._next_rollbacks) or trade_id in self._rollbacks

    def take_rollback(self, trade_id: int) -> str | None:
        """Return why a trade is rolled back, and count the fault as having happened; None confirms the trade."""
        if trade_id in self._rollbacks:
            return self._rollbacks.pop(trade_id)
        return self._next_rollbacks.popleft() if self._next_rollbacks else None


def _not_connected(user: str, asset: AssetIdentifier, sub_account: int) -> None:  # noqa: ARG001 - a placeholder
    raise RuntimeError("these faults belong to no exchange")

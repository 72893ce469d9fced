"""The base of every group of faults: the parts of the exchange that they act on, and how a fault is withdrawn."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import attrs

from tplus_trio.models import AssetIdentifier
from tplus_trio.testing.exchange.accounts import Accounts
from tplus_trio.testing.exchange.depth_book import DepthBook
from tplus_trio.testing.exchange.faults.pending_faults import PendingFaults
from tplus_trio.testing.exchange.feeds import Hub
from tplus_trio.testing.exchange.trade_history import TradeIds

__all__ = ["FaultGroup", "FaultTargets"]


@attrs.frozen
class FaultTargets:
    """The parts of one exchange that faults act on.

    Attributes:
        hub: The subscriptions.
        accounts: The tokens, and the exchange's clock.
        depth_of: Returns the depth of a market; raises ValueError if the market is not listed.
        trade_ids: The source of trade ids.
    """

    hub: Hub
    accounts: Accounts
    depth_of: Callable[[str | int], DepthBook]
    trade_ids: TradeIds

    def now_ns(self) -> int:
        """Return the exchange's time, in nanoseconds since the Unix epoch."""
        return self.accounts.now_ns()

    def listed(self, asset: str | int) -> AssetIdentifier:
        """Return the asset of a listed market.

        Raises:
            ValueError: The market is not listed, so a fault of it would never happen.
        """
        self.depth_of(asset)
        return AssetIdentifier(asset)


class FaultGroup:
    """The base of a group of faults.

    A group registers each withdrawable method once, in its ``__init__``: with :meth:`_pending` if its faults wait for a
    path, with :meth:`_on_clear` if it keeps state elsewhere.

    Args:
        targets: The parts of the exchange that the faults act on.
    """

    def __init__(self, targets: FaultTargets) -> None:
        self._targets = targets
        #: What each withdrawable method does when it is withdrawn.
        self._withdrawals: dict[str, list[Callable[[], object]]] = {}

    def clear(self, method: str | None = None) -> None:
        """Withdraw faults that were requested and have not happened yet.

        Effects that have already happened stay: expired tokens, sequence numbers that started over. ``number_by``
        changes how a market counts; end it with ``number_by(asset, 1)``. Trades that ``withhold_trades`` holds back are
        discarded and never sent.

        Args:
            method: The name of the method that requested the faults, such as ``"fail_requests"``; None withdraws the
                faults of all methods.

        Raises:
            ValueError: No method has this name, or nothing that it does can be withdrawn.
        """
        if method is not None and method not in self._withdrawals:
            raise ValueError(f"method is None or one of {', '.join(sorted(self._withdrawals))}, not {method!r}")
        for name, actions in self._withdrawals.items():
            if method in (None, name):
                for action in actions:
                    action()

    def _pending(self, *methods: str) -> PendingFaults[Any]:
        """Return a new queue of pending faults, and let :meth:`clear` withdraw what these methods put into it."""
        pending: PendingFaults[Any] = PendingFaults(self._targets.now_ns)
        for method in methods:
            self._on_clear(method, partial(pending.withdraw, method))
        return pending

    def _on_clear(self, method: str, action: Callable[[], object]) -> None:
        """Let :meth:`clear` call ``action`` when it withdraws the faults of ``method``."""
        self._withdrawals.setdefault(method, []).append(action)

"""What a scope needs of the client that it belongs to."""

from __future__ import annotations

from typing import Protocol

from tplus_trio.models import AssetIdentifier
from tplus_trio.orders.news import Demand, OrderNews
from tplus_trio.orders.tracked_order import TrackedOrder
from tplus_trio.orders.tracker import OrderTracker
from tplus_trio.orders.unsettled import UnsettledOrder, UnsettledOrders
from tplus_trio.users import User

__all__ = ["OrderDesk"]


class OrderDesk(Protocol):
    """Follows orders, settles those in doubt, and takes back those that are not wanted."""

    tracker: OrderTracker
    unsettled: UnsettledOrders
    news: OrderNews
    demand: Demand

    def check_entered(self) -> None:
        """Check that tasks of the client can settle orders.

        Raises:
            RuntimeError: the client was not entered, or has been left.
        """
        ...

    def follow(self, owner: User) -> None:
        """Open the feeds of a user's orders and trades, unless they are open."""
        ...

    def take_back(self, owner: User, order: TrackedOrder) -> UnsettledOrder:
        """Cancel an order, in a task of the client, until it is proved gone. Asked again, it goes on."""
        ...

    async def look(self, owner: User, asset_id: AssetIdentifier, *, complete: bool) -> None:
        """Read the user's orders in a market. What they show reaches the tracker.

        Args:
            owner: The user.
            asset_id: The market.
            complete: Whether to read all of them, not only the newest.

        Raises:
            TplusError: they could not be read.
        """
        ...

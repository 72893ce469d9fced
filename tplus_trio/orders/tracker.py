"""The orders that a client follows, by owner, market and order id. Pure: no I/O, no clock."""

from __future__ import annotations

from typing import Final, TypeAlias

import attrs

from tplus_trio.models import (
    AssetIdentifier,
    CancelOrder,
    Gap,
    Order,
    OrderCreatedEvent,
    OrderCreateFailedEvent,
    OrderEvent,
    OrderRemovedEvent,
    OrderResponse,
    OrdersSnapshot,
    UnknownOrderEvent,
    UserOrders,
    UserTrade,
)
from tplus_trio.orders.order_facts import DENIALS, Fact, RequestFact, is_same_order
from tplus_trio.orders.tracked_order import TrackedOrder

__all__ = ["OrderTracker", "Tracked", "TrackerItem"]

#: How many orders that are done are remembered.
_MOST_DONE: Final = 10_000

#: What the tracker takes: the items of an order stream and of a stream of user trades, listings, statements.
TrackerItem: TypeAlias = OrderEvent | OrdersSnapshot | UserOrders | OrderResponse | UserTrade | Gap | RequestFact


@attrs.frozen
class Tracked:
    """What an item said."""

    #: The orders of which it said something new.
    changed: tuple[TrackedOrder, ...] = ()
    #: Whether it is of at least one tracked order.
    was_tracked: bool = False


_UNTRACKED: Final = Tracked()
_NOTHING_NEW: Final = Tracked((), was_tracked=True)


class OrderTracker:
    """Follows the orders that a client sent, and remembers the newest 10,000 of those that are done.

    Args:
        most_done: How many orders that are done are remembered; pinned ones are not counted.
    """

    def __init__(self, most_done: int = _MOST_DONE) -> None:
        self._most_done = most_done
        #: The orders of each owner, by their ids: more than one if an id was used in several markets, or again.
        self._orders: dict[str, dict[str, list[TrackedOrder]]] = {}
        #: The orders that are not pinned and of which a message said that they are done, the oldest message at the
        #: left. Nearly all of them are: another message may have shown that it was of another order.
        self._done: dict[TrackedOrder, None] = {}

    def __len__(self) -> int:
        return sum(len(orders) for by_id in self._orders.values() for orders in by_id.values())

    def track(self, owner: str, order: Order) -> TrackedOrder:
        """Follow an order from before it is sent, and return it. The same order again is the same object.

        If another order of this id is tracked in the market, each of the two is told that the other was sent. To tell
        an order of another one without following that, apply a `RequestFact` of the other one.

        Args:
            owner: The public key of its user.
            order: The order as it was signed.
        """
        orders = self._orders.setdefault(owner, {}).setdefault(order.order_id, [])
        for known in orders:
            if is_same_order(known.order, order):
                return known
        tracked = TrackedOrder(owner, order)
        for known in orders:
            if known.order.base_asset == order.base_asset:
                known.add(RequestFact(order, "sent"))
                tracked.add(RequestFact(known.order, "sent"))
        orders.append(tracked)
        return tracked

    def get(self, owner: str, asset_id: AssetIdentifier, order_id: str) -> tuple[TrackedOrder, ...]:
        """Return the tracked orders of an id: several if this client used it again."""
        orders = self._orders.get(owner, {}).get(order_id, ())
        return tuple(order for order in orders if order.order.base_asset == asset_id)

    def of_id(self, owner: str, order_id: str) -> tuple[TrackedOrder, ...]:
        """Return the tracked orders of an id in all markets."""
        return tuple(self._orders.get(owner, {}).get(order_id, ()))

    def open_orders(self, owner: str) -> tuple[TrackedOrder, ...]:
        """Return the tracked orders of a user that are not known to be done, oldest first."""
        by_id = self._orders.get(owner, {})
        return tuple(order for orders in by_id.values() for order in orders if not order.is_done)

    def apply(self, owner: str, item: TrackerItem, *, seen_at_ns: int | None = None) -> Tracked:
        """Add what an item says to the orders that it is about.

        Args:
            owner: The public key of the user whose stream or listing it is from.
            item: An event, a snapshot, a row, a trade, a gap of the user-trade stream, or a statement about a request.
            seen_at_ns: When the client had it, in nanoseconds since the Unix epoch.

        Returns:
            The orders of which it says something new, and whether it is of a tracked order at all.
        """
        by_id = self._orders.get(owner)
        if by_id is None or isinstance(item, UnknownOrderEvent):
            return _UNTRACKED
        if isinstance(item, OrdersSnapshot | UserOrders):
            results = [self._apply_to(by_id.get(row.order_id), row, row.base_asset, seen_at_ns) for row in item.orders]
            return Tracked(
                tuple(dict.fromkeys(order for result in results for order in result.changed)),
                any(result.was_tracked for result in results),
            )
        if isinstance(item, Gap):
            return self._apply_to([order for orders in by_id.values() for order in orders], item, None, seen_at_ns)
        order_id = item.request.order_id if isinstance(item, RequestFact) else item.order_id
        if (orders := by_id.get(order_id)) is None:
            return _UNTRACKED
        return self._apply_to(orders, item, _asset_of(item), seen_at_ns)

    def pin(self, order: TrackedOrder) -> None:
        """Keep an order also after its end, until it is unpinned as often as it was pinned."""
        order.pins += 1
        self._done.pop(order, None)

    def unpin(self, order: TrackedOrder) -> None:
        """Let go of an order that was pinned. One that is done may be forgotten.

        Raises:
            RuntimeError: The order is not pinned.
        """
        if not order.pins:
            raise RuntimeError("unpin() was called more often than pin()")
        order.pins -= 1
        if order.is_done:
            self._count_done(order)

    def _apply_to(
        self, orders: list[TrackedOrder] | None, fact: Fact, asset_id: AssetIdentifier | None, seen_at_ns: int | None
    ) -> Tracked:
        if not orders:
            return _UNTRACKED
        if asset_id is not None and (len(orders) > 1 or orders[0].order.base_asset != asset_id):
            orders = [order for order in orders if order.order.base_asset == asset_id]
            if not orders:
                return _UNTRACKED
        changed = tuple([order for order in orders if order.add(fact, seen_at_ns)])
        if not changed:
            return _NOTHING_NEW
        for order in changed:
            if _may_end(fact, order):
                self._count_done(order)
        return Tracked(changed, was_tracked=True)

    def _count_done(self, order: TrackedOrder) -> None:
        """Put an order in the line of those that are done; whether it is, is looked at when it is the oldest."""
        if order.pins:
            return
        self._done.setdefault(order)
        while len(self._done) > self._most_done:
            oldest = next(iter(self._done))
            del self._done[oldest]
            if oldest.is_done:
                self._forget(oldest)

    def _forget(self, order: TrackedOrder) -> None:
        by_id = self._orders[order.owner]
        orders = by_id[order.order.order_id]
        orders.remove(order)
        if not orders:
            del by_id[order.order.order_id]
        if not by_id:
            del self._orders[order.owner]


def _may_end(fact: Fact, order: TrackedOrder) -> bool:
    """Return whether a fact may have ended an order."""
    if isinstance(fact, OrderCreatedEvent):
        return len(order.facts.created) > 1
    if isinstance(fact, RequestFact):
        return fact.outcome in DENIALS
    if isinstance(fact, OrderResponse):
        return fact.is_done
    return isinstance(fact, OrderRemovedEvent | OrderCreateFailedEvent)


def _asset_of(fact: Fact) -> AssetIdentifier | None:
    """Return the market that a fact names; None if it names none."""
    if isinstance(fact, OrderCreatedEvent):
        return fact.user_order.base_asset
    if isinstance(fact, OrderResponse):
        return fact.base_asset
    if isinstance(fact, RequestFact):
        return fact.request.asset_id if isinstance(fact.request, CancelOrder) else fact.request.base_asset
    return getattr(fact, "asset_id", None)

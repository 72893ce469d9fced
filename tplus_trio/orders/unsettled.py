"""Orders of which it is not known what became of a request, and those that are still to be taken back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, TypeAlias, get_args

import attrs
import trio

from tplus_trio.errors import OrderFateUnknown, TplusError
from tplus_trio.models import AssetIdentifier, Order, OrderOperationResponse
from tplus_trio.orders.listings import Listing
from tplus_trio.orders.news import Demand
from tplus_trio.orders.order_facts import Fact, OrderFacts
from tplus_trio.orders.sending import Delivery, OrderTarget, Terms
from tplus_trio.users import User

__all__ = ["OrderInDoubt"]

#: What became of a request about an order: ``done``, ``rejected``, ``unsent`` (no byte has left), or ``unknown``.
Fate: TypeAlias = Literal["done", "rejected", "unsent", "unknown"]
#: What the client does with an order whose call was cancelled, or whose fate was unknown, once it knows that the order
#: exists: ``cancel`` it, ``resolve`` what became of it and no more, or ``leave`` it alone.
OnCancel: TypeAlias = Literal["cancel", "resolve", "leave"]
_WISHES: Final = get_args(OnCancel)


def check_on_cancel(on_cancel: OnCancel) -> OnCancel:
    """Check the argument ``on_cancel``, and return it.

    Raises:
        ValueError: it is not legal.
    """
    if on_cancel not in _WISHES:
        msg = f'on_cancel is "cancel", "resolve" or "leave", not {on_cancel!r}'
        raise ValueError(msg)
    return on_cancel


@attrs.frozen
class OrderInDoubt:
    """An order of which the client does not know what became of a request, or which it is still taking back."""

    order_id: str
    asset_id: AssetIdentifier
    #: The public key of the order's user.
    user: str
    #: ``"create"``, ``"cancel"``, ``"replace"`` or ``"amend"``.
    operation: str
    #: When the request was sent, in nanoseconds since the Unix epoch by the clock of the client.
    sent_at_ns: int
    #: Why it is in doubt.
    why: str
    #: What the client does once it knows that the order exists: ``"cancel"``, ``"resolve"`` or ``"leave"``.
    on_cancel: OnCancel


@attrs.frozen
class Fence:
    """A moment that has passed, after which a request that had not been carried out never will be."""

    #: An order that was created after the fence: a listing that shows it was made after the fence. None without one.
    marker: str | None = None


@attrs.define(eq=False)
class UnsettledOrder:
    """One order of a request, while it is not settled."""

    # Twenty-eight attributes: what was asked, what is wanted, and what was found out so far.
    owner: User
    target: OrderTarget
    operation: Literal["create", "cancel", "replace", "amend"]
    terms: Terms
    delivery: Delivery
    sent_at_ns: int
    why: str
    on_cancel: OnCancel
    #: The refusal that the service sent, if it may have followed a copy of the request that was carried out.
    refusal: TplusError | None = None
    #: The newest order in the market that was seen before the request was sent; None if none was.
    seen_before: str | None = None
    #: Whether the order was known to have ended before the request was sent.
    had_ended: bool = False
    #: Whether it was known before that the order has another revision than the request expects.
    was_outdated: bool = False
    #: Whether the order is known to be open.
    is_open: bool = False
    #: Whether the service answered a cancel of the client's own that it has no such open order.
    is_missing: bool = False
    #: Whether the service said that the id is taken when the client tried to use it up.
    is_taken: bool = False
    fate: Fate = "unknown"
    #: Why the request was rejected; None if it was not.
    rejection: TplusError | None = None
    #: What the service answered, if it took the request.
    response: OrderOperationResponse | None = None
    #: Whether the order has ended for good, or never existed.
    is_gone: bool = False
    #: Whether the units of the market have changed since the order was made. Rows then have other numbers.
    has_new_units: bool = False
    #: The orders with which the client tried to use up the id.
    burns: tuple[Order, ...] = ()
    fence: Fence | None = None
    #: What was seen under the id of the order since it is unsettled.
    seen: OrderFacts = attrs.field(factory=lambda: OrderFacts(None))
    #: The newest listing that was begun after the fence.
    listing: Listing | None = None
    #: The failure of the last attempt to find out more.
    last_error: TplusError | None = None
    #: The error with which the doubt began; None if an answer began it.
    cause: TplusError | None = None
    #: Called when the order is settled.
    on_settled: Callable[[], object] | None = None
    #: Whether nothing can be found out any more, and the request can have no effect any more.
    is_closed: bool = False
    _changed: trio.Event = attrs.field(factory=trio.Event)

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left to find out or to do."""
        if self.fate == "unknown":
            return self.is_closed
        wants_it_gone = self.operation == "create" and self.on_cancel == "cancel" and self.fate == "done"
        return self.is_gone or not wants_it_gone

    def wake(self) -> None:
        """Note that something was found out about the order."""
        self._changed.set()

    async def wait_changed(self, seconds: float) -> None:
        """Wait until something is found out, at most so many seconds. Cancelling it leaves nothing behind."""
        with trio.move_on_after(seconds):
            await self._changed.wait()
        self._changed = trio.Event()

    def settle(self, fate: Fate, rejection: TplusError | None = None) -> None:
        """State what became of the request. It is stated once."""
        if self.fate == "unknown":
            self.fate, self.rejection = fate, rejection
            if fate == "rejected" and self.operation == "create":
                self.is_gone = True

    def in_doubt(self) -> OrderInDoubt:
        """Return what a program sees of it."""
        asset_id, order_id = self.target
        why = self.why if self.fate == "unknown" else "it is being cancelled, and it is not known that it has gone"
        return OrderInDoubt(
            order_id, asset_id, self.owner.public_key, self.operation, self.sent_at_ns, why, self.on_cancel
        )

    def error(self) -> OrderFateUnknown:
        """Return the error for a caller who has to be told that the fate is unknown."""
        why = f"{self.why}; the order has ended since" if self.is_closed else self.why
        return OrderFateUnknown(self.target.order_id, self.delivery.request.operation, self.sent_at_ns, why)


class UnsettledOrders:
    """The unsettled orders of one client, in the order in which they were added.

    Args:
        demand: Is told of each, because it waits for what the feeds bring.
    """

    def __init__(self, demand: Demand | None = None) -> None:
        self._orders: dict[UnsettledOrder, None] = {}
        self._demand = Demand() if demand is None else demand
        self._settled = trio.lowlevel.ParkingLot()

    def __len__(self) -> int:
        return len(self._orders)

    def add(self, order: UnsettledOrder) -> None:
        """Add an order."""
        self._orders[order] = None
        self._demand.add(order)

    def settled(self, order: UnsettledOrder) -> bool:
        """Remove an order that is settled. Return False if it was not there."""
        if order not in self._orders:
            return False
        del self._orders[order]
        self._demand.discard(order)
        if (on_settled := order.on_settled) is not None:
            order.on_settled = None  # it leads to the order
            on_settled()
        self._settled.unpark_all()
        return True

    def of(self, owner: str, target: OrderTarget) -> tuple[UnsettledOrder, ...]:
        """Return those that are about one order of a user, given by the public key."""
        return tuple(one for one in self._orders if one.target == target and one.owner.public_key == owner)

    def saw(
        self, owner: str, order_id: str, asset_id: AssetIdentifier | None, fact: Fact
    ) -> tuple[UnsettledOrder, ...]:
        """Give a fact to those that are about its order, and wake those for which it is new.

        Args:
            owner: The public key of the order's user.
            order_id: The id of the order.
            asset_id: The market; None is any.
            fact: The fact.

        Returns:
            Those for which it is new.
        """
        found = tuple(
            order
            for order in self._orders
            if order.target.order_id == order_id
            and asset_id in (None, order.target.asset_id)
            and order.owner.public_key == owner
            and order.seen.add(fact)
        )
        for order in found:
            order.wake()
        return found

    def in_doubt(self) -> tuple[OrderInDoubt, ...]:
        """Return what a program sees of them."""
        return tuple(order.in_doubt() for order in self._orders)

    async def wait_settled(self) -> None:
        """Wait until each that is to be settled is. Cancelling it leaves nothing behind."""
        while any(order.on_cancel != "leave" for order in self._orders):
            await self._settled.park()

"""One order as its client follows it: the facts that were seen of it, and what they say together."""

from __future__ import annotations

from decimal import Decimal

from tplus_trio.models import Order, OrderCreatedEvent, OrderResponse, UserTrade
from tplus_trio.orders.order_facts import Fact, OrderFacts
from tplus_trio.orders.order_state import OrderEnd, OrderState
from tplus_trio.orders.order_view import OrderView, view_of

__all__ = ["TrackedOrder"]


class TrackedOrder:
    """An order that this client sent. Pure.

    What it says is a function of the set of facts that were seen: neither their order nor a repetition matters.
    Quantities are in base units, prices in quote units. A state that is done stays done, with two exceptions: an order
    that was said to be refused turns out to exist, or what ended the order turns out to be of another order under the
    same id.

    Args:
        owner: The public key of its user.
        order: The order as it was signed.
    """

    __slots__ = ("_view", "facts", "is_unwanted", "order", "owner", "pins", "seen_at_ns")

    def __init__(self, owner: str, order: Order) -> None:
        self.owner: str = owner
        self.order: Order = order
        #: Everything that was seen; to be read only.
        self.facts: OrderFacts = OrderFacts(order)
        #: How many holders keep the tracker from forgetting the order.
        self.pins: int = 0
        #: Whether the client stated that it does not exist, or took it back: should it show up, it is taken back.
        self.is_unwanted: bool = False
        #: When something was last seen of it, by the client's clock, in nanoseconds since the Unix epoch; None before.
        self.seen_at_ns: int | None = None
        self._view: OrderView | None = None

    def __repr__(self) -> str:
        return f"<TrackedOrder {self.order.order_id!r} {self.state.value}>"

    def add(self, fact: Fact, seen_at_ns: int | None = None) -> bool:
        """Add a fact, and return whether it says something new."""
        if seen_at_ns is not None and (self.seen_at_ns is None or seen_at_ns > self.seen_at_ns):
            self.seen_at_ns = seen_at_ns
        if not self.facts.add(fact):
            return False
        self._view = None
        return True

    @property
    def view(self) -> OrderView:
        """All that the facts say, as one frozen value."""
        if (view := self._view) is None:
            view = self._view = view_of(self.facts)
        return view

    @property
    def state(self) -> OrderState:
        """The state of the order."""
        return self.view.state

    @property
    def is_done(self) -> bool:
        """Whether the order has ended, or never began."""
        return self.view.state.is_done

    @property
    def is_final(self) -> bool:
        """Whether the order is done and each of its trades is confirmed or rolled back."""
        return self.view.is_final

    @property
    def was_seen(self) -> bool:
        """Whether an event, a trade or a listing proves that the order existed. An answer does not prove it."""
        return self.view.was_seen

    @property
    def ambiguous(self) -> bool:
        """Whether the facts do not decide what is stated here; `ambiguities` says why."""
        return bool(self.view.ambiguities)

    @property
    def ambiguities(self) -> tuple[str, ...]:
        """Why the facts do not decide what is stated here, as text for people."""
        return self.view.ambiguities

    @property
    def price(self) -> Decimal | None:
        """The current limit, in quote units; None for a market order."""
        return self.view.price

    @property
    def quantity(self) -> Decimal | None:
        """The current total over the order's life, in base units; None for a market order by quote amount."""
        return self.view.quantity

    @property
    def filled_quantity(self) -> Decimal:
        """What traded and was not rolled back, in base units."""
        return self.view.filled_quantity

    @property
    def remaining_quantity(self) -> Decimal | None:
        """What may still trade, in base units: 0 after the end; None if the order has no quantity."""
        return self.view.remaining_quantity

    @property
    def confirmed_quantity(self) -> Decimal:
        """The part of what traded whose trades are confirmed, in base units."""
        return self.view.confirmed_quantity

    @property
    def trades(self) -> tuple[UserTrade, ...]:
        """The known trades, oldest first, each with its latest status."""
        return self.view.trades

    @property
    def trades_complete(self) -> bool:
        """Whether no trade is known to be missing, and none may have been lost in a gap."""
        return self.view.trades_complete

    @property
    def end(self) -> OrderEnd | None:
        """How and when the order ended; None while it has not."""
        return self.view.end

    @property
    def others(self) -> tuple[OrderCreatedEvent | OrderResponse, ...]:
        """What proves other orders under the same id: their events, and the newest row of each."""
        return (*self.view.other_created, *self.view.other_rows)

"""A handle of an order: what is known of it now, and waits for what becomes of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Final

import trio

from tplus_trio.errors import OrderEnded, OrderRejected
from tplus_trio.models import AssetIdentifier, Order, Side, UserTrade
from tplus_trio.models.numbers import EXACT
from tplus_trio.orders.order_facts import status_rank
from tplus_trio.orders.order_state import OrderEnd, OrderState
from tplus_trio.orders.scopes.desk import OrderDesk
from tplus_trio.orders.sending import OrderTarget
from tplus_trio.orders.tracked_order import TrackedOrder
from tplus_trio.orders.unsettled import OrderInDoubt, UnsettledOrder
from tplus_trio.users import User

__all__ = ["OrderHandle"]

_NOTHING: Final = Decimal(0)
_WAITING: Final = (OrderState.SENT, OrderState.ACCEPTED)


class OrderHandle:
    """An order of an `OrderScope`.

    It shows what is known now: from answers, the user's feeds and listings. Quantities are in base units, prices in
    quote units. It can be read after its scope was left, too.

    In a scope with a lease, an order is replaced by a new one from time to time. The handle shows them as one order:
    ``order_id`` is the id of the newest, and quantities and trades are those of all.
    """

    # Twelve attributes: the orders of the handle, and what its scope notes about them.
    def __init__(self, owner: User, order: TrackedOrder, desk: OrderDesk, key: str | None = None) -> None:
        self._owner = owner
        self._desk = desk
        self._key = key
        #: The orders that this one consists of: each was proved gone before the next one was sent.
        self._orders = [order]
        #: Set once the newest order is canceled because nobody wants it any more, or to renew it.
        self._taking_back: UnsettledOrder | None = None
        #: Whether a new order follows the present one.
        self._is_renewing = False
        #: Held during each request that changes the order; see `_change`.
        self._changing = trio.Lock()
        #: Whether nobody wants the order any more. It is canceled at the latest when the request under way ends.
        self._is_unwanted = False
        #: The total over its life that the service took last, in base units, and the limit in quote units; None before.
        self._total: Decimal | None = None
        self._limit: Decimal | None = None
        #: The revision that the last replacement or amendment which the service took gave the newest order; 0 before.
        self._revision = 0
        #: The other users that sign it too.
        self._signers: tuple[User, ...] = ()

    def __repr__(self) -> str:
        return f"<OrderHandle {self.order_id!r} {self.state.value}>"

    @property
    def _newest(self) -> TrackedOrder:
        return self._orders[-1]

    @property
    def _order(self) -> Order:
        return self._newest.order

    # What is known.

    @property
    def order_id(self) -> str:
        """The id of the order."""
        return self._order.order_id

    @property
    def asset_id(self) -> AssetIdentifier:
        """The market."""
        return self._order.base_asset

    @property
    def side(self) -> Side:
        """The side."""
        return self._order.side

    @property
    def key(self) -> str | None:
        """The key of an order of `OrderScope.keep`; None for other orders."""
        return self._key

    @property
    def state(self) -> OrderState:
        """The state of the order. A state that is done stays done, unless ``ambiguous`` says that it may be wrong."""
        if self._is_renewing:
            return OrderState.SENT
        state = self._newest.state
        if self._taking_back is not None and self._taking_back.is_gone and not state.is_done:
            return OrderState.ENDED  # a listing proved it gone
        return state

    @property
    def is_done(self) -> bool:
        """Whether the order has ended, or never began."""
        return self.state.is_done

    @property
    def is_in_doubt(self) -> bool:
        """Whether it is not known what became of a request about the order."""
        return any(one.fate == "unknown" for one in self._doubts())

    @property
    def ambiguous(self) -> bool:
        """Whether what was seen does not decide what is stated here."""
        return self._newest.ambiguous

    @property
    def price(self) -> Decimal | None:
        """The limit, in quote units; None for a market order."""
        return self._newest.price

    @property
    def quantity(self) -> Decimal | None:
        """The total over the order's life, in base units; None for a market order by quote amount."""
        quantity = self._newest.quantity
        return None if quantity is None else EXACT.add(self._filled_before, quantity)

    @property
    def filled_quantity(self) -> Decimal:
        """What traded and was not rolled back, in base units: pending trades and confirmed ones."""
        return EXACT.add(self._filled_before, self._newest.filled_quantity)

    @property
    def remaining_quantity(self) -> Decimal | None:
        """What may still trade, in base units: 0 after the end; None if the order has no quantity."""
        return _NOTHING if self.is_done else self._newest.remaining_quantity

    @property
    def trades(self) -> tuple[UserTrade, ...]:
        """The known trades, oldest first, each with its latest status."""
        return tuple(trade for order in self._orders for trade in order.trades)

    @property
    def is_complete(self) -> bool:
        """Whether no trade is known to be missing in ``trades``, and none may have been lost in a gap."""
        return all(order.trades_complete for order in self._orders)

    @property
    def end(self) -> OrderEnd | None:
        """How and when the order ended; None while it has not, and if only a listing without it shows that."""
        return None if self._is_renewing else self._newest.end

    # Waits.

    async def wait_open(self) -> OrderState:
        """Wait until the book has the order, or had it. Cancelling the wait changes nothing.

        Returns:
            The state of the order: it may have traded or ended meanwhile.

        Raises:
            OrderRejected: the service or the book refused it, or it never took effect.
        """
        await self._wait(lambda: self.state not in _WAITING or self._newest.was_seen)
        return self._unless_rejected()

    async def wait_filled(self) -> OrderState:
        """Wait until all of it has traded, confirmed or not. Cancelling the wait changes nothing.

        Raises:
            OrderRejected: the service or the book refused it, or it never took effect.
            OrderEnded: it ended otherwise. ``filled_quantity`` says how much traded.
        """
        await self._wait(lambda: self.is_done)
        state = self._unless_rejected()
        if state is not OrderState.FILLED:
            raise OrderEnded(self.order_id, state.value if self.end is None else self.end.reason)
        return state

    async def wait_done(self) -> OrderState:
        """Wait until the order has ended, or is known never to have begun. Cancelling the wait changes nothing.

        Returns:
            How it ended.
        """
        await self._wait(lambda: self.is_done)
        return self.state

    async def wait_final(self) -> OrderState:
        """Wait until the order has ended and each of its trades is confirmed or rolled back.

        Cancelling the wait changes nothing.

        Returns:
            How it ended.
        """
        await self._wait(lambda: self.is_done and self._is_final())
        return self.state

    async def _wait(self, is_so: Callable[[], bool]) -> None:
        await trio.lowlevel.checkpoint()
        while not is_so():
            await self._desk.news.wait(self._newest)

    def _is_final(self) -> bool:
        *before, newest = self._orders
        has_pending = any(not status_rank(trade) for trade in newest.trades)
        # An order that a listing proved gone has no end of which the tracker knows.
        return all(order.is_final for order in before) and (newest.is_final if newest.is_done else not has_pending)

    def _unless_rejected(self) -> OrderState:
        if self.state is OrderState.REJECTED:
            reason = "REJECTED" if self.end is None else self.end.reason
            raise OrderRejected(reason, "the order was refused, or never took effect", 0, {"order_id": self.order_id})
        return self.state

    # For the scope.

    @property
    def _target(self) -> OrderTarget:
        return OrderTarget(self.asset_id, self.order_id)

    @property
    def _filled_before(self) -> Decimal:
        """What the orders before the newest one traded."""
        total = _NOTHING
        for order in self._orders[:-1]:
            total = EXACT.add(total, order.filled_quantity)
        return total

    @property
    def _is_gone(self) -> bool:
        """Whether the newest order is proved to rest no longer, and cannot rest later."""
        taking_back = self._taking_back
        if taking_back is not None and taking_back.is_gone:
            return True
        return self._newest.is_done and not self._newest.ambiguous

    @property
    def _is_over(self) -> bool:
        """Whether the newest order is proved gone, and is not being renewed: so none follows it."""
        return self._is_gone and not self._is_renewing

    @property
    def _are_fills_known(self) -> bool:
        """Whether the quantity that the newest order traded cannot grow any more. True only once it has gone."""
        facts, view = self._newest.facts, self._newest.view
        if not view.was_seen:
            return self._is_gone
        if any(event.book_quantity_decimals for event in view.removed):
            return True
        if view.row is None:
            # A service that does not list what has ended says no more than the trades.
            return self._taking_back is not None and self._taking_back.is_gone and view.trades_complete
        return view.row.is_done and not facts.shows_other_decimals()

    @property
    def _is_being_canceled(self) -> bool:
        """Whether the newest order is being canceled: by its scope, or because the call that created it ended early.

        Also if that begins only when the request ends that is under way.
        """
        if self._is_unwanted or self._taking_back is not None:
            return True
        return any(
            one.operation == "create" and one.on_cancel == "cancel" and one.fate == "done" for one in self._doubts()
        )

    def _doubts(self) -> tuple[UnsettledOrder, ...]:
        return self._desk.unsettled.of(self._owner.public_key, self._target)

    @asynccontextmanager
    async def _change(self) -> AsyncGenerator[None]:
        """Hold the order for requests about it. If it is to be taken back meanwhile, that begins at the end."""
        async with self._changing:
            try:
                yield
            finally:
                if self._is_unwanted:
                    self._begin_taking_back()

    def _take_back(self) -> None:
        """Let the client cancel the newest order until it is proved gone. A request that is under way ends before."""
        self._is_unwanted = True
        if not self._changing.locked():
            self._begin_taking_back().wake()

    def _begin_taking_back(self) -> UnsettledOrder:
        """Do so while no request about the order is under way."""
        if self._taking_back is None:
            self._taking_back = self._desk.take_back(self._owner, self._newest)
        return self._taking_back

    def _in_doubt(self) -> OrderInDoubt:
        """Return what a program sees of an order that is not proved gone."""
        if self._taking_back is not None:
            return self._taking_back.in_doubt()
        sent_at_ns, why = self._order.creation_timestamp_ns, "a request about it is under way"
        return OrderInDoubt(self.order_id, self.asset_id, self._owner.public_key, "create", sent_at_ns, why, "cancel")

    def _renewed(self, order: TrackedOrder) -> None:
        """Note that a new order follows the newest one, which is proved gone."""
        before = self._newest
        self._orders.append(order)
        self._taking_back, self._revision = None, 0
        self._desk.news.changed(before)

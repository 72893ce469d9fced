"""A matching engine for one market, with price-time priority. It has no I/O and no clock."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Callable, Iterable, Iterator

from tplus_trio.models import GTD, AssetIdentifier, LimitOrderDetails, Side
from tplus_trio.testing.matching.book_side import BookSide
from tplus_trio.testing.matching.engine_events import (
    Accepted,
    Amended,
    Done,
    DoneReason,
    EngineOrder,
    Event,
    Fill,
    LevelChanged,
    OrderState,
    Rejected,
    RejectReason,
    Replaced,
)
from tplus_trio.testing.matching.plan import (
    NOTHING,
    UNLIMITED,
    Plan,
    budget_of,
    moves_of,
    refusal_reason,
    rescaled,
    with_terms,
)

__all__ = [
    "Accepted",
    "Amended",
    "Done",
    "DoneReason",
    "Engine",
    "EngineOrder",
    "Event",
    "Fill",
    "LevelChanged",
    "OrderState",
    "RejectReason",
    "Rejected",
    "Replaced",
]


class Engine:
    """The order book of one market.

    Every action takes the time ``now_ns``, in nanoseconds since the Unix epoch, and returns its events in order: first
    the orders that expired by then, then the action's own events, and last a :class:`LevelChanged` for each price whose
    total changed.

    - An order that would trade with another order of its own user stops there: its earlier trades stand, its rest is
      removed (``SelfTradePrevented``), and the resting order stays.
    - A post-only order that would trade is refused. So is a fill-or-kill order that would not trade completely.
    - The rest of an immediate-or-cancel or market order is ``Canceled``.
    - A market order by quote amount is complete when its rest buys no further unit at the last price. Only the cap on
      what the user gives counts: the amount of a buy by base quantity, the quantity of a sell by amount.
    - A reduce-only order that cannot reduce its sub-account's position is refused. It trades at most the position, and
      what rests of it is never more than the position: a larger rest is reduced (:class:`Amended`), or ``Canceled`` if
      nothing is left to reduce.
    - An order id is in use, for all users, while its order rests; afterwards it may be used again.

    Args:
        asset: The market's asset.
        trade_ids: The source of trade ids; several engines may share one. None counts from 1.
        position: Returns the position of an order's sub-account in this market, in units of the book, less than 0 for a
            short one; the trades of the step that calls it are not in it. None is no position.
    """

    def __init__(
        self,
        asset: AssetIdentifier,
        *,
        trade_ids: Iterator[int] | None = None,
        position: Callable[[EngineOrder], int] | None = None,
    ) -> None:
        self.asset = asset
        self._position: Callable[[EngineOrder], int] = position or _no_position
        #: The ids of the resting reduce-only orders, in the order in which they came.
        self._reduce_only: dict[str, None] = {}
        self._trade_ids = itertools.count(1) if trade_ids is None else trade_ids
        self._sides = {Side.BUY: BookSide(Side.BUY), Side.SELL: BookSide(Side.SELL)}
        self._resting: dict[str, EngineOrder] = {}
        self._expiries: list[tuple[int, str]] = []

    @property
    def next_expiry_ns(self) -> int | None:
        """The time at which the next resting order expires, in nanoseconds; None if no order will."""
        return self._expiries[0][0] if self._expiries else None

    def levels(self, side: Side) -> list[tuple[int, int]]:
        """Return each price of a side and the total quantity that rests there, best first."""
        return list(self._sides[side].levels())

    def orders(self, side: Side) -> list[OrderState]:
        """Return the resting orders of a side, in the order in which they would trade."""
        return list(self._sides[side].orders())

    def order(self, order_id: str) -> OrderState | None:
        """Return a resting order; None if no order of this id rests."""
        order = self._resting.get(order_id)
        return None if order is None else self._sides[order.side].get(order.limit.limit_price, order_id)

    def submit(self, order: EngineOrder, now_ns: int) -> list[Event]:
        """Accept an order: it trades what it can, and its rest goes into the book if the order may rest.

        Returns:
            :class:`Rejected`; or :class:`Accepted`, the fills, and :class:`Done` unless the order rests.
        """
        events = self._expire(now_ns)
        state = OrderState(order)
        reason = self.invalid_reason(order, now_ns)
        if reason is None and order.reduce_only and not self._reducible(order):
            reason = "REDUCE_ONLY_WOULD_INCREASE"
        plan = NOTHING if reason else self._plan(state)
        if reason := reason or refusal_reason(order, plan):
            events.append(Rejected(order.order_id, reason))
        else:
            events.append(Accepted(order))
            self._carry_out(state, plan, events)
        return events + self._level_changes()

    def invalid_reason(self, order: EngineOrder, now_ns: int) -> RejectReason | None:
        """Return why a new order is refused whatever rests on the other side; None if it is not."""
        if order.order_id in self._resting:
            return "DUPLICATE_ORDER"
        if min(budget_of(OrderState(order))) <= 0:
            return "INVALID_ORDER_QUANTITY"
        if isinstance(order.details, LimitOrderDetails):
            if order.details.limit_price <= 0:
                return "INVALID_ORDER_PRICE"
            time_in_force = order.details.time_in_force
            if isinstance(time_in_force, GTD) and time_in_force.timestamp_ns <= now_ns:
                return "INVALID_ORDER_EXPIRED"
        return None

    def cancel(self, order_id: str, now_ns: int) -> list[Event]:
        """Cancel a resting order.

        Returns:
            :class:`Done` or :class:`Rejected`.
        """
        events = self._expire(now_ns)
        state = self.order(order_id)
        if state is None:
            events.append(Rejected(order_id, "ORDER_NOT_FOUND"))
        else:
            self._remove(state)
            events.append(Done(state, "Canceled"))
        return events + self._level_changes()

    def replace(self, order_id: str, price: int, quantity: int, now_ns: int) -> list[Event]:
        """Give a resting order new terms. It loses its place in the queue, unless only its quantity is reduced.

        Args:
            order_id: The order's id.
            price: The new limit price, more than 0.
            quantity: The new total, including the filled quantity; more than the filled quantity.
            now_ns: The time.

        Returns:
            :class:`Rejected`, and the order stays unchanged; or :class:`Replaced`, the fills if the new price crosses,
            and :class:`Done` unless the order rests.
        """
        events = self._expire(now_ns)
        state = self.order(order_id)
        if state is None:
            events.append(Rejected(order_id, "ORDER_NOT_FOUND"))
        elif price <= 0:
            events.append(Rejected(order_id, "INVALID_ORDER_PRICE"))
        elif quantity <= state.filled:
            events.append(Rejected(order_id, "INVALID_ORDER_QUANTITY"))
        else:
            self._replace(state, price, quantity, events)
        return events + self._level_changes()

    def amend(self, order_id: str, quantity: int, now_ns: int) -> list[Event]:
        """Reduce a resting order's quantity; it keeps its place in the queue.

        Args:
            order_id: The order's id.
            quantity: The new total: more than the filled quantity, and at most the old total.
            now_ns: The time.

        Returns:
            :class:`Amended` or :class:`Rejected`.
        """
        events = self._expire(now_ns)
        state = self.order(order_id)
        if state is None:
            events.append(Rejected(order_id, "ORDER_NOT_FOUND"))
        elif not state.filled < quantity <= state.order.limit.quantity:
            events.append(Rejected(order_id, "INVALID_ORDER_QUANTITY"))
        else:
            amended = with_terms(state, state.order.limit.limit_price, quantity)
            self._put(amended)
            events.append(Amended(amended))
        return events + self._level_changes()

    def enforce_reduce_only(self) -> list[Event]:
        """Reduce or remove the reduce-only orders that are larger than the position; call it after a rollback.

        Returns:
            An :class:`Amended` or a :class:`Done` for each order that was too large.
        """
        events: list[Event] = []
        self._reduce([], events)
        return events + self._level_changes()

    def rescale(self, price_shift: int, quantity_shift: int) -> list[OrderState]:
        """Express all orders in other units, after the market's decimals changed; each keeps its place in the queue.

        Args:
            price_shift: The number of decimals that prices gain; less than 0 if they lose some.
            quantity_shift: The same for quantities.

        Returns:
            The resting orders in the new units.

        Raises:
            ValueError: An order cannot be expressed with so few decimals; nothing is changed.
        """
        states = [
            rescaled(state, price_shift, quantity_shift) for side in self._sides.values() for state in side.orders()
        ]
        self._sides = {side: BookSide(side) for side in self._sides}
        for state in states:
            self._put(state)
        self._level_changes()
        return states

    def expire(self, now_ns: int) -> list[Event]:
        """Remove the orders that have expired (every other action does this too).

        Returns:
            A :class:`Done` for each order, the earliest expiry first.
        """
        return self._expire(now_ns) + self._level_changes()

    def _expire(self, now_ns: int) -> list[Event]:
        events: list[Event] = []
        while self._expiries and self._expiries[0][0] <= now_ns:
            state = self.order(self._expiries[0][1])
            assert state is not None
            self._remove(state)
            events.append(Done(state, "Expired"))
        return events

    def _level_changes(self) -> list[Event]:
        return [change for side in self._sides.values() for change in side.take_changes()]

    def _plan(self, state: OrderState) -> Plan:
        """Return what an order would trade now."""
        order = state.order
        worst = order.details.limit_price if isinstance(order.details, LimitOrderDetails) else None
        opposite = self._sides[Side.SELL if order.side is Side.BUY else Side.BUY]
        base, quote = budget_of(state)
        # What a reduce-only order may not trade because it exceeds the position.
        excess = max(0, base - self._reducible(order)) if order.reduce_only else 0
        base -= excess
        trades: list[tuple[OrderState, int]] = []
        meets_itself = False
        price = UNLIMITED
        for maker in opposite.orders(worst):
            available = maker.remaining
            if maker.order.reduce_only:
                available = min(available, self._reducible(maker.order, moves_of(order, trades)))
                if not available:
                    continue  # earlier trades of this step close the position
            quantity = min(base, available, quote // maker.order.limit.limit_price)
            if not quantity:
                break
            if maker.order.user_id == order.user_id:
                meets_itself = True
                break
            price = maker.order.limit.limit_price
            trades.append((maker, quantity))
            base -= quantity
            quote -= quantity * price
            if quantity < available:
                break  # an order at a later price must not trade before this one is filled
        complete = bool(trades) and quote < price if order.by_amount else not base + excess
        return Plan(trades, complete, meets_itself)

    def _carry_out(self, taker: OrderState, plan: Plan, events: list[Event]) -> None:
        """Trade as planned; then put the rest of the order into the book, or end it."""
        for resting, quantity in plan.trades:
            price = resting.order.limit.limit_price
            taker = taker.after_trade(price, quantity)
            maker = resting.after_trade(price, quantity)
            events.append(Fill(next(self._trade_ids), price, quantity, maker, taker))
            if maker.remaining:
                self._put(maker)
            else:
                self._remove(resting)
                events.append(Done(maker, "Completed"))
        if plan.complete:
            events.append(Done(taker, "Completed"))
        elif plan.meets_itself:
            events.append(Done(taker, "SelfTradePrevented"))
        elif taker.order.may_rest:
            self._put(taker)
        else:
            events.append(Done(taker, "Canceled"))
        self._reduce(moves_of(taker.order, plan.trades), events)

    def _reducible(self, order: EngineOrder, moves: Iterable[tuple[EngineOrder, int]] = ()) -> int:
        """Return the quantity by which an order would reduce its sub-account's position.

        Args:
            order: The order.
            moves: The orders that trade in this step, each with its quantity.
        """
        position = self._position(order)
        for mover, quantity in moves:
            if (mover.user_id, mover.account) == (order.user_id, order.account):
                position += quantity if mover.side is Side.BUY else -quantity
        return max(0, -position if order.side is Side.BUY else position)

    def _reduce(self, moves: list[tuple[EngineOrder, int]], events: list[Event]) -> None:
        """Reduce or remove the resting reduce-only orders that are larger than the position after ``moves``."""
        for order_id in tuple(self._reduce_only):
            state = self.order(order_id)
            assert state is not None
            quantity = self._reducible(state.order, moves)
            if not quantity:
                self._remove(state)
                events.append(Done(state, "Canceled"))
            elif quantity < state.remaining:
                reduced = with_terms(state, state.order.limit.limit_price, state.filled + quantity)
                self._put(reduced)
                events.append(Amended(reduced))

    def _replace(self, state: OrderState, price: int, quantity: int, events: list[Event]) -> None:
        replaced = with_terms(state, price, quantity)
        terms = state.order.limit
        if price == terms.limit_price and quantity <= terms.quantity:
            self._put(replaced)
            events.append(Replaced(replaced))
            return
        plan = self._plan(replaced)
        if reason := refusal_reason(replaced.order, plan):
            events.append(Rejected(state.order_id, reason))
            return
        self._remove(state)
        events.append(Replaced(replaced))
        self._carry_out(replaced, plan, events)

    def _put(self, state: OrderState) -> None:
        """Store the state of a resting order, new or known."""
        order = state.order
        if order.order_id not in self._resting and isinstance(order.limit.time_in_force, GTD):
            bisect.insort(self._expiries, (order.limit.time_in_force.timestamp_ns, order.order_id))
        self._resting[order.order_id] = order
        if order.reduce_only:
            self._reduce_only[order.order_id] = None
        self._sides[order.side].put(state)

    def _remove(self, state: OrderState) -> None:
        """Remove a resting order."""
        order = self._resting.pop(state.order_id)
        self._reduce_only.pop(state.order_id, None)
        self._sides[order.side].remove(state)
        if isinstance(order.limit.time_in_force, GTD):
            expiry = (order.limit.time_in_force.timestamp_ns, order.order_id)
            del self._expiries[bisect.bisect_left(self._expiries, expiry)]


def _no_position(_: EngineOrder) -> int:
    return 0

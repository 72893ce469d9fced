"""A matching engine for one market, with price-time priority. It has no I/O and no clock."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterator
from typing import Final

import attrs

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

#: A quantity or amount larger than that of any order.
_UNLIMITED: Final = 1 << 200


@attrs.frozen
class _Plan:
    """What an order would trade now; planning does not change the book."""

    #: The resting orders that it would trade with, and the quantity of each trade.
    trades: list[tuple[OrderState, int]]
    #: Whether it would be filled completely.
    complete: bool
    #: Whether it would stop at an order of its own user.
    meets_itself: bool


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
    - An order id is in use, for all users, while its order rests; afterwards it may be used again.

    Args:
        asset: The market's asset.
        trade_ids: The source of trade ids; several engines may share one. None counts from 1.
    """

    def __init__(self, asset: AssetIdentifier, *, trade_ids: Iterator[int] | None = None) -> None:
        self.asset = asset
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
        plan = _NOTHING if (reason := self.invalid_reason(order, now_ns)) else self._plan(state)
        if reason := reason or _refusal_reason(order, plan):
            events.append(Rejected(order.order_id, reason))
        else:
            events.append(Accepted(order))
            self._carry_out(state, plan, events)
        return events + self._level_changes()

    def invalid_reason(self, order: EngineOrder, now_ns: int) -> RejectReason | None:
        """Return why a new order is refused whatever rests on the other side; None if it is not."""
        if order.order_id in self._resting:
            return "DUPLICATE_ORDER"
        if min(_budget(OrderState(order))) <= 0:
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
            amended = _with_terms(state, state.order.limit.limit_price, quantity)
            self._put(amended)
            events.append(Amended(amended))
        return events + self._level_changes()

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

    def _plan(self, state: OrderState) -> _Plan:
        """Return what an order would trade now."""
        order = state.order
        worst = order.details.limit_price if isinstance(order.details, LimitOrderDetails) else None
        opposite = self._sides[Side.SELL if order.side is Side.BUY else Side.BUY]
        base, quote = _budget(state)
        trades: list[tuple[OrderState, int]] = []
        meets_itself = False
        price = _UNLIMITED
        for maker in opposite.orders(worst):
            quantity = min(base, maker.remaining, quote // maker.order.limit.limit_price)
            if not quantity:
                break
            if maker.order.user_id == order.user_id:
                meets_itself = True
                break
            price = maker.order.limit.limit_price
            trades.append((maker, quantity))
            base -= quantity
            quote -= quantity * price
            if quantity < maker.remaining:
                break  # an order at a later price must not trade before this one is filled
        complete = bool(trades) and quote < price if order.by_amount else not base
        return _Plan(trades, complete, meets_itself)

    def _carry_out(self, taker: OrderState, plan: _Plan, events: list[Event]) -> None:
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

    def _replace(self, state: OrderState, price: int, quantity: int, events: list[Event]) -> None:
        replaced = _with_terms(state, price, quantity)
        terms = state.order.limit
        if price == terms.limit_price and quantity <= terms.quantity:
            self._put(replaced)
            events.append(Replaced(replaced))
            return
        plan = self._plan(replaced)
        if reason := _refusal_reason(replaced.order, plan):
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
        self._sides[order.side].put(state)

    def _remove(self, state: OrderState) -> None:
        """Remove a resting order."""
        order = self._resting.pop(state.order_id)
        self._sides[order.side].remove(state)
        if isinstance(order.limit.time_in_force, GTD):
            expiry = (order.limit.time_in_force.timestamp_ns, order.order_id)
            del self._expiries[bisect.bisect_left(self._expiries, expiry)]


_NOTHING: Final = _Plan([], complete=False, meets_itself=False)


def _budget(state: OrderState) -> tuple[int, int]:
    """Return how much an order may still trade: the base quantity, and the quote amount."""
    details = state.order.details
    if isinstance(details, LimitOrderDetails):
        return state.remaining, _UNLIMITED
    buys = state.order.side is Side.BUY
    if (by_base := details.quantity.base_asset) is not None:
        cap = by_base.max_sellable_amount
        return by_base.quantity, _UNLIMITED if cap is None or not buys else cap
    by_amount = details.quantity.quote_asset
    assert by_amount is not None
    cap = by_amount.max_sellable_quantity
    return _UNLIMITED if cap is None or buys else cap, by_amount.quantity


def _refusal_reason(order: EngineOrder, plan: _Plan) -> RejectReason | None:
    """Return why an order with this plan is refused; None if it is not."""
    if order.fill_or_kill and not plan.complete:
        return "SELF_TRADE_PREVENTED" if plan.meets_itself else "FOK_NOT_FILLABLE"
    if order.post_only and (plan.trades or plan.meets_itself):
        return "POST_ONLY_WOULD_CROSS"
    return None


def _with_terms(state: OrderState, price: int, quantity: int) -> OrderState:
    details = attrs.evolve(state.order.limit, limit_price=price, quantity=quantity)
    return attrs.evolve(state, order=attrs.evolve(state.order, details=details))

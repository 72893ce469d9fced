"""A matching engine for one market: price, then time, decides who trades. No I/O, and no clock of its own."""

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

#: More than any order can ask for.
_UNLIMITED: Final = 1 << 200


@attrs.frozen
class _Plan:
    """What an order would trade if it came now. The book is as it was."""

    #: The resting orders that it meets, and how much it trades with each.
    trades: list[tuple[OrderState, int]]
    #: Whether nothing of it would be left.
    complete: bool
    #: Whether it would stop in front of an order of its own user.
    meets_itself: bool


class Engine:
    """The order book of one market.

    Every action takes the time, in nanoseconds, and returns what happened, in order: first what had expired
    by then, then the action's own events, and last a :class:`LevelChanged` for each price whose total is
    another than before.

    - An order that would trade with another of its own user's stops there: what it traded before stands, the
      rest of it is gone (``SelfTradePrevented``), and the resting order stays.
    - A post-only order that would trade is refused, so is a fill-or-kill order that would not trade whole.
    - What is left of an immediate-or-cancel or market order is ``Canceled``.
    - A market order by quote amount is complete when what is left of it buys no further unit at the last
      price. Of the caps only the one on what is given away counts: the amount of a buy by base quantity, the
      quantity of a sell by amount.
    - An id is taken while its order rests, whoever's it is, and free again afterwards.

    Args:
        asset: The market's asset.
        trade_ids: Where trades get their ids from; several engines may share one. None counts from 1.
    """

    def __init__(self, asset: AssetIdentifier, *, trade_ids: Iterator[int] | None = None) -> None:
        self.asset = asset
        self._trade_ids = itertools.count(1) if trade_ids is None else trade_ids
        self._sides = {Side.BUY: BookSide(Side.BUY), Side.SELL: BookSide(Side.SELL)}
        self._resting: dict[str, EngineOrder] = {}
        self._expiries: list[tuple[int, str]] = []

    @property
    def next_expiry_ns(self) -> int | None:
        """When the next resting order expires; None if none does."""
        return self._expiries[0][0] if self._expiries else None

    def levels(self, side: Side) -> list[tuple[int, int]]:
        """Each price of a side and the total that rests there, best first."""
        return list(self._sides[side].levels())

    def orders(self, side: Side) -> list[OrderState]:
        """The resting orders of a side, in the order in which they would trade."""
        return list(self._sides[side].orders())

    def order(self, order_id: str) -> OrderState | None:
        """A resting order as it is now; None if there is none of that id."""
        order = self._resting.get(order_id)
        return None if order is None else self._sides[order.side].get(order.limit.limit_price, order_id)

    def submit(self, order: EngineOrder, now_ns: int) -> list[Event]:
        """Let an order in: it trades what it can, and rests if it may.

        Returns:
            :class:`Rejected`, or :class:`Accepted`, the fills, and :class:`Done` unless it rests.
        """
        events = self._expire(now_ns)
        state = OrderState(order)
        plan = _NOTHING if (reason := self._invalid_reason(order, now_ns)) else self._plan(state)
        if reason := reason or _refusal_reason(order, plan):
            events.append(Rejected(order.order_id, reason))
        else:
            events.append(Accepted(order))
            self._carry_out(state, plan, events)
        return events + self._level_changes()

    def cancel(self, order_id: str, now_ns: int) -> list[Event]:
        """Take a resting order out.

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
        """Give a resting order new terms. It goes to the end of the queue, unless only its quantity shrinks.

        Args:
            order_id: Which order.
            price: Its new limit.
            quantity: Its new lifetime total, with what it has traded already; it must be more than that.
            now_ns: The time.

        Returns:
            :class:`Rejected`, the order staying as it was, or :class:`Replaced`, the fills where the new
            price crosses, and :class:`Done` unless it rests.
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
            order_id: Which order.
            quantity: Its new lifetime total: more than what it has traded, and no more than before.
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
        """Take out the orders whose time is over (every other action does so too).

        Returns:
            A :class:`Done` for each, the earliest first.
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

    def _invalid_reason(self, order: EngineOrder, now_ns: int) -> RejectReason | None:
        """What is wrong with an order whatever the book is like."""
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

    def _plan(self, state: OrderState) -> _Plan:
        """What an order would trade now."""
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
                break  # a later order, at a lower price, must not be reached past this one
        complete = bool(trades) and quote < price if order.by_amount else not base
        return _Plan(trades, complete, meets_itself)

    def _carry_out(self, taker: OrderState, plan: _Plan, events: list[Event]) -> None:
        """Trade as planned; then the order rests or is done."""
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
        """Have a resting order, new or known, as it is now."""
        order = state.order
        if order.order_id not in self._resting and isinstance(order.limit.time_in_force, GTD):
            bisect.insort(self._expiries, (order.limit.time_in_force.timestamp_ns, order.order_id))
        self._resting[order.order_id] = order
        self._sides[order.side].put(state)

    def _remove(self, state: OrderState) -> None:
        """Have a resting order no longer."""
        order = self._resting.pop(state.order_id)
        self._sides[order.side].remove(state)
        if isinstance(order.limit.time_in_force, GTD):
            expiry = (order.limit.time_in_force.timestamp_ns, order.order_id)
            del self._expiries[bisect.bisect_left(self._expiries, expiry)]


_NOTHING: Final = _Plan([], complete=False, meets_itself=False)


def _budget(state: OrderState) -> tuple[int, int]:
    """How much an order may still trade: the base quantity, and the quote amount."""
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
    """Why an order may not do what it would do now."""
    if order.fill_or_kill and not plan.complete:
        return "SELF_TRADE_PREVENTED" if plan.meets_itself else "FOK_NOT_FILLABLE"
    if order.post_only and (plan.trades or plan.meets_itself):
        return "POST_ONLY_WOULD_CROSS"
    return None


def _with_terms(state: OrderState, price: int, quantity: int) -> OrderState:
    details = attrs.evolve(state.order.limit, limit_price=price, quantity=quantity)
    return attrs.evolve(state, order=attrs.evolve(state.order, details=details))

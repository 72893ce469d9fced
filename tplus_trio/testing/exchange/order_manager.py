"""The trading desk: takes orders and changes to them, and tells their users what became of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import attrs

from tplus_trio.models import LimitOrderDetails, Side, TriggerAbove, UserTrade
from tplus_trio.testing.exchange.depth_book import Level
from tplus_trio.testing.exchange.http_messages import error
from tplus_trio.testing.exchange.market_state import Listing, Venue
from tplus_trio.testing.exchange.order_records import NewOrder, Record, Replacement
from tplus_trio.testing.exchange.user_trades import UserTrades
from tplus_trio.testing.matching.engine import (
    Accepted,
    Amended,
    Done,
    EngineOrder,
    Event,
    Fill,
    LevelChanged,
    OrderState,
    Rejected,
    Replaced,
)

__all__ = ["Desk"]

#: How many orders that are gone are remembered.
_MOST_DONE: Final = 50_000
_RECEIVED: Final = "Received"
_REJECTED: Final = "Rejected"


class Desk:
    """All orders, by user and id, between the requests and the engines."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._by_key: dict[str, Record] = {}
        self._by_user: dict[str, dict[str, Record]] = {}
        #: Orders that are gone, the longest gone first.
        self._done: deque[Record] = deque()
        #: Orders that wait for their trigger, by asset.
        self._waiting: dict[str, list[Record]] = {}
        self.trades: UserTrades = UserTrades(venue)
        #: Called when another order is the next to expire.
        self.expiry_watchers: list[Callable[[], None]] = []
        self._next_expiry_ns: int | None = None

    # Looking

    def orders(self, user: str) -> Sequence[Record]:
        """All orders of a user, oldest first."""
        return tuple(self._by_user.get(user, {}).values())

    def knows(self, user: str) -> bool:
        """Whether a user has ever ordered anything."""
        return user in self._by_user

    def is_open(self, user: str, order_id: str) -> bool:
        """Whether an order is open."""
        record = self._by_key.get(_key(user, order_id))
        return record is not None and record.is_open

    def find(self, user: str, order_id: str) -> Record:
        """An order that is open.

        Raises:
            Rejection: (404) There is none of this id.
        """
        record = self._by_key.get(_key(user, order_id))
        if record is None or not record.is_open:
            raise error(404, "ORDER_NOT_FOUND", f"no open order {order_id!r}", details={"order_id": order_id})
        return record

    # Acting

    def create(self, listing: Listing, user: str, new: NewOrder) -> dict[str, Any]:
        """Take a new order; the answer to who sent it.

        Raises:
            Rejection: (409) The user has used this id before.
        """
        key = _key(user, new.order_id)
        if key in self._by_key:
            raise error(409, "DUPLICATE_ORDER", "this order id was used before", details={"order_id": new.order_id})
        now_ns = self._venue.now_ns()
        record = Record(
            key,
            user,
            listing,
            new,
            OrderState(EngineOrder(key, user, new.side, new.details)),
            now_ns,
            now_ns,
            waits_for=new.trigger,
            triggered=None if new.trigger is None else False,
        )
        self._by_key[key] = record
        self._by_user.setdefault(user, {})[key] = record
        if new.trigger is not None:
            self._waiting.setdefault(listing.asset, []).append(record)
            self._tell_created(record)
            self._check_triggers(listing)
            return self._answer(new.order_id)
        reason = self._act(listing, listing.engine.submit(record.state.order, now_ns), key, "CreateFailed")
        if reason is not None:
            # The id was never in the book, and may be used again.
            self._forget(record)
        return self._answer(new.order_id, reason)

    def cancel(self, user: str, order_id: str) -> dict[str, Any]:
        """Cancel an open order; the answer to who asked.

        Raises:
            Rejection: (404) There is none of this id.
        """
        record = self.find(user, order_id)
        events: list[Event]
        if record.waits_for is None:
            events = record.listing.engine.cancel(record.key, self._venue.now_ns())
        else:
            self._waiting[record.listing.asset].remove(record)
            events = [Done(record.state, "Canceled")]
        return self._answer(order_id, self._act(record.listing, events, record.key, "CancelFailed"))

    def replace(self, user: str, new: Replacement) -> dict[str, Any]:
        """Give an open order new terms; the answer to who asked.

        Raises:
            Rejection: (404) There is none of this id; (400) it waits for a trigger that is not said again.
        """
        record = self.find(user, new.order_id)
        before = record.revision
        events: list[Event]
        if record.waits_for is None:
            events = record.listing.engine.replace(record.key, new.price, new.quantity, self._venue.now_ns())
        else:
            events = [Replaced(_waiting_with(record, new))]
        record.revision = new.revision
        reason = self._act(record.listing, events, record.key, "ReplaceFailed")
        if reason is not None:
            record.revision = before
        self._check_triggers(record.listing)
        return self._answer(new.order_id, reason)

    def amend(self, user: str, order_id: str, quantity: int, expected: int | None, revision: int) -> dict[str, Any]:
        """Reduce an open order; the answer to who asked.

        Raises:
            Rejection: (404) There is none of this id; (409) it is on another revision than expected.
        """
        record = self.find(user, order_id)
        if expected != record.revision:
            raise error(
                409,
                "ORDER_REJECTED",
                f"the order is on revision {record.revision}",
                details={"order_id": order_id},
            )
        if record.waits_for is not None:
            raise error(400, "INVALID_ORDER", "an order that waits for its trigger cannot be amended")
        before, record.revision = record.revision, revision
        events = record.listing.engine.amend(record.key, quantity, self._venue.now_ns())
        reason = self._act(record.listing, events, record.key, "AmendFailed")
        if reason is not None:
            record.revision = before
        return self._answer(order_id, reason)

    @property
    def next_expiry_ns(self) -> int | None:
        """When the next resting order of any market expires; None if none does."""
        times = (listing.engine.next_expiry_ns for listing in self._venue.listings.values())
        return min((time for time in times if time is not None), default=None)

    def expire(self) -> None:
        """Remove what has expired by now, in all markets."""
        now_ns = self._venue.now_ns()
        for listing in self._venue.listings.values():
            if (expiry_ns := listing.engine.next_expiry_ns) is not None and expiry_ns <= now_ns:
                self._act(listing, listing.engine.expire(now_ns))

    # Telling

    def _answer(self, order_id: str, reason: str | None = None) -> dict[str, Any]:
        answer: dict[str, Any] = {
            "order_id": order_id,
            "status": _RECEIVED if reason is None else _REJECTED,
            "processed_at_ns": self._venue.now_ns(),
        }
        return answer if reason is None else {**answer, "reason": reason}

    def _act(self, listing: Listing, events: Sequence[Event], key: str = "", failure: str = "") -> str | None:
        """Tell everyone what an action did.

        Args:
            listing: In which market.
            events: What it did.
            key: Whose action it was.
            failure: What the feed calls it when it is refused.

        Returns:
            Why it was refused, None where it was not.
        """
        reason: str | None = None
        changes: dict[Side, list[Level]] = {Side.BUY: [], Side.SELL: []}
        for event in events:
            if isinstance(event, LevelChanged):
                level = (listing.price(event.price), listing.quantity(event.quantity))
                changes[event.side].append(level)
            elif isinstance(event, Rejected):
                if event.order_id == key:
                    reason = event.reason
                    self._tell(self._by_key[key], failure, {"reason": reason})
            else:
                self._tell_what_happened(listing, event)
        if changes[Side.BUY] or changes[Side.SELL]:
            self._venue.publish_diff(listing, changes[Side.BUY], changes[Side.SELL])
        if any(isinstance(event, Fill) for event in events):
            self._check_triggers(listing)
        if (expiry_ns := self.next_expiry_ns) != self._next_expiry_ns:
            self._next_expiry_ns = expiry_ns
            for watcher in tuple(self.expiry_watchers):
                watcher()
        return reason

    def _tell_what_happened(self, listing: Listing, event: Accepted | Fill | Done | Replaced | Amended) -> None:
        if isinstance(event, Fill):
            self._fill(listing, event)
        elif isinstance(event, Accepted):
            record = self._by_key[event.order.order_id]
            if record.triggered is None:  # one with a trigger was created when it came
                self._tell_created(record)
        else:
            record = self._by_key[event.state.order_id]
            record.state, record.updated_ns = event.state, self._venue.now_ns()
            if isinstance(event, Done):
                self._remove(record, event.reason)
            else:
                self._tell_changed(record, amended=isinstance(event, Amended))

    def _fill(self, listing: Listing, fill: Fill) -> None:
        price, quantity = listing.price(fill.price), listing.quantity(fill.quantity)
        now_ns = self._venue.now_ns()
        self._venue.publish_trade(
            listing,
            price,
            quantity,
            buyer_is_maker=fill.buyer_is_maker,
            timestamp_ns=now_ns,
            trade_id=fill.trade_id,
        )
        for state, is_maker in ((fill.maker, True), (fill.taker, False)):
            record = self._by_key[state.order_id]
            record.state, record.updated_ns = state, now_ns
            trade = UserTrade(
                asset_id=listing.asset,
                trade_id=fill.trade_id,
                order_id=record.order_id,
                price=price,
                quantity=quantity,
                timestamp_ns=now_ns,
                is_maker=is_maker,
                is_buyer=record.side is Side.BUY,
                status="Confirmed",
                sub_account=record.account,
            )
            self.trades.add(record.user, trade)

    def _forget(self, record: Record) -> None:
        del self._by_key[record.key]
        del self._by_user[record.user][record.key]

    def _remove(self, record: Record, reason: str) -> None:
        self._done.append(record)
        if len(self._done) > _MOST_DONE:
            self._forget(self._done.popleft())
        record.done, record.updated_ns = reason, self._venue.now_ns()
        record.waits_for = None
        if reason == "Canceled":
            self._tell(record, "Canceled", {**self._where(record), "reason": None})
        state = record.state
        self._tell(
            record,
            "Removed",
            {
                **self._where(record),
                "reason": reason,
                "filled_quantity": state.filled,
                "confirmed_quantity": state.filled,
                "filled_amount": state.amount,
                "confirmed_amount": state.amount,
                "book_quantity_decimals": record.listing.market.book_quantity_decimals,
            },
        )

    def _tell_changed(self, record: Record, *, amended: bool) -> None:
        state = record.state
        terms = state.order.limit
        change: dict[str, Any] = {
            **self._where(record),
            "new_quantity": terms.quantity,
            "authorization_revision": record.revision or 0,
        }
        if amended:
            change["remaining_quantity"] = state.remaining
            change["book_quantity_decimals"] = record.listing.market.book_quantity_decimals
        else:
            change["new_price"] = terms.limit_price
        self._tell(record, "Amended" if amended else "Replaced", change)

    def _tell_created(self, record: Record) -> None:
        self._tell(
            record,
            "Created",
            {
                "user_order": record.new.text,
                "signature": record.new.signature,
                "book_timestamp_ns": self._venue.now_ns(),
                "trigger_touched": record.triggered,
            },
            named=False,
        )

    def _where(self, record: Record) -> dict[str, Any]:
        return {"asset_id": record.listing.asset, "timestamp_ns": self._venue.now_ns()}

    def _tell(self, record: Record, variant: str, fields: Mapping[str, Any], *, named: bool = True) -> None:
        """Send an event to an order's user."""
        name = {"order_id": record.order_id, "user_id": record.user} if named else {}
        self._venue.send_json("/orders", {variant: {**name, **fields}}, user=record.user)

    # Triggers

    def _check_triggers(self, listing: Listing) -> None:
        """Let in the orders whose trigger the last price has touched, and those that their trades touch."""
        waiting = self._waiting.get(listing.asset, [])
        while listing.trades and (
            record := next((r for r in waiting if _is_touched(r, listing.trades[-1].price)), None)
        ):
            waiting.remove(record)
            record.waits_for, record.triggered = None, True
            now = {**self._where(record), "quantity": _size(record), "trigger_touched": True}
            self._tell(record, "Triggered", now)
            events = listing.engine.submit(record.state.order, self._venue.now_ns())
            if self._act(listing, events, record.key, "CreateFailed") is not None:
                self._remove(record, "Rejected")


def _key(user: str, order_id: str) -> str:
    return f"{user}/{order_id}"


def _is_touched(record: Record, last: Decimal) -> bool:
    if record.waits_for is None:
        return False
    price = record.listing.price(record.waits_for.price)
    return last >= price if isinstance(record.waits_for, TriggerAbove) else last <= price


def _waiting_with(record: Record, new: Replacement) -> OrderState:
    """An order that waits for its trigger, with new terms."""
    details = record.details
    if new.trigger is None or not isinstance(details, LimitOrderDetails):
        raise error(
            400,
            "INVALID_ORDER",
            "a limit order that waits for its trigger is replaced with a trigger, a market order not at all",
            details={"order_id": record.order_id},
        )
    record.waits_for = new.trigger
    details = attrs.evolve(details, limit_price=new.price, quantity=new.quantity)
    return OrderState(attrs.evolve(record.state.order, details=details))


def _size(record: Record) -> int:
    """How much an order is over, in whatever it counts."""
    details = record.details
    if isinstance(details, LimitOrderDetails):
        return details.quantity
    size = details.quantity.base_asset or details.quantity.quote_asset
    assert size is not None
    return size.quantity

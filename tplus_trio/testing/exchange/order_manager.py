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
from tplus_trio.testing.exchange.market_state import Listing, MarketState
from tplus_trio.testing.exchange.order_records import NewOrder, OrderRecord, Replacement
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

__all__ = ["OrderManager"]

#: How many orders that are gone are remembered.
_MAX_DONE: Final = 50_000
_RECEIVED: Final = "Received"
_REJECTED: Final = "Rejected"


class OrderManager:
    """All orders, by user and id, between the requests and the engines."""

    def __init__(self, market_state: MarketState) -> None:
        self._market_state = market_state
        self._by_key: dict[str, OrderRecord] = {}
        self._by_user: dict[str, dict[str, OrderRecord]] = {}
        #: Orders that are gone, the longest gone first.
        self._done: deque[OrderRecord] = deque()
        #: Orders that wait for their trigger, by asset.
        self._waiting: dict[str, list[OrderRecord]] = {}
        self.trades: UserTrades = UserTrades(market_state)
        #: Called when another order is the next to expire.
        self.expiry_watchers: list[Callable[[], None]] = []
        self._next_expiry_ns: int | None = None

    # Looking

    def orders(self, user: str) -> Sequence[OrderRecord]:
        """All orders of a user, oldest first."""
        return tuple(self._by_user.get(user, {}).values())

    def knows(self, user: str) -> bool:
        """Whether a user has ever ordered anything."""
        return user in self._by_user

    def is_open(self, user: str, order_id: str) -> bool:
        """Whether an order is open."""
        record = self._by_key.get(_key(user, order_id))
        return record is not None and record.is_open

    def find(self, user: str, order_id: str) -> OrderRecord:
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
        now_ns = self._market_state.now_ns()
        record = OrderRecord(
            key,
            user,
            listing,
            new,
            OrderState(EngineOrder(key, user, new.side, new.details)),
            now_ns,
            now_ns,
            pending_trigger=new.trigger,
            triggered=None if new.trigger is None else False,
        )
        self._by_key[key] = record
        self._by_user.setdefault(user, {})[key] = record
        if new.trigger is not None:
            self._waiting.setdefault(listing.asset, []).append(record)
            self._send_created(record)
            self._check_triggers(listing)
            return self._answer(new.order_id)
        reason = self._publish_events(listing, listing.engine.submit(record.state.order, now_ns), key, "CreateFailed")
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
        if record.pending_trigger is None:
            events = record.listing.engine.cancel(record.key, self._market_state.now_ns())
        else:
            self._waiting[record.listing.asset].remove(record)
            events = [Done(record.state, "Canceled")]
        return self._answer(order_id, self._publish_events(record.listing, events, record.key, "CancelFailed"))

    def replace(self, user: str, new: Replacement) -> dict[str, Any]:
        """Give an open order new terms; the answer to who asked.

        Raises:
            Rejection: (404) There is none of this id; (400) it waits for a trigger that is not said again.
        """
        record = self.find(user, new.order_id)
        before = record.revision
        events: list[Event]
        if record.pending_trigger is None:
            events = record.listing.engine.replace(record.key, new.price, new.quantity, self._market_state.now_ns())
        else:
            events = [Replaced(_waiting_with(record, new))]
        record.revision = new.revision
        reason = self._publish_events(record.listing, events, record.key, "ReplaceFailed")
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
        if record.pending_trigger is not None:
            raise error(400, "INVALID_ORDER", "an order that waits for its trigger cannot be amended")
        before, record.revision = record.revision, revision
        events = record.listing.engine.amend(record.key, quantity, self._market_state.now_ns())
        reason = self._publish_events(record.listing, events, record.key, "AmendFailed")
        if reason is not None:
            record.revision = before
        return self._answer(order_id, reason)

    @property
    def next_expiry_ns(self) -> int | None:
        """When the next resting order of any market expires; None if none does."""
        times = (listing.engine.next_expiry_ns for listing in self._market_state.listings.values())
        return min((time for time in times if time is not None), default=None)

    def expire(self) -> None:
        """Remove what has expired by now, in all markets."""
        now_ns = self._market_state.now_ns()
        for listing in self._market_state.listings.values():
            if (expiry_ns := listing.engine.next_expiry_ns) is not None and expiry_ns <= now_ns:
                self._publish_events(listing, listing.engine.expire(now_ns))

    # Telling

    def _answer(self, order_id: str, reason: str | None = None) -> dict[str, Any]:
        answer: dict[str, Any] = {
            "order_id": order_id,
            "status": _RECEIVED if reason is None else _REJECTED,
            "processed_at_ns": self._market_state.now_ns(),
        }
        return answer if reason is None else {**answer, "reason": reason}

    def _publish_events(
        self, listing: Listing, events: Sequence[Event], key: str = "", failure: str = ""
    ) -> str | None:
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
                    self._send_order_event(self._by_key[key], failure, {"reason": reason})
            else:
                self._publish_event(listing, event)
        if changes[Side.BUY] or changes[Side.SELL]:
            self._market_state.publish_diff(listing, changes[Side.BUY], changes[Side.SELL])
        if any(isinstance(event, Fill) for event in events):
            self._check_triggers(listing)
        if (expiry_ns := self.next_expiry_ns) != self._next_expiry_ns:
            self._next_expiry_ns = expiry_ns
            for watcher in tuple(self.expiry_watchers):
                watcher()
        return reason

    def _publish_event(self, listing: Listing, event: Accepted | Fill | Done | Replaced | Amended) -> None:
        if isinstance(event, Fill):
            self._fill(listing, event)
        elif isinstance(event, Accepted):
            record = self._by_key[event.order.order_id]
            if record.triggered is None:  # one with a trigger was created when it came
                self._send_created(record)
        else:
            record = self._by_key[event.state.order_id]
            record.state, record.updated_ns = event.state, self._market_state.now_ns()
            if isinstance(event, Done):
                self._remove(record, event.reason)
            else:
                self._send_changed(record, amended=isinstance(event, Amended))

    def _fill(self, listing: Listing, fill: Fill) -> None:
        price, quantity = listing.price(fill.price), listing.quantity(fill.quantity)
        now_ns = self._market_state.now_ns()
        self._market_state.publish_trade(
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

    def _forget(self, record: OrderRecord) -> None:
        del self._by_key[record.key]
        del self._by_user[record.user][record.key]

    def _remove(self, record: OrderRecord, reason: str) -> None:
        self._done.append(record)
        if len(self._done) > _MAX_DONE:
            self._forget(self._done.popleft())
        record.done, record.updated_ns = reason, self._market_state.now_ns()
        record.pending_trigger = None
        if reason == "Canceled":
            self._send_order_event(record, "Canceled", {**self._common_fields(record), "reason": None})
        state = record.state
        self._send_order_event(
            record,
            "Removed",
            {
                **self._common_fields(record),
                "reason": reason,
                "filled_quantity": state.filled,
                "confirmed_quantity": state.filled,
                "filled_amount": state.amount,
                "confirmed_amount": state.amount,
                "book_quantity_decimals": record.listing.market.book_quantity_decimals,
            },
        )

    def _send_changed(self, record: OrderRecord, *, amended: bool) -> None:
        state = record.state
        terms = state.order.limit
        change: dict[str, Any] = {
            **self._common_fields(record),
            "new_quantity": terms.quantity,
            "authorization_revision": record.revision or 0,
        }
        if amended:
            change["remaining_quantity"] = state.remaining
            change["book_quantity_decimals"] = record.listing.market.book_quantity_decimals
        else:
            change["new_price"] = terms.limit_price
        self._send_order_event(record, "Amended" if amended else "Replaced", change)

    def _send_created(self, record: OrderRecord) -> None:
        self._send_order_event(
            record,
            "Created",
            {
                "user_order": record.new.text,
                "signature": record.new.signature,
                "book_timestamp_ns": self._market_state.now_ns(),
                "trigger_touched": record.triggered,
            },
            named=False,
        )

    def _common_fields(self, record: OrderRecord) -> dict[str, Any]:
        return {"asset_id": record.listing.asset, "timestamp_ns": self._market_state.now_ns()}

    def _send_order_event(
        self, record: OrderRecord, variant: str, fields: Mapping[str, Any], *, named: bool = True
    ) -> None:
        """Send an event to an order's user."""
        name = {"order_id": record.order_id, "user_id": record.user} if named else {}
        self._market_state.send_json("/orders", {variant: {**name, **fields}}, user=record.user)

    # Triggers

    def _check_triggers(self, listing: Listing) -> None:
        """Let in the orders whose trigger the last price has touched, and those that their trades touch."""
        waiting = self._waiting.get(listing.asset, [])
        while listing.trades and (
            record := next((r for r in waiting if _is_touched(r, listing.trades[-1].price)), None)
        ):
            waiting.remove(record)
            record.pending_trigger, record.triggered = None, True
            now = {**self._common_fields(record), "quantity": _size(record), "trigger_touched": True}
            self._send_order_event(record, "Triggered", now)
            events = listing.engine.submit(record.state.order, self._market_state.now_ns())
            if self._publish_events(listing, events, record.key, "CreateFailed") is not None:
                self._remove(record, "Rejected")


def _key(user: str, order_id: str) -> str:
    return f"{user}/{order_id}"


def _is_touched(record: OrderRecord, last: Decimal) -> bool:
    if record.pending_trigger is None:
        return False
    price = record.listing.price(record.pending_trigger.price)
    return last >= price if isinstance(record.pending_trigger, TriggerAbove) else last <= price


def _waiting_with(record: OrderRecord, new: Replacement) -> OrderState:
    """An order that waits for its trigger, with new terms."""
    details = record.details
    if new.trigger is None or not isinstance(details, LimitOrderDetails):
        raise error(
            400,
            "INVALID_ORDER",
            "a limit order that waits for its trigger is replaced with a trigger, a market order not at all",
            details={"order_id": record.order_id},
        )
    record.pending_trigger = new.trigger
    details = attrs.evolve(details, limit_price=new.price, quantity=new.quantity)
    return OrderState(attrs.evolve(record.state.order, details=details))


def _size(record: OrderRecord) -> int:
    """How much an order is over, in whatever it counts."""
    details = record.details
    if isinstance(details, LimitOrderDetails):
        return details.quantity
    size = details.quantity.base_asset or details.quantity.quote_asset
    assert size is not None
    return size.quantity

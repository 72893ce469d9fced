"""The order manager: passes orders and changes to the engines, and sends their events to the users."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from tplus_trio.models import Market, Side, Trade
from tplus_trio.models.trade import TradeStatus
from tplus_trio.testing.exchange.depth_book import Level
from tplus_trio.testing.exchange.effect_writer import EffectWriter
from tplus_trio.testing.exchange.effects import Operation
from tplus_trio.testing.exchange.http_messages import as_object, error
from tplus_trio.testing.exchange.market_state import Listing, MarketState
from tplus_trio.testing.exchange.order_changes import check_newer, replace_waiting, rescale_orders
from tplus_trio.testing.exchange.order_events import OrderEvents
from tplus_trio.testing.exchange.order_history import OrderHistory
from tplus_trio.testing.exchange.order_records import NewOrder, OrderRecord, Replacement, order_key
from tplus_trio.testing.exchange.order_store import OrderStore
from tplus_trio.testing.exchange.settlement import Settlement
from tplus_trio.testing.exchange.user_trades import UserTrades
from tplus_trio.testing.exchange.waiting_orders import WaitingOrders
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

_RECEIVED: Final = "Received"
_REJECTED: Final = "Rejected"


# Eleven attributes: the parts that act on what the engines do, and who is called.
class OrderManager:
    """All orders by user and id. It stands between the requests and the matching engines."""

    def __init__(self, market_state: MarketState) -> None:
        self._market_state = market_state
        self._store = OrderStore()
        self._waiting = WaitingOrders()
        self._order_events = OrderEvents(market_state)
        self._effect_writer = EffectWriter(market_state.effects, self._store.by_key)
        self.history: OrderHistory = self._order_events.history
        market_state.faults.on_expiry_skew = self._notify_expiry_watchers
        self.trades: UserTrades = UserTrades(market_state, self.get, self.history.add)
        self.settlement: Settlement = Settlement(market_state, self.trades)
        #: Functions to call with a new order before it is accepted; each raises a rejection to refuse it.
        self.admissions: list[Callable[[OrderRecord], None]] = []
        #: Functions to call when the next expiry changes.
        self.expiry_watchers: list[Callable[[], None]] = []
        self._next_expiry_ns: int | None = None
        market_state.hub.before_take = self.expire
        market_state.position_of = self.trades.position_units

    # Reading

    def orders(self, user: str) -> Sequence[OrderRecord]:
        """Return all orders of a user, oldest first."""
        return self._store.of(user)

    def knows(self, user: str) -> bool:
        """Return whether a user has ever placed an order."""
        return self._store.knows(user)

    def is_open(self, user: str, order_id: str) -> bool:
        """Return whether an order is open."""
        return (record := self.get(user, order_id)) is not None and record.is_open

    def get(self, user: str, order_id: str) -> OrderRecord | None:
        """Return an order, open or not; None if the exchange does not know it or has forgotten it."""
        return self._store.get(user, order_id)

    def find(self, user: str, order_id: str) -> OrderRecord:
        """Return an open order; what has expired is not open.

        Raises:
            Rejection: (404) The user has no open order of this id.
        """
        self.expire()
        if (record := self.get(user, order_id)) is None or not record.is_open:
            raise error(404, "ORDER_NOT_FOUND", f"no open order {order_id!r}", details={"order_id": order_id})
        return record

    # Requests

    def create(self, listing: Listing, user: str, new: NewOrder) -> dict[str, Any]:
        """Accept a new order, and return the answer to its sender.

        Raises:
            Rejection: (409) The user has used this id before; (400) the parent of its trigger is not an order of the
                user.
        """
        self.expire()
        key = order_key(user, new.order_id)
        now_ns, faults = self._market_state.now_ns(), self._market_state.faults
        known = self.get(user, new.order_id)
        if known is not None and (known.is_open or not faults.forgets(now_ns - known.updated_ns)):
            raise error(409, "DUPLICATE_ORDER", "this order id was used before", details={"order_id": new.order_id})
        self._check_parent(user, new)
        record = OrderRecord(
            key,
            user,
            listing,
            new,
            OrderState(EngineOrder(key, user, new.side, new.details, new.account, new.reduce_only)),
            now_ns,
            now_ns,
            pending_trigger=new.trigger,
            triggered=None if new.trigger is None else False,
        )
        for admit in self.admissions:
            admit(record)
        former = self._store.add(record)
        order = record.state.order
        if new.trigger is None:
            reason = self._publish_events(listing, listing.engine.submit(order, self._expiry_now_ns()), key, "create")
        elif invalid := listing.engine.invalid_reason(order, self._expiry_now_ns()):
            reason = self._publish_events(listing, [Rejected(key, invalid)], key, "create")
        else:
            reason = None
            self._wait(record)
        if reason is None:
            self._store.accepted(record, former)
        else:
            self._store.refused(record, former)  # the order was never in the book
        return self._answer(new.order_id, reason)

    def _check_parent(self, user: str, new: NewOrder) -> None:
        """Refuse an order whose trigger names a parent that the exchange does not know."""
        parent = as_object(new.text.get("trigger")).get("parent_order_id")
        if parent is not None and self.get(user, str(parent)) is None:
            raise error(
                400,
                "INVALID_ORDER_PARENT",
                "parent_order_id is not an order of the user",
                details={"order_id": new.order_id},
            )

    def _wait(self, record: OrderRecord) -> None:
        """Let a new order wait for its trigger."""
        self._waiting.add(record)
        self._effect_writer.add("create", record, operation="create")
        self._order_events.send_created(record)
        self._check_triggers(record.listing)
        self._notify_expiry_watchers()

    def cancel(self, user: str, order_id: str) -> dict[str, Any]:
        """Cancel an open order, and return the answer to the sender.

        Raises:
            Rejection: (404) The user has no open order of this id.
        """
        record = self.find(user, order_id)
        events: list[Event]
        if record.pending_trigger is None:
            events = record.listing.engine.cancel(record.key, self._expiry_now_ns())
        else:
            self._waiting.remove(record)
            events = [Done(record.state, "Canceled")]
        return self._answer(order_id, self._publish_events(record.listing, events, record.key, "cancel"))

    def replace(self, user: str, new: Replacement) -> dict[str, Any]:
        """Give an open order new terms, and return the answer to the sender.

        Raises:
            Rejection: (404) The user has no open order of this id; (409) it was replaced or amended at or after the
                time of this replacement; (400) the order waits for a trigger and the replacement has none, or the other
                way round.
        """
        record = self.find(user, new.order_id)
        check_newer(record, new.revision)
        before = record.revision
        events: list[Event]
        if record.pending_trigger is None and new.trigger is not None:
            raise error(
                400, "INVALID_ORDER", "an order in the book takes no trigger", details={"order_id": new.order_id}
            )
        if record.pending_trigger is None:
            events = record.listing.engine.replace(record.key, new.price, new.quantity, self._expiry_now_ns())
        else:
            events = replace_waiting(record, new, self._expiry_now_ns())
        record.revision = new.revision
        reason = self._publish_events(record.listing, events, record.key, "replace")
        if reason is not None:
            record.revision = before
        self._check_triggers(record.listing)
        return self._answer(new.order_id, reason)

    def amend(self, user: str, order_id: str, quantity: int, expected: int | None, revision: int) -> dict[str, Any]:
        """Reduce an open order, and return the answer to the sender.

        Raises:
            Rejection: (404) The user has no open order of this id; (409) its revision is not the expected one; (400) it
                waits for a trigger.
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
            message = "an order that waits for its trigger cannot be amended"
            raise error(400, "INVALID_ORDER", message, details={"order_id": order_id})
        # A revision never falls: a replacement signed before it must not be carried out later.
        before, record.revision = record.revision, max(record.revision or 0, revision)
        events = record.listing.engine.amend(record.key, quantity, self._expiry_now_ns())
        reason = self._publish_events(record.listing, events, record.key, "amend")
        if reason is not None:
            record.revision = before
        return self._answer(order_id, reason)

    def adopt(self, listing: Listing, records: Sequence[OrderRecord], events: Sequence[Event]) -> None:
        """Take over orders that were made and traded past the book, and send the events of that."""
        for record in records:
            self._store.add(record)
        self._publish_events(listing, events)
        self._enforce_reduce_only(listing)

    @property
    def next_expiry_ns(self) -> int | None:
        """The time at which the next order expires or the next trade settles, in nanoseconds; None if nothing will."""
        skew_ns, settles_ns = self._market_state.faults.expiry_skew_ns, self.settlement.next_ns
        expiries = (listing.engine.next_expiry_ns for listing in self._market_state.listings.values())
        due = [time - skew_ns for time in (*expiries, self._waiting.next_expiry_ns) if time is not None]
        return min(due if settles_ns is None else [*due, settles_ns], default=None)

    def expire(self) -> None:
        """Remove the orders that have expired by now, waiting ones too, and settle the trades whose time has come."""
        if self._next_expiry_ns is None or self._next_expiry_ns > self._market_state.now_ns():
            return
        self._settle()
        now_ns = self._expiry_now_ns()
        for record in self._waiting.expired(now_ns):
            self._waiting.remove(record)
            self._publish_events(record.listing, [Done(record.state, "Expired")])
        for listing in self._market_state.listings.values():
            if (expiry_ns := listing.engine.next_expiry_ns) is not None and expiry_ns <= now_ns:
                self._publish_events(listing, listing.engine.expire(now_ns))
        self._notify_expiry_watchers()

    def _settle(self) -> None:
        """Settle the trades whose time has come, and hold reduce-only orders to the positions that are left."""
        for asset in self.settlement.settle_due():
            self._enforce_reduce_only(self._market_state.listing(asset))

    def change_trade(self, trade: Trade, status: TradeStatus) -> Trade:
        """Change the status of a trade, and hold reduce-only orders to the positions that are left.

        Raises:
            ValueError: No recorded trade equals ``trade``.
        """
        changed = self.settlement.change(trade, status)
        self._enforce_reduce_only(self._market_state.listing(trade.asset_id))
        return changed

    def change_decimals(self, listing: Listing, price_decimals: int, quantity_decimals: int) -> None:
        """Change a market's decimals; its open orders keep their prices and quantities, in other units.

        Raises:
            ValueError: An open order cannot be expressed with so few decimals; nothing is changed.
        """
        self.expire()
        before = listing.market
        shifts = price_decimals - before.book_price_decimals, quantity_decimals - before.book_quantity_decimals
        states = rescale_orders(listing, self._waiting.of(listing), *shifts)
        listing.market = Market(listing.asset, price_decimals, quantity_decimals)
        for state in states:
            record = self._store.by_key[state.order_id]
            record.state = state
            self._effect_writer.add("rescale", record, quantity=state.filled)

    def _enforce_reduce_only(self, listing: Listing) -> None:
        """Reduce or remove a market's reduce-only orders that exceed the position."""
        self._publish_events(listing, listing.engine.enforce_reduce_only())

    def _expiry_now_ns(self) -> int:
        """Return the time by which orders expire."""
        return self._market_state.now_ns() + self._market_state.faults.expiry_skew_ns

    # Events

    def _answer(self, order_id: str, reason: str | None = None) -> dict[str, Any]:
        answer: dict[str, Any] = {"order_id": order_id, "status": _RECEIVED if reason is None else _REJECTED}
        answer["processed_at_ns"] = self._market_state.now_ns()
        return answer if reason is None else {**answer, "reason": reason}

    def _publish_events(
        self, listing: Listing, events: Sequence[Event], key: str = "", operation: Operation | None = None
    ) -> str | None:
        """Record the events of an action, and then send them to the feeds.

        Args:
            listing: The market.
            events: The engine's events.
            key: The key of the order that the action was for.
            operation: The request that was carried out; None if a trigger or the clock caused the action.

        Returns:
            The reason of the refusal; None if the action was not refused.
        """
        for event in events:
            self._effect_writer.write(event, key, operation)
        reason: str | None = None
        changes: dict[Side, list[Level]] = {Side.BUY: [], Side.SELL: []}
        for event in events:
            if isinstance(event, LevelChanged):
                changes[event.side].append((listing.price(event.price), listing.quantity(event.quantity)))
            elif isinstance(event, Rejected):
                if event.order_id == key:
                    reason = event.reason
                    self._order_events.send_failed(self._store.by_key[key], operation or "create", event.reason)
            else:
                self._publish_event(listing, event)
        if changes[Side.BUY] or changes[Side.SELL]:
            self._market_state.publish_diff(listing, changes[Side.BUY], changes[Side.SELL])
        if any(isinstance(event, Fill) for event in events):
            self._check_triggers(listing)
            self._settle()
        self._notify_expiry_watchers()
        return reason

    def _notify_expiry_watchers(self) -> None:
        if (expiry_ns := self.next_expiry_ns) != self._next_expiry_ns:
            self._next_expiry_ns = expiry_ns
            for watcher in tuple(self.expiry_watchers):
                watcher()

    def _publish_event(self, listing: Listing, event: Accepted | Fill | Done | Replaced | Amended) -> None:
        if isinstance(event, Fill):
            self._fill(listing, event)
        elif isinstance(event, Accepted):
            record = self._store.by_key[event.order.order_id]
            if record.triggered is None:  # an order with a trigger was reported as created when it came
                self._order_events.send_created(record)
        else:
            record = self._store.by_key[event.state.order_id]
            record.state, record.updated_ns = event.state, self._market_state.now_ns()
            if isinstance(event, Done):
                self._remove(record, event.reason)
            else:
                self._order_events.send_changed(record, amended=isinstance(event, Amended))

    def _fill(self, listing: Listing, fill: Fill) -> None:
        records: list[OrderRecord] = []
        for state in (fill.maker, fill.taker):
            record = self._store.by_key[state.order_id]
            record.state, record.updated_ns = state, self._market_state.now_ns()
            records.append(record)
        price, quantity = listing.price(fill.price), listing.quantity(fill.quantity)
        self.settlement.match(listing, fill.trade_id, price, quantity, *records)

    def _remove(self, record: OrderRecord, reason: str) -> None:
        self._store.ended(record)
        record.done, record.updated_ns = reason, self._market_state.now_ns()
        record.pending_trigger = None
        self._order_events.send_removed(record, reason)

    # Triggers

    def _check_triggers(self, listing: Listing) -> None:
        """Submit the orders whose trigger the last price touched, and then those that their trades touch."""
        while (record := self._waiting.touched(listing)) is not None:
            self._waiting.remove(record)
            record.pending_trigger, record.triggered = None, True
            self._order_events.send_triggered(record)
            events = listing.engine.submit(record.state.order, self._expiry_now_ns())
            if self._publish_events(listing, events, record.key) is not None:
                self._effect_writer.add("remove", record, reason="Rejected")
                self._remove(record, "Rejected")

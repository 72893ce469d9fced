"""The facts that were seen of one order: a set that grows, kept small by joins.

A join is commutative and idempotent, so neither the order nor a repetition of the messages matters. Nothing here judges
which facts are true: `tplus_trio.orders.order_view` does.
"""

from __future__ import annotations

from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar

import attrs

from tplus_trio.models import (
    AmendOrder,
    CancelOrder,
    Gap,
    Order,
    OrderAmendedEvent,
    OrderAmendFailedEvent,
    OrderCancelFailedEvent,
    OrderCancelledEvent,
    OrderCreatedEvent,
    OrderCreateFailedEvent,
    OrderRemovedEvent,
    OrderReplacedEvent,
    OrderReplaceFailedEvent,
    OrderResponse,
    OrderTriggeredEvent,
    OrderUpdatedEvent,
    ReplaceOrderDetails,
    UserTrade,
)
from tplus_trio.orders.order_rows import ListedOrder, identity_of

__all__ = ["Change", "Fact", "OrderFacts", "Outcome", "RequestFact"]

#: A request that changes an order.
Change: TypeAlias = ReplaceOrderDetails | AmendOrder

#: What is known of a request: it was sent; the answer was ``Received``; the service refused it; or it never took
#: effect, as a fence proved.
Outcome: TypeAlias = Literal["sent", "accepted", "refused", "no effect"]

#: An outcome, and the code of a refusal.
Answer: TypeAlias = tuple[Outcome, str | None]

#: The outcomes of a request that changed nothing.
DENIALS: Final = frozenset({"refused", "no effect"})

#: How many different facts of one kind are kept. More than two contradict each other, or are of other orders.
_MOST: Final = 16
#: How many revisions, and how many changes that were sent, are kept: the newest.
_MOST_REVISIONS: Final = 256

T = TypeVar("T")


@attrs.frozen
class RequestFact:
    """A statement about a request of this client. The caller answers for its truth."""

    request: Order | Change | CancelOrder
    outcome: Outcome
    #: The code of a refusal.
    code: str | None = None


Fact: TypeAlias = (
    RequestFact
    | OrderCreatedEvent
    | OrderUpdatedEvent
    | OrderCancelledEvent
    | OrderRemovedEvent
    | OrderReplacedEvent
    | OrderAmendedEvent
    | OrderTriggeredEvent
    | OrderCreateFailedEvent
    | OrderReplaceFailedEvent
    | OrderAmendFailedEvent
    | OrderCancelFailedEvent
    | OrderResponse
    | UserTrade
    | Gap
)


@attrs.define(eq=False)
class Revision(Generic[T]):
    """The event of one revision."""

    event: T
    #: Whether another event of this revision has other terms.
    is_contradicted: bool = False


# Seventeen attributes: one for each kind of fact.
@attrs.define(eq=False)
class OrderFacts:
    """All that was seen under the id of one order. Each method returns whether it was new."""

    #: The order as this client sent it; None if another program sent it.
    order: Order | None
    #: What is known of the request that creates it, with the codes of refusals.
    create: frozenset[Answer] = frozenset()
    #: The other orders that this client sent under the same id.
    sent_others: tuple[Order, ...] = ()
    #: The changes that this client sent, by kind and time, with what is known of each.
    changes: dict[tuple[int, str], tuple[Change, frozenset[Answer]]] = attrs.field(
        factory=dict[tuple[int, str], tuple[Change, frozenset[Answer]]]
    )
    #: What is known of the cancellations that this client sent.
    cancels: frozenset[Answer] = frozenset()
    created: tuple[OrderCreatedEvent, ...] = ()
    removed: tuple[OrderRemovedEvent, ...] = ()
    canceled: tuple[OrderCancelledEvent, ...] = ()
    triggered: tuple[OrderTriggeredEvent, ...] = ()
    #: The events of older servers, of which the one with the most filled is kept.
    updated: OrderUpdatedEvent | None = None
    #: Replacements and amendments by revision; without one, by time, or -1. Of several amendments of one revision the
    #: least quantity is kept, since an amendment only reduces.
    replaced: dict[tuple[int, int], Revision[OrderReplacedEvent]] = attrs.field(
        factory=dict[tuple[int, int], Revision[OrderReplacedEvent]]
    )
    amended: dict[tuple[int, int], Revision[OrderAmendedEvent]] = attrs.field(
        factory=dict[tuple[int, int], Revision[OrderAmendedEvent]]
    )
    #: The reasons of failures by the operation.
    failures: dict[str, frozenset[str]] = attrs.field(factory=dict[str, frozenset[str]])
    #: What listings showed, for each order of this id.
    listed: dict[tuple[Any, ...], ListedOrder] = attrs.field(factory=dict[tuple[Any, ...], ListedOrder])
    #: The trades by their ids, each at its best status.
    trades: dict[int, UserTrade] = attrs.field(factory=dict[int, UserTrade])
    #: The ids of the trades of which two versions differ in price, quantity or side.
    contradicted_trades: frozenset[int] = frozenset()
    #: The time in which trades may be missing, in nanoseconds since the Unix epoch: of several gaps, all of it.
    gap: tuple[int, int] | None = None

    @property
    def sent(self) -> Order:
        """The order as this client sent it.

        Raises:
            RuntimeError: another program sent it.
        """
        if self.order is None:
            raise RuntimeError("this client did not send the order")
        return self.order

    def add(self, fact: Fact) -> bool:
        """Join a fact. Events and trades of other orders under the id are facts too."""
        added: bool = _ADD[type(fact)](self, fact)
        return added

    def shows_other_decimals(self) -> bool:
        """Return whether the market's decimals have changed: rows do not say in which units they are."""
        known = self.sent.book_quantity_decimals
        found = {one.event.book_quantity_decimals for one in self.amended.values()}
        found.update(event.book_quantity_decimals for event in self.removed)
        found.update(change.book_quantity_decimals for change, _ in self.changes.values())
        replacements = (change for change, _ in self.changes.values() if isinstance(change, ReplaceOrderDetails))
        return bool(found - {0, known}) or any(
            change.book_price_decimals != self.sent.book_price_decimals for change in replacements
        )

    def denials(self) -> tuple[tuple[int, str], ...]:
        """Return the times and kinds of the changes that were said to be refused or to have had no effect."""
        return tuple(
            key for key, (_, outcomes) in self.changes.items() if any(outcome in DENIALS for outcome, _ in outcomes)
        )

    def _add_request(self, fact: RequestFact) -> bool:
        request = fact.request
        known: Answer = (fact.outcome, fact.code)
        if isinstance(request, Order):
            if self.order is not None and is_same_order(request, self.order):
                before = self.create
                self.create = _with(before, known)
                return self.create is not before
            others = self.sent_others
            self.sent_others = _with_distinct(others, request, _order_key)
            return self.sent_others is not others
        if isinstance(request, CancelOrder):
            before = self.cancels
            self.cancels = _with(before, known)
            return self.cancels is not before
        key = (request.timestamp_ns, type(request).__name__)
        _, outcomes = self.changes.get(key, (request, frozenset[Answer]()))
        if known in outcomes:
            return False
        self.changes[key] = (request, outcomes | {known})
        _drop_lowest(self.changes)
        return True

    def _add_created(self, event: OrderCreatedEvent) -> bool:
        before, self.created = self.created, _with_distinct(self.created, event, _created_key)
        return self.created is not before

    def _add_removed(self, event: OrderRemovedEvent) -> bool:
        before, self.removed = self.removed, _with_distinct(self.removed, event, _event_key)
        return self.removed is not before

    def _add_canceled(self, event: OrderCancelledEvent) -> bool:
        before, self.canceled = self.canceled, _with_distinct(self.canceled, event, _event_key)
        return self.canceled is not before

    def _add_triggered(self, event: OrderTriggeredEvent) -> bool:
        before, self.triggered = self.triggered, _with_distinct(self.triggered, event, _event_key)
        return self.triggered is not before

    def _add_updated(self, event: OrderUpdatedEvent) -> bool:
        before = self.updated
        if before is None or _updated_key(event) > _updated_key(before):
            self.updated = event
        return self.updated is not before

    def _add_replaced(self, event: OrderReplacedEvent) -> bool:
        key = _revision_key(event)
        before = self.replaced.get(key)
        if before is None:
            self.replaced[key] = Revision(event)
            _drop_lowest(self.replaced)
            return key in self.replaced
        kept = before.event
        if (event.new_price, event.new_quantity) == (kept.new_price, kept.new_quantity):
            if (event.timestamp_ns or 0) <= (kept.timestamp_ns or 0):
                return False
            before.event = event
            return True
        new = not before.is_contradicted
        before.is_contradicted = True
        if (event.new_price, event.new_quantity) > (kept.new_price, kept.new_quantity):
            before.event, new = event, True
        return new

    def _add_amended(self, event: OrderAmendedEvent) -> bool:
        key = _revision_key(event)
        before = self.amended.get(key)
        if before is not None and _amended_key(before.event) <= _amended_key(event):
            return False
        self.amended[key] = Revision(event)
        _drop_lowest(self.amended)
        return key in self.amended

    def _add_failure(self, event: OrderCreateFailedEvent) -> bool:
        operation = _OPERATIONS[type(event)]
        before = self.failures.get(operation, frozenset[str]())
        self.failures[operation] = _with(before, event.reason or "")
        return self.failures[operation] is not before

    def _add_row(self, row: OrderResponse) -> bool:
        key, new = identity_of(row), ListedOrder.of(row)
        before = self.listed.get(key)
        if before is None:
            self.listed[key] = new
            if len(self.listed) > _MOST:
                del self.listed[max(self.listed, key=repr)]
            return key in self.listed
        if row == before.newest:
            return False
        joined = before.joined(new)
        self.listed[key] = joined
        return joined != before

    def _add_trade(self, trade: UserTrade) -> bool:
        before = self.trades.get(trade.trade_id)
        if before is None:
            self.trades[trade.trade_id] = trade
            return True
        if before == trade:
            return False
        rank, kept = status_rank(trade), status_rank(before)
        new = False
        if not _is_same_trade(before, trade) and trade.trade_id not in self.contradicted_trades:
            self.contradicted_trades |= {trade.trade_id}
            new = True
        if rank > kept or (rank == kept and _trade_key(trade) > _trade_key(before)):
            self.trades[trade.trade_id] = trade
            new = True
        return new

    def _add_gap(self, gap: Gap) -> bool:
        before = self.gap
        since_ns, until_ns = before or (gap.since_ns, gap.until_ns)
        self.gap = (min(since_ns, gap.since_ns), max(until_ns, gap.until_ns))
        return self.gap != before


def is_same_order(one: Order, other: Order) -> bool:
    """Return whether two signed orders are the same one: its time, side, terms and trigger are."""
    return one is other or (
        one.creation_timestamp_ns == other.creation_timestamp_ns
        and one.side == other.side
        and one.details == other.details
        and one.trigger == other.trigger
        and one.base_asset == other.base_asset
    )


def status_rank(trade: UserTrade) -> int:
    """Return 0 for a trade that is pending or of an unknown status, 1 if it is confirmed, 2 if it was rolled back."""
    return _STATUS_RANKS.get(trade.status, 0)


_STATUS_RANKS: Final = {"Confirmed": 1, "Rollbacked": 2}
_OPERATIONS: Final[dict[type, str]] = {
    OrderCreateFailedEvent: "create",
    OrderReplaceFailedEvent: "replace",
    OrderAmendFailedEvent: "amend",
    OrderCancelFailedEvent: "cancel",
}
#: How a fact of each type is joined.
_ADD: Final[dict[type, Any]] = {
    RequestFact: OrderFacts._add_request,
    OrderCreatedEvent: OrderFacts._add_created,
    OrderUpdatedEvent: OrderFacts._add_updated,
    OrderCancelledEvent: OrderFacts._add_canceled,
    OrderRemovedEvent: OrderFacts._add_removed,
    OrderReplacedEvent: OrderFacts._add_replaced,
    OrderAmendedEvent: OrderFacts._add_amended,
    OrderTriggeredEvent: OrderFacts._add_triggered,
    OrderResponse: OrderFacts._add_row,
    UserTrade: OrderFacts._add_trade,
    Gap: OrderFacts._add_gap,
    **dict.fromkeys(_OPERATIONS, OrderFacts._add_failure),
}


def _is_same_trade(one: UserTrade, other: UserTrade) -> bool:
    return (one.quantity, one.price, one.is_buyer) == (other.quantity, other.price, other.is_buyer)


def _trade_key(trade: UserTrade) -> tuple[Any, ...]:
    return trade.quantity, trade.price, trade.timestamp_ns, repr(trade)


def _updated_key(event: OrderUpdatedEvent) -> tuple[int, int, int, str]:
    return event.filled_quantity, event.update_timestamp_ns, -event.remaining_quantity, event.status


def _revision_key(event: OrderReplacedEvent | OrderAmendedEvent) -> tuple[int, int]:
    """Return the place of new terms among the others: the revision, or else the time."""
    if event.authorization_revision:
        return event.authorization_revision, 0
    return 0, -1 if event.timestamp_ns is None else event.timestamp_ns


def _amended_key(event: OrderAmendedEvent) -> tuple[int, int, int]:
    return event.new_quantity, event.remaining_quantity, -(event.timestamp_ns or 0)


def _created_key(event: OrderCreatedEvent) -> tuple[int, str]:
    return event.book_timestamp_ns, repr(event)


def _event_key(event: OrderRemovedEvent | OrderCancelledEvent | OrderTriggeredEvent) -> tuple[int, str]:
    return event.timestamp_ns, repr(event)


def _order_key(order: Order) -> tuple[int, str]:
    return order.creation_timestamp_ns, repr(order)


def _with_distinct(kept: tuple[T, ...], new: T, key: Any) -> tuple[T, ...]:
    """Return a tuple as of a set with another element: its smallest ones, in order. The same tuple if none is new."""
    if not kept:
        return (new,)
    if new in kept:
        return kept
    joined = sorted((*kept, new), key=key)[:_MOST]
    return tuple(joined) if any(one is new for one in joined) else kept


def _with(kept: frozenset[T], new: T) -> frozenset[T]:
    """Return a set with another element, or the same set if it has the element, or is full of smaller ones."""
    if new in kept:
        return kept
    joined = kept | {new}
    if len(joined) <= _MOST:
        return joined
    last = max(joined, key=repr)
    return kept if last == new else joined - {last}


def _drop_lowest(kept: dict[Any, Any]) -> None:
    if len(kept) > _MOST_REVISIONS:
        del kept[min(kept)]

"""Which facts under an order id are of the order that this client sent, and which are of another order.

Events after ``Created`` name only the id. An id can be used again once its order has ended, so each of these events
belongs to the order that began last before it.
"""

from __future__ import annotations

from decimal import Decimal

import attrs

from tplus_trio.models import (
    GTD,
    IOC,
    LimitOrderDetails,
    Order,
    OrderCreatedEvent,
    ReplaceOrderDetails,
    Side,
    UserTrade,
)
from tplus_trio.orders.order_facts import OrderFacts
from tplus_trio.orders.order_rows import ListedOrder

__all__ = ["Owners", "owners_of"]


# Eleven attributes: each kind of evidence, the order's and the others', and what follows from it.
@attrs.define(eq=False)
class Owners:
    """The orders that are known under one id, and when each of them began."""

    created: tuple[OrderCreatedEvent, ...]
    #: What listings show of the order; None if they do not show it.
    listed: ListedOrder | None
    other_created: tuple[OrderCreatedEvent, ...]
    other_listed: tuple[ListedOrder, ...]
    #: What listings show of an order that may be this one, changed by somebody else, or another.
    unexplained: tuple[ListedOrder, ...]
    #: When the order began by the service's clock, in nanoseconds since the Unix epoch; None if that is not known.
    start_ns: int | None
    #: When the others began.
    other_starts: tuple[int, ...]
    #: Whether this client sent another order under the id, which may exist or not.
    other_was_sent: bool
    #: The sides of the others that are known, or that may exist.
    other_sides: frozenset[Side]
    #: The times of changes that this client sent: an event of such a revision is the order's.
    sent_revisions: frozenset[int]
    #: Whether the same order seems to have been made twice.
    was_repeated: bool

    @property
    def are_unique(self) -> bool:
        """Whether no other order is known under the id, and none was sent."""
        return not self.other_starts and not self.other_was_sent

    @property
    def is_superseded(self) -> bool:
        """Whether another order was created under the id after this one, whose end frees the id."""
        start_ns = self.start_ns
        return start_ns is not None and any(event.book_timestamp_ns > start_ns for event in self.other_created)

    @property
    def is_followed_in_listing(self) -> bool:
        """Whether a row looks like a later order under the id. That alone does not prove the end of this one."""
        start_ns = self.start_ns
        return start_ns is not None and any(one.newest.timestamp_ns > start_ns for one in self.other_listed)

    def has(self, time_ns: int | None) -> bool | None:
        """Return whether an event that names only the id is the order's; None if that cannot be decided.

        Args:
            time_ns: The time of the event, in nanoseconds since the Unix epoch; None if it names none.
        """
        if self.are_unique:
            return True
        if time_ns is None:
            return None
        earlier = [start for start in self.other_starts if start <= time_ns]
        if self.start_ns is None:
            return None if earlier or self.other_was_sent else True
        if self.start_ns > time_ns:
            return False if earlier else None
        latest = max(earlier, default=-1)
        return None if latest == self.start_ns else latest < self.start_ns

    def has_revision(self, revision: int, time_ns: int | None) -> bool | None:
        """Return whether an event of a revision is the order's; None if that cannot be decided."""
        return True if revision in self.sent_revisions else self.has(time_ns)

    def has_trade(self, trade: UserTrade, side: Side) -> bool | None:
        """Return whether a trade is the order's; None if that cannot be decided.

        Args:
            trade: The trade, under the order's id.
            side: The side of the order.
        """
        if self.are_unique:
            return True
        traded = Side.BUY if trade.is_buyer else Side.SELL
        if traded is not side:
            return False
        return True if traded not in self.other_sides else self.has(trade.timestamp_ns)


def owners_of(facts: OrderFacts) -> Owners:
    """Return which orders the facts are of."""
    if not facts.listed and not facts.sent_others and len(facts.created) <= 1:  # nearly always
        mine = tuple(facts.created)
        if not mine or is_creation_of(mine[0].user_order, facts):
            start = mine[0].book_timestamp_ns if mine else None
            return Owners(mine, None, (), (), (), start, (), False, _NO_SIDES, _NO_REVISIONS, False)
    mine = tuple(event for event in facts.created if is_creation_of(event.user_order, facts))
    others = tuple(event for event in facts.created if event not in mine)
    start_ns = min((event.book_timestamp_ns for event in mine), default=None)
    mine_listed, other_listed, unexplained = _split_listed(facts, start_ns, has_created_others=bool(others))
    listed: ListedOrder | None = None
    for one in mine_listed:
        listed = one if listed is None else listed.joined(one)
    if start_ns is None:
        start_ns = min((one.newest.timestamp_ns for one in mine_listed), default=None)
    sides = [event.user_order.side for event in others]
    sides += [one.newest.side for one in other_listed]
    sides += [order.side for order in facts.sent_others]
    return Owners(
        mine,
        listed,
        others,
        other_listed,
        unexplained,
        start_ns,
        tuple(
            sorted(
                {event.book_timestamp_ns for event in others} | {one.newest.timestamp_ns for one in other_listed},
            )
        ),
        other_was_sent=bool(facts.sent_others),
        other_sides=frozenset(sides),
        sent_revisions=frozenset(time for time, _ in facts.changes),
        was_repeated=len(mine_listed) > 1 or len({event.book_timestamp_ns for event in mine}) > 1,
    )


def is_creation_of(created: Order, facts: OrderFacts) -> bool:
    """Return whether a created order is the one that was sent, perhaps with later terms."""
    sent = facts.sent
    if created is sent:
        return True
    if (
        created.creation_timestamp_ns != sent.creation_timestamp_ns
        or created.side is not sent.side
        or type(created.details) is not type(sent.details)
        or (created.trigger is None) is not (sent.trigger is None)
    ):
        return False
    if created.details == sent.details and created.trigger == sent.trigger:
        return True
    details = created.details
    if not isinstance(details, LimitOrderDetails) or not isinstance(sent.details, LimitOrderDetails):
        return False
    return details.time_in_force == sent.details.time_in_force and _explains(
        facts, details.limit_price, details.quantity
    )


def _split_listed(
    facts: OrderFacts, start_ns: int | None, *, has_created_others: bool
) -> tuple[list[ListedOrder], tuple[ListedOrder, ...], tuple[ListedOrder, ...]]:
    """Separate what listings show of the order, of others, and of an order that may be this one or another."""
    listed = list(facts.listed.values())
    if len(listed) > 1:
        listed = [facts.listed[key] for key in sorted(facts.listed, key=repr)]
    alike = [one for one in listed if _may_be(one, facts.sent)]
    mine = [one for one in alike if _is_explained(one, facts)]
    if not mine and start_ns is not None and not has_created_others and len(alike) == 1:
        mine = alike  # somebody else changed the order
    if len(mine) > 1 and start_ns is not None:
        mine = [one for one in mine if one.newest.timestamp_ns == start_ns] or mine
    others: list[ListedOrder] = []
    unexplained: list[ListedOrder] = []
    for one in listed:
        if one not in mine:
            is_other = one not in alike or bool(mine) or any(_shows(one, other) for other in facts.sent_others)
            (others if is_other else unexplained).append(one)
    return mine, tuple(others), tuple(unexplained)


def _shows(listed: ListedOrder, other: Order) -> bool:
    """Return whether rows show another order that this client sent, with its first terms."""
    details = other.details
    if not _may_be(listed, other):
        return False
    return not isinstance(details, LimitOrderDetails) or any(
        price == details.limit_price and quantity == details.quantity for price, quantity in listed.all_terms
    )


def _may_be(listed: ListedOrder, sent: Order) -> bool:
    """Return whether rows show what no change of the order that was sent can alter."""
    row, details = listed.newest, sent.details
    if row.side is not sent.side or row.is_reduce_only not in (None, sent.reduce_only):
        return False
    if not isinstance(details, LimitOrderDetails):
        by_base, by_amount = details.quantity.base_asset, details.quantity.quote_asset
        return (
            row.limit_price is None
            and row.quantity == (None if by_base is None else by_base.quantity)
            and row.amount == (None if by_amount is None else by_amount.quantity)
        )
    time = details.time_in_force
    expires_ns = time.timestamp_ns if isinstance(time, GTD) else None
    return (
        row.limit_price is not None
        and row.is_immediate_or_cancel in (None, isinstance(time, IOC))
        and row.good_until_timestamp_ns == expires_ns
        and (sent.trigger is not None or (row.trigger_above_price is None and row.trigger_below_price is None))
    )


def _is_explained(listed: ListedOrder, facts: OrderFacts) -> bool:
    """Return whether the terms of a row are the order's first ones, or those of a change that is known."""
    return any(
        price is None or quantity is None or _explains(facts, price, quantity) for price, quantity in listed.all_terms
    )


def _explains(facts: OrderFacts, price: Decimal | int, quantity: Decimal | int) -> bool:
    details = facts.sent.details
    prices: set[Decimal | int] = set()
    quantities: set[Decimal | int] = set()
    if isinstance(details, LimitOrderDetails):
        prices.add(details.limit_price)
        quantities.add(details.quantity)
    for change, _ in facts.changes.values():
        quantities.add(change.new_quantity)
        if isinstance(change, ReplaceOrderDetails):
            prices.add(change.new_price_limit)
    for replaced in facts.replaced.values():
        prices.add(replaced.event.new_price)
        quantities.add(replaced.event.new_quantity)
    most = max(quantities, default=0)
    # Amendments leave every quantity between the least one and what was there before; of those of one revision only the
    # least is kept. The service itself reduces orders that may only reduce a position.
    least = (
        0 if facts.sent.reduce_only else min((one.event.new_quantity for one in facts.amended.values()), default=most)
    )
    return price in prices and (quantity in quantities or least <= quantity <= most)


_NO_SIDES: frozenset[Side] = frozenset()
_NO_REVISIONS: frozenset[int] = frozenset()

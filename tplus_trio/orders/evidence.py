"""What was seen of an order states what became of a request about it, or does not. Pure: no I/O, no clock.

Presence is proved by what shows it. Absence is proved by a fence. ``docs/explained/order_fates.md`` says what
each one shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from tplus_trio.errors import NotFoundError, OrderRejected
from tplus_trio.models import (
    AmendOrder,
    AssetIdentifier,
    CancelOrder,
    LimitOrderDetails,
    Order,
    OrderResponse,
    OrderStatus,
    ReplaceOrderDetails,
    TriggerAbove,
    TriggerBelow,
)
from tplus_trio.orders.order_facts import Change, OrderFacts, is_same_order
from tplus_trio.orders.order_state import OrderState, state_of_reason, state_of_status
from tplus_trio.orders.service_rules import ServiceRules
from tplus_trio.orders.tracked_order import TrackedOrder
from tplus_trio.orders.tracker import OrderTracker
from tplus_trio.orders.unsettled import UnsettledOrder

__all__ = ["NEVER_TOOK_EFFECT", "UNSENT", "OrderEvidence"]

#: The code of an `OrderRejected` that no answer states, but a fence.
NEVER_TOOK_EFFECT: Final = "NEVER_TOOK_EFFECT"
#: What the tracker has as the code of a request of which no byte has left.
UNSENT: Final = "UNSENT"


class OrderEvidence:
    """Settles orders from what was seen of them.

    Args:
        rules: What is declared about the service.
        tracker: What was seen of the orders that this client created.
    """

    def __init__(self, rules: ServiceRules, tracker: OrderTracker) -> None:
        self._rules = rules
        self._tracker = tracker

    def conclude(self, order: UnsettledOrder) -> None:
        """Settle an order if it is known what became of it, and note whether it has ended."""
        tracked = self._tracker.get(order.owner.public_key, order.target.asset_id, order.target.order_id)
        if order.fate == "unknown":
            if (order.had_ended or order.was_outdated) and order.refusal is not None:
                order.settle("rejected", order.refusal)
            elif isinstance(order.terms, Order):
                self._conclude_create(order, order.terms)
            elif isinstance(order.terms, CancelOrder):
                self._conclude_cancel(order, tracked)
            else:
                self._conclude_change(order, order.terms, tracked)
        if order.fate == "done" and not order.is_gone:
            order.is_gone = _has_ended(order, tracked) or self._is_missing(order)
        if order.is_gone and order.on_cancel == "cancel" and isinstance(terms := order.terms, Order):
            for own in tracked:
                own.is_unwanted = own.is_unwanted or is_same_order(own.order, terms)

    def other_markets(self, order: UnsettledOrder) -> frozenset[AssetIdentifier]:
        """Return the other markets in which this client sent an order with the id of a refused create."""
        if order.operation != "create" or order.refusal is None:
            return frozenset()
        tracked = self._tracker.of_id(order.owner.public_key, order.target.order_id)
        return frozenset(one.order.base_asset for one in tracked if not one.was_seen) - {order.target.asset_id}

    def _is_missing(self, order: UnsettledOrder) -> bool:
        """Return whether a whole, current listing does not show as open an order that the service says it lacks."""
        listing = order.listing
        if not order.is_missing or listing is None or not self._rules.listings_current:
            return False
        row = listing.orders.get(order.target.order_id)
        return listing.is_complete and (row is None or row.is_done)

    # Creates.

    def _conclude_create(self, order: UnsettledOrder, terms: Order) -> None:
        tracked = self._tracker.of_id(order.owner.public_key, order.target.order_id)
        own = next((one for one in tracked if is_same_order(one.order, terms)), None)
        if own is None:
            return
        created = own.facts.created
        if _is_shown(order, terms, own):
            order.settle("done")
        elif any(is_same_order(event.user_order, burn) for event in created for burn in order.burns) or (
            _shows_burn(order, terms, own)
        ):
            order.settle("rejected", never(order, "its id was free until now, and is used up"))
        elif self._rules.order_ids_remembered and _shows_other(order, own, tracked):
            taken = never(order, "another order has had its id")
            order.settle("rejected", order.refusal or taken)
        elif self._is_absent(order):
            order.settle("rejected", never(order, "it was not carried out before a later moment, and is not listed"))

    def _is_absent(self, order: UnsettledOrder) -> bool:
        """Return whether a listing after a fence lacks the order."""
        fence, listing = order.fence, order.listing
        if fence is None or listing is None or not listing.is_complete or order.target.order_id in listing.orders:
            return False
        if self._rules.listings_current:
            return True
        # It shows what is newer than the order and what is older: so it was not cut between.
        return fence.marker in listing.orders and order.seen_before in listing.orders

    # Cancels.

    def _conclude_cancel(self, order: UnsettledOrder, tracked: Sequence[TrackedOrder]) -> None:
        refusal = order.refusal or _ended_before(order)
        states = _states(order, tracked)
        order.is_open = OrderState.OPEN in states or OrderState.WAITING in states
        if states and all(state.is_done for state in states):
            order.is_gone = True
            if OrderState.CANCELED in states and not order.had_ended:
                order.settle("done")
            else:
                order.settle("rejected", refusal)
        else:
            self._conclude_missing(order)

    def _conclude_missing(self, order: UnsettledOrder) -> None:
        """Settle a request about an order that a complete listing lacks, if it was refused, or after a fence."""
        listing = order.listing
        if listing is None or not self._rules.listings_current or not listing.is_complete:
            return
        row = listing.orders.get(order.target.order_id)
        if row is not None and order.operation == "cancel" and row.is_done:
            order.is_gone = True
            is_canceled = row.status is OrderStatus.CANCELLED and not order.had_ended
            if is_canceled:
                order.settle("done")
            else:
                order.settle("rejected", order.refusal or _ended_before(order))
        if row is not None:
            return
        if order.refusal is not None:
            order.settle("rejected", order.refusal)
        elif order.fence is not None:
            order.settle("rejected", never(order, "there is no such order"))

    # Replacements and amendments.

    def _conclude_change(self, order: UnsettledOrder, terms: Change, tracked: Sequence[TrackedOrder]) -> None:
        facts = [order.seen, *(one.facts for one in tracked)]
        if any(_has_revision(terms, each) for each in facts):
            order.settle("done")
            return
        # Of an order that another program created, this client does not know which changes were requested before.
        is_only = bool(tracked)
        if any(_may_come_after(terms, each) for each in facts):
            is_only = False
        else:
            rows = [listed.newest for each in facts for listed in each.listed.values()]
            if any(_shows_change(terms, row) for row in rows) and not any(_had_terms(terms, each) for each in facts):
                order.settle("done")
                return
        states = _states(order, tracked)
        if states and all(state.is_done for state in states):
            order.is_gone = True
            self._conclude_ended(order, terms, states, facts, is_only=is_only)
            return
        self._conclude_missing(order)
        if is_only:
            self._conclude_unchanged(order, terms)

    def _conclude_ended(
        self,
        order: UnsettledOrder,
        terms: Change,
        states: Sequence[OrderState],
        facts: Sequence[OrderFacts],
        *,
        is_only: bool,
    ) -> None:
        """Settle a change of an order that has ended. Its last row has its last terms."""
        ended = {listed.newest for each in facts for listed in each.listed.values() if listed.newest.is_done}
        if all(state is OrderState.REJECTED for state in states):
            order.settle("rejected", never(order, "the order never existed"))
        elif is_only and ended and all(_lacks_change(terms, row) for row in ended):
            order.settle("rejected", never(order, "the order has ended with other terms"))
        elif ended:
            order.is_closed = True  # nothing will show more, and there is nothing left to change

    def _conclude_unchanged(self, order: UnsettledOrder, terms: Change) -> None:
        """Settle a change that a current listing does not show: it was refused, or not carried out before a fence."""
        listing = order.listing
        if listing is None or not self._rules.listings_current:
            return
        row = listing.orders.get(order.target.order_id)
        if row is None or not _lacks_change(terms, row):
            return
        if order.refusal is not None:
            order.settle("rejected", order.refusal)
        elif order.fence is not None:
            order.settle("rejected", never(order, "it was not carried out before a later moment"))


def never(order: UnsettledOrder, why: str) -> OrderRejected:
    """Return the error for a request that never took effect, and never will."""
    message = f"the {order.operation} never took effect: {why}"
    return OrderRejected(NEVER_TOOK_EFFECT, message, 0, {"order_id": order.target.order_id})


def _ended_before(order: UnsettledOrder) -> NotFoundError:
    """Return the error for a cancel of an order that ended otherwise."""
    message = "the order ended before it could be canceled"
    return NotFoundError("ORDER_NOT_FOUND", message, 404, {"order_id": order.target.order_id})


def _is_shown(order: UnsettledOrder, terms: Order, own: TrackedOrder) -> bool:
    """Return whether something shows that an order was created."""
    if any(is_same_order(event.user_order, terms) for event in own.facts.created):
        return True
    if any(_are_alike(terms, burn) for burn in order.burns):
        return False  # a row may be of the burn
    if not own.was_seen and not (
        order.has_new_units and any(not _is_burn(order, row) for row in own.view.unexplained_rows)
    ):
        return False
    if order.refusal is not None and own.view.row is None and not order.has_new_units:
        return False  # another order may have the id, and what names the id alone may be about that one
    # Another order of this client may have had the id: then what names the id alone, and a row, may be about that one.
    return all(any(is_same_order(other, burn) for burn in order.burns) for other in own.facts.sent_others)


def _are_alike(terms: Order, burn: Order) -> bool:
    """Return whether a row of a burn may look like one of the order: a row need not say what cannot rest."""
    mine, other = terms.details, burn.details
    return (
        isinstance(mine, LimitOrderDetails)
        and isinstance(other, LimitOrderDetails)
        and (terms.side, mine.limit_price, mine.quantity) == (burn.side, other.limit_price, other.quantity)
    )


def _shows_burn(order: UnsettledOrder, terms: Order, own: TrackedOrder) -> bool:
    """Return whether a row shows an order with which the client used up the id, and that cannot be the order itself."""
    if not order.burns:
        return False
    burn = order.burns[0]
    if terms.side is burn.side and terms.details == burn.details:
        return False
    return any(_is_burn(order, listed.newest) for listed in own.facts.listed.values())


def _is_burn(order: UnsettledOrder, row: OrderResponse) -> bool:
    """Return whether a row has the terms of an order with which the client tried to use up the id."""
    return any(
        isinstance(details := burn.details, LimitOrderDetails)
        and row.side is burn.side
        and row.limit_price == details.limit_price
        and row.quantity == details.quantity
        and row.is_immediate_or_cancel is True
        for burn in order.burns
    )


def _shows_other(order: UnsettledOrder, own: TrackedOrder, tracked: Sequence[TrackedOrder]) -> bool:
    """Return whether an order is known to have had the id that is neither this one nor one to use up the id."""
    if any(one.was_seen and not one.ambiguous for one in tracked if one is not own):
        return True
    if order.burns:
        created = own.view.other_created
        if any(not any(is_same_order(event.user_order, burn) for burn in order.burns) for event in created):
            return True
        # A row need not say that it is immediate-or-cancel.
        return any(not _is_burn(order, row) for row in own.view.other_rows if row.is_immediate_or_cancel is not None)
    return bool(own.others)


def _states(order: UnsettledOrder, tracked: Sequence[TrackedOrder]) -> list[OrderState]:
    """Return the states of the orders of an id, as far as they are certain; an order of another program has one too."""
    # An order that this client never sent may be another program's.
    known = [one for one in tracked if one.was_seen or ("no effect", UNSENT) not in one.facts.create]
    if known:
        return [OrderState.OPEN if one.ambiguous and one.is_done else one.state for one in known]
    if any(listed.newest.is_open for listed in order.seen.listed.values()) and not order.seen.removed:
        return [OrderState.OPEN]
    removed = [state_of_reason(event.reason) for event in order.seen.removed]
    ended = [state_of_status(status) for listed in order.seen.listed.values() for status in listed.ends]
    return removed or ended


def _has_ended(order: UnsettledOrder, tracked: Sequence[TrackedOrder]) -> bool:
    if isinstance(order.terms, Order):
        terms = order.terms
        return any(_is_over(one) for one in tracked if is_same_order(one.order, terms))
    states = _states(order, tracked)
    return bool(states) and all(state.is_done for state in states)


def _is_over(tracked: TrackedOrder) -> bool:
    """Return whether an order has ended, also if it is not clear how it began."""
    view, facts = tracked.view, tracked.facts
    if not tracked.is_done or not tracked.ambiguous:
        return tracked.is_done
    if facts.sent_others or view.other_created or not view.created or len(view.removed) != len(view.created):
        return False
    # Something between has sent a copy of the request: the order was created more than once, or after a refusal.
    return max(one.timestamp_ns for one in view.removed) >= max(one.book_timestamp_ns for one in view.created)


def _has_revision(terms: Change, facts: OrderFacts) -> bool:
    kept = facts.replaced if isinstance(terms, ReplaceOrderDetails) else facts.amended
    return (terms.timestamp_ns, 0) in kept


def _may_come_after(terms: Change, facts: OrderFacts) -> bool:
    """Return whether other changes of the order are known that may have come after this one."""
    changes = (change for change, _ in facts.changes.values())
    if any(change.timestamp_ns >= terms.timestamp_ns and change != terms for change in changes):
        return True
    return any(revision > terms.timestamp_ns for revision, _ in (*facts.replaced, *facts.amended))


def _had_terms(terms: Change, facts: OrderFacts) -> bool:
    """Return whether the order may have had the same terms without this change."""
    changes = [change for change, _ in facts.changes.values() if change != terms]
    quantities = {change.new_quantity for change in changes}
    prices = {change.new_price_limit for change in changes if isinstance(change, ReplaceOrderDetails)}
    if facts.order is not None and isinstance(facts.order.details, LimitOrderDetails):
        prices.add(facts.order.details.limit_price)
        quantities.add(facts.order.details.quantity)
    if isinstance(terms, AmendOrder):
        return terms.new_quantity in quantities
    return terms.new_quantity in quantities and terms.new_price_limit in prices


def _shows_change(terms: Change, row: OrderResponse) -> bool:
    """Return whether a row has the terms of a change."""
    if isinstance(terms, AmendOrder):
        return row.quantity == terms.new_quantity
    has_triggers = _triggers_of(row) == _new_triggers(terms)
    return (
        row.limit_price == terms.new_price_limit
        and row.quantity == terms.new_quantity
        and (has_triggers or row.trigger_touched is True)
    )


def _lacks_change(terms: Change, row: OrderResponse) -> bool:
    """Return whether a row has other terms than those of a change. A row need not show a trigger that is over.

    If the decimals of the market have changed, a row has the same terms with more or fewer zeros.
    """
    if isinstance(terms, AmendOrder):
        return _digits(row.quantity) != _digits(terms.new_quantity)
    pairs = ((row.limit_price, terms.new_price_limit), (row.quantity, terms.new_quantity))
    if any(_digits(shown) != _digits(meant) for shown, meant in pairs):
        return True
    if row.limit_price != terms.new_price_limit or row.quantity != terms.new_quantity:
        return False
    shown = _triggers_of(row)
    return shown != (None, None) and shown != _new_triggers(terms)


def _digits(number: Decimal | int | None) -> str:
    """Return the digits of a number of units without the zeros at its end."""
    return "" if number is None else f"{Decimal(number):f}".rstrip("0.")


def _triggers_of(row: OrderResponse) -> tuple[Decimal | None, Decimal | None]:
    return row.trigger_above_price, row.trigger_below_price


def _new_triggers(terms: ReplaceOrderDetails) -> tuple[int | None, int | None]:
    """Return the prices of a replacement's trigger: above and below."""
    trigger = terms.new_trigger
    above = trigger.price if isinstance(trigger, TriggerAbove) else None
    return above, trigger.price if isinstance(trigger, TriggerBelow) else None

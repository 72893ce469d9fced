"""The current terms of an order: those of the highest revision, or of a newer row of a listing."""

from __future__ import annotations

from decimal import Decimal
from typing import TypeVar

import attrs

from tplus_trio.models import (
    LimitOrderDetails,
    OrderAmendedEvent,
    OrderReplacedEvent,
    ReplaceOrderDetails,
)
from tplus_trio.models.numbers import EXACT
from tplus_trio.orders.order_facts import OrderFacts, Revision
from tplus_trio.orders.order_owners import Owners
from tplus_trio.orders.order_rows import UNDATED, ListedOrder

__all__ = ["CurrentTerms", "current_terms", "scaled_down"]

T = TypeVar("T", OrderReplacedEvent, OrderAmendedEvent)


@attrs.frozen
class CurrentTerms:
    """Price in quote units and quantity in base units; None for a market order, or where they do not apply."""

    price: Decimal | None
    quantity: Decimal | None
    #: The revision of these terms; None for the first ones, and if the service sends none.
    revision: int | None
    #: Whether a replacement removed the order's trigger.
    removes_trigger: bool = False


@attrs.define(eq=False)
class _Units:
    """Terms in units of the book, while they are looked for."""

    price: int | Decimal | None
    quantity: int | Decimal | None
    price_decimals: int
    quantity_decimals: int
    revision: int | None = None
    #: When the order got these terms, by the service's clock; None if that is not known.
    time_ns: int | None = None


def scaled_down(units: int | Decimal, decimals: int) -> Decimal:
    """Return units of the book as a number of base or quote units, exactly."""
    return EXACT.scaleb(Decimal(units), -decimals)


def current_terms(facts: OrderFacts, owners: Owners, why: list[str]) -> CurrentTerms:
    """Return the current terms of an order.

    Args:
        facts: What was seen of the order.
        owners: Which facts are of the order.
        why: The reasons why the terms are not certain are added here.
    """
    sent = facts.sent
    price, quantity = _first_terms(facts)
    terms = _Units(price, quantity, sent.book_price_decimals, sent.book_quantity_decimals, time_ns=owners.start_ns)
    removes_trigger = False
    if facts.replaced or facts.amended:
        removes_trigger = _revise(facts, owners, terms, why)
    if owners.listed is not None and not facts.shows_other_decimals():
        _follow_listing(facts, owners.listed, terms, why)
    return CurrentTerms(
        None if terms.price is None else scaled_down(terms.price, terms.price_decimals),
        None if terms.quantity is None else scaled_down(terms.quantity, terms.quantity_decimals),
        terms.revision,
        removes_trigger,
    )


def _first_terms(facts: OrderFacts) -> tuple[int | None, int | None]:
    details = facts.sent.details
    if isinstance(details, LimitOrderDetails):
        return details.limit_price, details.quantity
    by_base = details.quantity.base_asset
    return None, None if by_base is None else by_base.quantity


def _revise(facts: OrderFacts, owners: Owners, terms: _Units, why: list[str]) -> bool:
    """Apply replacements and amendments, and return whether the trigger was removed."""
    replaced = _of_the_order(facts.replaced, owners)
    amended = _of_the_order(facts.amended, owners)
    if not replaced and not amended:
        return False
    if _cannot_be_ordered(replaced, amended):
        why.append("changes without a revision or a time cannot be ordered")
    for revision, kind in facts.denials() if facts.changes else ():
        if (revision, 0) in (replaced if kind == "ReplaceOrderDetails" else amended):
            why.append("a change took effect, although it was said to be refused or to have had no effect")
    removes_trigger = False
    last_replaced = max(replaced, default=None)
    if last_replaced is not None:
        if replaced[last_replaced].is_contradicted:
            why.append("two replacements of one revision have different terms")
        event = replaced[last_replaced].event
        terms.price, terms.quantity = event.new_price, event.new_quantity
        terms.revision, terms.time_ns = event.authorization_revision or None, event.timestamp_ns
        change, _ = facts.changes.get((event.authorization_revision, "ReplaceOrderDetails"), (None, None))
        if isinstance(change, ReplaceOrderDetails):
            terms.price_decimals, terms.quantity_decimals = change.book_price_decimals, change.book_quantity_decimals
            removes_trigger = change.new_trigger is None
    last_amended = max(amended, default=None)
    if last_amended is not None and (last_replaced is None or last_amended >= last_replaced):
        reduced = amended[last_amended].event
        if last_amended != last_replaced or terms.quantity is None or reduced.new_quantity <= terms.quantity:
            terms.quantity = reduced.new_quantity
            terms.quantity_decimals = reduced.book_quantity_decimals or terms.quantity_decimals
        terms.revision = reduced.authorization_revision or terms.revision
        times = [time for time in (terms.time_ns, reduced.timestamp_ns) if time is not None]
        terms.time_ns = None if last_replaced and terms.time_ns is None else max(times, default=None)
    return removes_trigger


def _of_the_order(revisions: dict[tuple[int, int], Revision[T]], owners: Owners) -> dict[tuple[int, int], Revision[T]]:
    if owners.are_unique:
        return revisions
    return {
        key: one
        for key, one in revisions.items()
        if owners.has_revision(one.event.authorization_revision, one.event.timestamp_ns)
    }


def _cannot_be_ordered(
    replaced: dict[tuple[int, int], Revision[OrderReplacedEvent]],
    amended: dict[tuple[int, int], Revision[OrderAmendedEvent]],
) -> bool:
    """Return whether events without a revision and a time leave open which terms came last.

    One replacement alone follows the first terms, and of several amendments the smallest came last.
    """
    undated = (0, UNDATED)
    if undated not in replaced:
        return undated in amended and bool(replaced)
    return replaced[undated].is_contradicted or len(replaced) > 1 or bool(amended)


def _follow_listing(facts: OrderFacts, listed: ListedOrder, terms: _Units, why: list[str]) -> None:
    """Take the terms of a row that is newer than the events: an event was lost."""
    price, quantity = listed.highest_terms
    if (price, quantity) == (terms.price, terms.quantity) and listed.has_equal_terms:
        return
    if terms.time_ns is None and (facts.replaced or facts.amended):
        why.append("a listing has other terms than events without a time")
        return
    if terms.time_ns is not None and listed.updated_ns <= terms.time_ns:
        return
    if not listed.has_equal_terms:
        why.append("rows of equal times have different terms")
        return
    if not _is_sent_change(facts, terms, price, quantity):
        why.append("a listing has terms that no known change explains")
    if price is not None:
        terms.price = price
    if quantity is not None:
        terms.quantity = quantity
    terms.revision = None


def _is_sent_change(facts: OrderFacts, terms: _Units, price: Decimal | None, quantity: Decimal | None) -> bool:
    """Return whether a change that this client sent later leads from the terms of the events to those of a row."""
    for change, _ in facts.changes.values():
        if change.timestamp_ns <= (terms.revision or 0) or change.new_quantity != quantity:
            continue
        if isinstance(change, ReplaceOrderDetails):
            if change.new_price_limit == price:
                return True
        elif price == terms.price or price in _prices_before(facts, terms, change.timestamp_ns):
            return True
    return False


def _prices_before(facts: OrderFacts, terms: _Units, time_ns: int) -> set[int]:
    """Return the prices of the replacements that this client sent before a time, and after those of the events."""
    return {
        change.new_price_limit
        for change, _ in facts.changes.values()
        if isinstance(change, ReplaceOrderDetails) and (terms.revision or 0) < change.timestamp_ns < time_ns
    }

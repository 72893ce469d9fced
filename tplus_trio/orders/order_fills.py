"""What an order traded: from its trades, and where these are missing from its end, its changes and listings."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

import attrs

from tplus_trio.models import OrderRemovedEvent, UserTrade
from tplus_trio.models.numbers import EXACT
from tplus_trio.orders.order_facts import OrderFacts, status_rank
from tplus_trio.orders.order_owners import Owners
from tplus_trio.orders.order_revisions import CurrentTerms, scaled_down
from tplus_trio.orders.order_rows import ListedOrder

__all__ = ["Fills", "fills_of"]

_NOTHING: Final = Decimal(0)


@attrs.frozen
class Fills:
    """What an order traded, in base units."""

    #: What traded, rolled back or not: this part does not return to the book.
    matched: Decimal
    #: What traded and was not rolled back.
    filled: Decimal
    confirmed: Decimal
    #: Whether every trade is known.
    is_complete: bool
    #: Whether no trade is pending.
    is_settled: bool


@attrs.define(eq=False)
class _Sums:
    """The sums of the known trades, in base units."""

    matched: Decimal = _NOTHING
    confirmed: Decimal = _NOTHING
    rolled_back: Decimal = _NOTHING
    has_pending: bool = False
    last_ns: int = -1


def fills_of(
    facts: OrderFacts,
    owners: Owners,
    terms: CurrentTerms,
    removed: Sequence[OrderRemovedEvent],
    trades: list[UserTrade],
    why: list[str],
) -> Fills:
    """Return what an order traded.

    Args:
        facts: What was seen of the order.
        owners: Which facts are of the order.
        terms: Its current terms.
        removed: Its ends.
        trades: Its trades.
        why: The reasons why the quantities are not certain are added here.
    """
    decimals = facts.sent.book_quantity_decimals
    sums = _sums_of(trades)
    listed = None if facts.shows_other_decimals() else owners.listed
    at_end = _traded_at_end(removed, decimals, terms, why)
    matched = max(sums.matched, at_end, _shown_by_changes(facts, decimals) if owners.are_unique else _NOTHING)
    if listed is not None:
        matched = max(matched, scaled_down(listed.most_filled, decimals))
    if at_end and at_end < sums.matched:
        why.append("the trades of the order are more than its end says")
    if any(trade.trade_id in facts.contradicted_trades for trade in trades):
        why.append("two versions of a trade differ")
    is_complete, rolled_back = matched <= sums.matched, sums.rolled_back
    if facts.gap is not None and _may_concern(facts.gap, owners.start_ns, None):
        is_complete = is_complete and not _may_miss_trades(facts.gap, owners, removed, at_end, sums)
        if listed is not None:
            rolled_back = _rolled_back(listed, decimals, matched, sums, removed)
    filled = EXACT.subtract(matched, rolled_back)
    if not is_complete and rolled_back and listed is not None and scaled_down(listed.lowest_filled, decimals) != filled:
        why.append("a listing may or may not contain a rollback")
    confirmed = max(sums.confirmed, _confirmed_elsewhere(listed, removed, decimals, filled, rolled_back))
    return Fills(matched, filled, confirmed, is_complete, _is_settled(sums, listed, is_complete=is_complete))


def _may_miss_trades(
    gap: tuple[int, int], owners: Owners, removed: Sequence[OrderRemovedEvent], at_end: Decimal, sums: _Sums
) -> bool:
    """Return whether trades may have been lost in a gap: the end of the order does not account for all of them."""
    if not _may_concern(gap, owners.start_ns, _end_ns(removed, owners.listed)):
        return False
    # An end without decimals is of an older server, which does not say how much traded.
    is_said = bool(at_end) or any(event.book_quantity_decimals for event in removed)
    return not is_said or at_end != sums.matched


def _is_settled(sums: _Sums, listed: ListedOrder | None, *, is_complete: bool) -> bool:
    if is_complete and not sums.has_pending:
        return True
    return listed is not None and listed.newest.is_done and not listed.least_pending


def _sums_of(trades: list[UserTrade]) -> _Sums:
    sums = _Sums()
    for trade in trades:
        quantity, rank = trade.quantity, status_rank(trade)
        sums.matched = EXACT.add(sums.matched, quantity)
        sums.last_ns = max(sums.last_ns, trade.timestamp_ns)
        if rank == 1:
            sums.confirmed = EXACT.add(sums.confirmed, quantity)
        elif rank:
            sums.rolled_back = EXACT.add(sums.rolled_back, quantity)
        else:
            sums.has_pending = True
    return sums


def _traded_at_end(removed: Sequence[OrderRemovedEvent], decimals: int, terms: CurrentTerms, why: list[str]) -> Decimal:
    """Return what the ends of an order say that it traded; 0 if they do not say it."""
    traded = {
        scaled_down(event.filled_quantity, event.book_quantity_decimals or decimals)
        for event in removed
        if event.filled_quantity
    }
    if len(traded) > 1:
        why.append("two ends of the order have different quantities")
    if not traded and terms.quantity is not None and any(event.reason.lower() == "completed" for event in removed):
        return terms.quantity  # an older server, which sends no quantity
    return max(traded, default=_NOTHING)


def _shown_by_changes(facts: OrderFacts, decimals: int) -> Decimal:
    """Return the least that amendments, and the events of older servers, show as traded."""
    shown = _NOTHING
    for one in facts.amended.values():
        traded = one.event.new_quantity - one.event.remaining_quantity
        shown = max(shown, scaled_down(traded, one.event.book_quantity_decimals or decimals))
    if facts.updated is not None:
        shown = max(shown, scaled_down(facts.updated.filled_quantity, decimals))
    return shown


def _may_concern(gap: tuple[int, int], start_ns: int | None, end_ns: int | None) -> bool:
    """Return whether an order may have been open in a gap."""
    since_ns, until_ns = gap
    return (start_ns is None or start_ns <= until_ns) and (end_ns is None or since_ns <= end_ns)


def _end_ns(removed: Sequence[OrderRemovedEvent], listed: ListedOrder | None) -> int | None:
    if removed:
        return max(event.timestamp_ns for event in removed)
    return None if listed is None else listed.ended_ns


def _rolled_back(
    listed: ListedOrder, decimals: int, matched: Decimal, sums: _Sums, removed: Sequence[OrderRemovedEvent]
) -> Decimal:
    """Return what was rolled back, with what a listing shows of rollbacks that a gap has hidden."""
    if listed.newest.is_done:  # nothing traded after the end, so that less is a rollback
        left = listed.lowest_filled
    elif listed.updated_ns > sums.last_ns and not removed:
        left = listed.highest_filled
    else:
        return sums.rolled_back
    return max(sums.rolled_back, EXACT.subtract(matched, scaled_down(left, decimals)))


def _confirmed_elsewhere(
    listed: ListedOrder | None,
    removed: Sequence[OrderRemovedEvent],
    decimals: int,
    filled: Decimal,
    rolled_back: Decimal,
) -> Decimal:
    """Return the least that ends and listings show as confirmed and that no later rollback can have taken away."""
    shown = [scaled_down(event.confirmed_quantity, event.book_quantity_decimals or decimals) for event in removed]
    if listed is not None:
        shown.append(scaled_down(listed.most_confirmed, decimals))
    if not shown:
        return _NOTHING
    return max(min(filled, EXACT.subtract(max(shown), rolled_back)), _NOTHING)

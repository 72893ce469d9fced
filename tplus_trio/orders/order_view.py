"""What the facts of one order say together: its state, terms and quantities, as a pure function of the facts."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

import attrs

from tplus_trio.models import (
    OrderAmendedEvent,
    OrderCreatedEvent,
    OrderRemovedEvent,
    OrderReplacedEvent,
    OrderResponse,
    Side,
    UserTrade,
)
from tplus_trio.models.numbers import EXACT
from tplus_trio.orders.order_facts import DENIALS, OrderFacts
from tplus_trio.orders.order_fills import Fills, fills_of
from tplus_trio.orders.order_owners import Owners, owners_of
from tplus_trio.orders.order_revisions import CurrentTerms, current_terms
from tplus_trio.orders.order_state import (
    OrderEnd,
    OrderState,
    contradict,
    state_of_reason,
    state_of_status,
)

__all__ = ["OrderView", "view_of"]

_NOTHING: Final = Decimal(0)


# Nineteen attributes: the public properties of a tracked order, derived in one step.
@attrs.frozen
class OrderView:
    """What is known of one order. Quantities are in base units, prices in quote units."""

    state: OrderState
    #: Whether the order is proved to have existed.
    was_seen: bool
    #: Why the facts do not decide what is stated; empty if they do.
    ambiguities: tuple[str, ...]
    price: Decimal | None
    quantity: Decimal | None
    revision: int | None
    filled_quantity: Decimal
    remaining_quantity: Decimal | None
    confirmed_quantity: Decimal
    trades: tuple[UserTrade, ...]
    trades_complete: bool
    #: Whether the order has ended and no trade of it is pending.
    is_final: bool
    end: OrderEnd | None
    #: The events that created and removed the order; more than one of a kind if they differ.
    created: tuple[OrderCreatedEvent, ...]
    removed: tuple[OrderRemovedEvent, ...]
    #: The events that created other orders under the id, and the newest row of each.
    other_created: tuple[OrderCreatedEvent, ...]
    other_rows: tuple[OrderResponse, ...]
    #: Rows that may be of the order, changed by somebody else, or of another.
    unexplained_rows: tuple[OrderResponse, ...]
    #: The newest row of the order.
    row: OrderResponse | None


@attrs.define(eq=False)
class Attributed:
    """The facts of an order that name only its id, without those of other orders."""

    removed: Sequence[OrderRemovedEvent]
    trades: list[UserTrade]
    #: Whether an event other than these proves the order.
    was_seen: bool
    was_triggered: bool
    #: Whether some facts may be the order's or another's; they are left out.
    is_undecided: bool


def view_of(facts: OrderFacts) -> OrderView:
    """Return what the facts of an order say together."""
    owners = owners_of(facts)
    mine = _attributed(facts, owners)
    why: list[str] = []
    terms = current_terms(facts, owners, why)
    fills = fills_of(facts, owners, terms, mine.removed, mine.trades, why)
    was_seen = bool(owners.created or owners.listed or mine.removed or mine.trades or mine.was_seen)
    is_absent = any(outcome in DENIALS for outcome, _ in facts.create)
    if mine.is_undecided and not (is_absent and not was_seen):
        why.append("an event may be of another order under the same id")
    if owners.is_followed_in_listing and not owners.is_superseded:
        why.append("a listing shows a later order under the same id")
    if owners.unexplained:
        why.append("a listing shows terms that nothing explains, of this order or another")
    if owners.was_repeated:
        why.append("the order was created more than once")
    state, end = _seen_state(facts, owners, mine, terms, fills, why) if was_seen else _unseen_state(facts, owners, why)
    if was_seen and is_absent:
        why.append("the order exists, although it was said to be refused or to have had no effect")
    remaining: Decimal | None = _NOTHING
    if not state.is_done:
        remaining = None if terms.quantity is None else max(EXACT.subtract(terms.quantity, fills.matched), _NOTHING)
    return OrderView(
        state,
        was_seen,
        tuple(why),
        terms.price,
        terms.quantity,
        terms.revision,
        fills.filled,
        remaining,
        fills.confirmed,
        tuple(sorted(mine.trades, key=_trade_place)) if len(mine.trades) > 1 else tuple(mine.trades),
        fills.is_complete,
        state.is_done and fills.is_settled,
        end,
        owners.created,
        tuple(mine.removed),
        owners.other_created,
        tuple(one.newest for one in owners.other_listed),
        tuple(one.newest for one in owners.unexplained),
        None if owners.listed is None else owners.listed.newest,
    )


def _attributed(facts: OrderFacts, owners: Owners) -> Attributed:
    """Leave out the facts of other orders."""
    if owners.are_unique:
        was_seen = bool(facts.canceled or facts.replaced or facts.amended or facts.triggered or facts.updated)
        trades = list(facts.trades.values())
        if trades:
            side = facts.sent.side
            trades = [trade for trade in trades if trade.is_buyer is (side is Side.BUY)]
        return Attributed(
            facts.removed,
            trades,
            was_seen,
            bool(facts.triggered),
            len(trades) < len(facts.trades),
        )
    removed = [(event, owners.has(event.timestamp_ns)) for event in facts.removed]
    trades_of = [(trade, owners.has_trade(trade, facts.sent.side)) for trade in facts.trades.values()]
    triggered = [owners.has(event.timestamp_ns) for event in facts.triggered]
    seen = [owners.has(event.timestamp_ns) for event in facts.canceled]
    changes: list[OrderReplacedEvent | OrderAmendedEvent] = [one.event for one in facts.replaced.values()]
    changes += [one.event for one in facts.amended.values()]
    seen += [owners.has_revision(event.authorization_revision, event.timestamp_ns) for event in changes]
    if facts.updated is not None:
        seen.append(owners.has(facts.updated.update_timestamp_ns))
    decided = [*(owner for _, owner in removed), *(owner for _, owner in trades_of), *triggered, *seen]
    return Attributed(
        [event for event, owner in removed if owner],
        [trade for trade, owner in trades_of if owner],
        True in seen or True in triggered,
        True in triggered,
        None in decided,
    )


def _unseen_state(facts: OrderFacts, owners: Owners, why: list[str]) -> tuple[OrderState, OrderEnd | None]:
    """Return the state of an order of which only the answers, or a failure, are known."""
    outcomes = {outcome for outcome, _ in facts.create}
    codes = sorted(code or "" for outcome, code in facts.create if outcome == "refused")
    if "accepted" in outcomes and ("refused" in outcomes or "no effect" in outcomes):
        why.append("one answer accepted the order, another statement denies it")
        return OrderState.ACCEPTED, None
    if "refused" in outcomes:
        return OrderState.REJECTED, OrderEnd(codes[0])
    if "no effect" in outcomes:
        return OrderState.REJECTED, OrderEnd("NEVER_TOOK_EFFECT")
    # The failure of a repetition as a duplicate proves nothing of the first request.
    reasons = sorted(reason for reason in facts.failures.get("create", ()) if "duplicate" not in reason.lower())
    state = OrderState.ACCEPTED if "accepted" in outcomes else OrderState.SENT
    if not reasons:
        return state, None
    if not owners.are_unique:
        why.append("the book refused this order or another one under the same id")
        return state, None
    return OrderState.REJECTED, OrderEnd(reasons[0])


def _seen_state(
    facts: OrderFacts, owners: Owners, mine: Attributed, terms: CurrentTerms, fills: Fills, why: list[str]
) -> tuple[OrderState, OrderEnd | None]:
    """Return the state of an order that is proved to have existed."""
    if (ended := _end(owners, mine.removed, why)) is not None:
        return ended
    listed = owners.listed
    waits = (
        facts.sent.trigger is not None
        and not mine.was_triggered
        and not mine.trades
        and not fills.matched
        and not (listed is not None and listed.is_active)
        and not any(event.trigger_touched for event in owners.created)
        and not terms.removes_trigger
    )
    return (OrderState.WAITING if waits else OrderState.OPEN), None


def _end(owners: Owners, removed: Sequence[OrderRemovedEvent], why: list[str]) -> tuple[OrderState, OrderEnd] | None:
    """Return how an order ended; None if nothing proves that it has."""
    listed = owners.listed
    states = [state_of_reason(event.reason) for event in removed]
    end = OrderEnd("superseded")
    if removed:
        end = OrderEnd(removed[0].reason, removed[0].timestamp_ns)
        if owners.start_ns is not None and removed[0].timestamp_ns < owners.start_ns:
            why.append("the order was removed before it was created")
    if listed is not None and listed.is_done:
        shown = sorted(listed.ends)
        states += [state_of_status(status) for status in shown]
        if not removed:
            end = OrderEnd(str(shown[0]), listed.ended_ns)
    if not states:
        return (OrderState.ENDED, end) if owners.is_superseded else None
    if len(states) > 1 and any(contradict(states[0], state) for state in states):
        why.append("two ends of the order contradict each other")
    return states[0], end


def _trade_place(trade: UserTrade) -> tuple[int, int]:
    return trade.timestamp_ns, trade.trade_id

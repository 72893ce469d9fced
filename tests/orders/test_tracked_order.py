"""What the facts of one order say together: presence, terms, ends, fills, losses."""

from __future__ import annotations

import attrs
import pytest

from tests.helpers import order_messages as say
from tests.helpers.order_histories import follow
from tests.helpers.order_messages import base, quote
from tplus_trio.models import (
    Gap,
    MarketOrderDetails,
    MarketQuantity,
    MarketQuoteQuantity,
    OrderCancelFailedEvent,
    OrderUpdatedEvent,
)
from tplus_trio.orders.order_facts import Fact, RequestFact
from tplus_trio.orders.order_state import OrderEnd, OrderState
from tplus_trio.orders.tracked_order import TrackedOrder

SENT = say.order()
CREATED = say.created(SENT)
SENT_FACT, ACCEPTED = RequestFact(SENT, "sent"), RequestFact(SENT, "accepted")
REFUSED, NO_EFFECT = RequestFact(SENT, "refused", "POST_ONLY"), RequestFact(SENT, "no effect")


def seen(*messages: Fact) -> TrackedOrder:
    """An order of which these messages were seen, which say the same in the reverse order."""
    tracked = follow(SENT, messages)
    backwards = TrackedOrder(SENT.signer, SENT)
    for message in reversed(messages):
        backwards.add(message)
    assert tracked.view == backwards.view
    return tracked


@pytest.mark.parametrize(
    ("messages", "state"),
    [
        ((), OrderState.SENT),
        ((SENT_FACT,), OrderState.SENT),
        ((ACCEPTED,), OrderState.ACCEPTED),
        ((REFUSED,), OrderState.REJECTED),
        ((NO_EFFECT,), OrderState.REJECTED),
        ((ACCEPTED, say.create_failed()), OrderState.REJECTED),
        ((CREATED,), OrderState.OPEN),
        ((say.row(SENT),), OrderState.OPEN),
        ((say.trade(1, 2),), OrderState.OPEN),
        ((say.canceled(),), OrderState.OPEN),
        ((OrderCancelFailedEvent(say.ORDER_ID, SENT.signer),), OrderState.SENT),
        ((OrderUpdatedEvent(say.ORDER_ID, "Filled", 10, 0, 120),), OrderState.OPEN),
        ((CREATED, say.canceled(), say.removed()), OrderState.CANCELED),
        ((say.removed("Completed", 10),), OrderState.FILLED),
        ((say.removed("Expired"),), OrderState.EXPIRED),
        ((say.removed("Rejected"),), OrderState.REJECTED),
        ((say.removed("Something new"),), OrderState.ENDED),
        ((CREATED, say.row(SENT, "Cancelled")), OrderState.CANCELED),
        ((CREATED, say.row(SENT, "Completed")), OrderState.FILLED),
        ((CREATED, say.row(SENT, "Closed")), OrderState.ENDED),
        ((say.removed("Expired"), say.row(SENT, "Closed")), OrderState.EXPIRED),
        ((CREATED, say.row(SENT, "A new status")), OrderState.OPEN),
    ],
)
def test_the_state_after_some_messages(messages: tuple[Fact, ...], state: OrderState) -> None:
    tracked = seen(*messages)
    assert (tracked.state, tracked.ambiguities) == (state, ())
    assert tracked.is_done == state.is_done


def test_how_an_order_ended() -> None:
    assert seen(CREATED).end is None
    assert seen(REFUSED).end == OrderEnd("POST_ONLY")
    assert seen(NO_EFFECT).end == OrderEnd("NEVER_TOOK_EFFECT")
    assert seen(say.create_failed("too late")).end == OrderEnd("too late")
    assert seen(say.removed("Expired", at_ns=700)).end == OrderEnd("Expired", 700)
    assert seen(say.row(SENT, "Closed", updated_ns=650)).end == OrderEnd("Closed", 650)


@pytest.mark.parametrize("proof", [CREATED, say.row(SENT), say.trade(1, 2), say.removed(), say.replaced(9, 9, 120)])
def test_presence_beats_the_failure_of_a_repetition(proof: Fact) -> None:
    tracked = seen(say.create_failed(), proof)
    assert tracked.was_seen
    assert tracked.ambiguities == ()
    assert tracked.state in (OrderState.OPEN, OrderState.CANCELED)


def test_a_failure_as_a_duplicate_proves_nothing() -> None:
    assert seen(SENT_FACT, say.create_failed("Duplicate order id")).state is OrderState.SENT


@pytest.mark.parametrize("denial", [REFUSED, NO_EFFECT])
def test_an_order_that_exists_although_it_was_denied_is_ambiguous(denial: Fact) -> None:
    tracked = seen(denial, CREATED)
    assert (tracked.state, tracked.ambiguous) == (OrderState.OPEN, True)
    assert seen(denial, ACCEPTED).ambiguous


def test_an_order_waits_until_its_trigger_is_touched() -> None:
    sent = say.order(trigger=True)
    waiting = say.created(sent)
    row = say.row(sent, "Pending", trigger_touched=False, trigger_above_price=1200)
    assert follow(sent, [waiting]).state is OrderState.WAITING
    assert follow(sent, [row]).state is OrderState.WAITING
    active = say.row(sent, "Open", trigger_touched=True)
    for touched in (say.triggered(), active, say.trade(1, 2)):
        assert follow(sent, [touched, row, waiting]).state is OrderState.OPEN
    request = RequestFact(say.replacement(1000, 10, 120), "sent")
    assert follow(sent, [waiting, request]).state is OrderState.WAITING
    assert follow(sent, [waiting, request, say.replaced(1000, 10, 120, 121)]).state is OrderState.OPEN


def test_terms_are_those_of_the_highest_revision() -> None:
    tracked = seen(
        CREATED, say.replaced(990, 12, 110, 111), say.amended(8, 8, 130, 131), say.replaced(980, 9, 120, 121)
    )
    assert (tracked.price, tracked.quantity, tracked.view.revision) == (quote(980), base(8), 130)
    assert tracked.remaining_quantity == base(8)


def test_an_amendment_of_the_same_revision_only_reduces() -> None:
    tracked = seen(CREATED, say.replaced(990, 12, 110, 111), say.amended(9, 9, 110, 115), say.amended(7, 7, 110, 117))
    assert (tracked.price, tracked.quantity, tracked.ambiguities) == (quote(990), base(7), ())


def test_changes_of_older_servers_are_ordered_by_time_or_not_at_all() -> None:
    dated = seen(CREATED, say.replaced(990, 12, at_ns=110), say.replaced(980, 9, at_ns=120))
    assert (dated.price, dated.ambiguous) == (quote(980), False)
    single = seen(CREATED, say.replaced(990, 12))
    assert (single.price, single.quantity, single.ambiguous) == (quote(990), base(12), False)
    assert seen(CREATED, say.amended(8, 8), say.amended(6, 6)).quantity == base(6)
    assert not seen(CREATED, say.amended(8, 8), say.amended(6, 6)).ambiguous
    for undecided in (
        (say.replaced(990, 12), say.replaced(980, 9)),
        (say.replaced(990, 12), say.amended(8, 8)),
        (say.replaced(990, 12), say.row(SENT, updated_ns=130)),
        (say.replaced(990, 12, 110, 111), say.replaced(980, 9, 110, 111)),
    ):
        assert seen(CREATED, *undecided).ambiguous


def test_a_row_changes_terms_only_if_it_is_newer() -> None:
    replaced = say.replaced(990, 12, 110, 111)
    assert seen(CREATED, replaced, say.row(SENT, updated_ns=100)).price == quote(990)
    newer = say.row(SENT, updated_ns=140, price=980, quantity=7)
    request = RequestFact(say.replacement(980, 7, 130), "sent")
    explained = seen(CREATED, replaced, request, newer)
    assert (explained.price, explained.quantity, explained.ambiguous) == (quote(980), base(7), False)
    unexplained = seen(CREATED, replaced, newer)
    assert (unexplained.price, unexplained.ambiguous) == (quote(980), True)


def test_an_amendment_keeps_the_price_of_a_replacement_whose_event_was_lost() -> None:
    changes = (RequestFact(say.replacement(980, 7, 130), "sent"), RequestFact(say.amendment(5, 135), "sent"))
    amended = seen(CREATED, *changes, say.row(SENT, updated_ns=140, price=980, quantity=5))
    assert (amended.price, amended.quantity, amended.ambiguous) == (quote(980), base(5), False)
    later = (RequestFact(say.amendment(5, 125), "sent"), changes[0])
    assert seen(CREATED, *later, say.row(SENT, updated_ns=140, price=980, quantity=5)).ambiguous


def test_rows_of_equal_times_with_different_terms_are_ambiguous() -> None:
    rows = (say.row(SENT, updated_ns=140, price=980), say.row(SENT, updated_ns=140, price=970))
    assert seen(CREATED, *rows).ambiguous
    assert not seen(CREATED, *rows, say.replaced(970, 10, 150, 150)).ambiguous
    requests = (RequestFact(say.replacement(price, 10, price), "sent") for price in (980, 970))
    assert seen(CREATED, *rows, *requests).ambiguous


@pytest.mark.parametrize("late", [say.row(SENT), say.row(SENT, "Partial", confirmed=3), say.trade(1, 3), CREATED])
def test_a_late_message_does_not_reopen_an_order(late: Fact) -> None:
    tracked = seen(CREATED, say.removed("Canceled", 3), late)
    assert (tracked.state, tracked.remaining_quantity, tracked.filled_quantity) == (
        OrderState.CANCELED,
        base(0),
        base(3),
    )


def test_ends_that_contradict_each_other_are_ambiguous() -> None:
    assert seen(CREATED, say.removed("Canceled"), say.removed("Expired", at_ns=950)).ambiguous
    assert seen(CREATED, say.removed("Canceled"), say.row(SENT, "Completed")).ambiguous
    assert seen(CREATED, say.row(SENT, "Cancelled"), say.row(SENT, "Completed")).ambiguous
    assert not seen(CREATED, say.removed("Canceled"), say.removed("Canceled", at_ns=901)).ambiguous
    assert seen(CREATED, say.removed("Canceled", at_ns=90)).ambiguous
    assert seen(CREATED, say.removed("Canceled", 3), say.removed("Canceled", 4)).ambiguous


def test_trades_count_once_at_their_best_status() -> None:
    pending = say.trade(1, 3)
    tracked = seen(
        CREATED, pending, say.with_status(pending, "Confirmed"), pending, say.trade(2, 2, "A new status", 210)
    )
    assert (tracked.filled_quantity, tracked.confirmed_quantity) == (base(5), base(3))
    assert [trade.status for trade in tracked.trades] == ["Confirmed", "A new status"]
    assert tracked.remaining_quantity == base(5)


def test_a_rollback_lowers_what_was_filled_also_after_the_end() -> None:
    trade = say.trade(1, 10, "Confirmed")
    filled = (CREATED, trade, say.removed("Completed", 10, confirmed=10))
    assert (seen(*filled).filled_quantity, seen(*filled).is_final) == (base(10), True)
    tracked = seen(*filled, say.with_status(trade, "Rollbacked"))
    assert (tracked.state, tracked.filled_quantity, tracked.confirmed_quantity) == (OrderState.FILLED, base(0), base(0))
    assert (tracked.remaining_quantity, tracked.ambiguities) == (base(0), ())


def test_two_versions_of_a_trade_are_ambiguous() -> None:
    assert seen(CREATED, say.trade(1, 3), say.trade(1, 4)).ambiguous
    assert seen(CREATED, say.trade(1, 3), say.trade(1, 4, "Confirmed")).ambiguous


def test_trades_that_are_still_to_come_are_counted_from_the_end() -> None:
    tracked = seen(CREATED, say.trade(1, 3), say.removed("Completed", 10))
    assert (tracked.filled_quantity, tracked.trades_complete, tracked.is_final) == (base(10), False, False)
    full = seen(CREATED, say.trade(1, 3), say.trade(2, 7), say.removed("Completed", 10))
    assert (full.filled_quantity, full.trades_complete) == (base(10), True)


GAP = Gap(150, 250, "connection lost")


def test_after_a_gap_quantities_come_from_listings_and_the_end() -> None:
    assert not seen(CREATED, GAP).trades_complete
    listed = seen(
        CREATED, GAP, say.trade(1, 2, "Confirmed", 140), say.row(SENT, confirmed=4, pending=2, updated_ns=240)
    )
    assert (listed.filled_quantity, listed.confirmed_quantity, listed.trades_complete) == (base(6), base(4), False)
    assert listed.remaining_quantity == base(4)
    ended = seen(CREATED, GAP, say.removed("Canceled", 6, at_ns=300))
    assert (ended.filled_quantity, ended.trades_complete) == (base(6), False)
    known = seen(CREATED, GAP, say.trade(1, 6, at_ns=140), say.removed("Canceled", 6, at_ns=300))
    assert known.trades_complete


def test_an_end_without_trades_is_complete_after_a_gap_if_it_says_so() -> None:
    assert seen(CREATED, GAP, say.removed(at_ns=300)).is_final
    silent = attrs.evolve(say.removed(at_ns=300), book_quantity_decimals=0)
    assert not seen(CREATED, GAP, silent).trades_complete


def test_rows_are_not_read_once_the_decimals_of_the_market_have_changed() -> None:
    row = say.row(SENT, "Completed", quantity=100, price=10000, confirmed=100, updated_ns=900)
    removed = attrs.evolve(say.removed("Completed", 100, confirmed=100), book_quantity_decimals=3)
    tracked = seen(CREATED, say.trade(1, 10, "Confirmed"), row, removed)
    assert (tracked.filled_quantity, tracked.quantity, tracked.price) == (base(10), base(10), quote(1000))
    assert (tracked.trades_complete, tracked.ambiguities) == (True, ())


def test_a_change_that_took_effect_although_it_was_denied_is_ambiguous() -> None:
    for outcome in ("refused", "no effect"):
        fact = RequestFact(say.replacement(990, 8, 110), outcome)
        assert not seen(CREATED, fact).ambiguous
        assert seen(CREATED, fact, say.replaced(990, 8, 110, 111)).ambiguous


def test_a_gap_before_the_order_or_after_its_end_loses_no_trade() -> None:
    assert seen(CREATED, Gap(10, 90, "")).trades_complete
    assert seen(CREATED, say.removed(at_ns=200), Gap(300, 400, "")).trades_complete


def test_a_listing_shows_a_rollback_that_a_gap_hid() -> None:
    trade = say.trade(1, 10, at_ns=140)
    end = say.removed("Completed", 10, at_ns=140)
    row = say.row(SENT, "Completed", updated_ns=140, confirmed=0, pending=0)
    tracked = seen(CREATED, trade, end, row, Gap(300, 400, ""))
    assert (tracked.filled_quantity, tracked.is_final) == (base(0), True)
    assert seen(CREATED, trade, end, row).filled_quantity == base(10)  # without a gap the trades are believed


def test_a_row_of_the_moment_of_the_end_hides_no_trade() -> None:
    rows = (say.row(SENT, updated_ns=140), say.row(SENT, "Completed", updated_ns=140, confirmed=10))
    tracked = seen(CREATED, GAP, *rows, say.removed("Completed", 10, at_ns=140))
    assert tracked.filled_quantity == base(10)


def test_a_rollback_that_a_listing_may_contain_is_ambiguous() -> None:
    rolled_back = say.trade(1, 2, "Rollbacked", 140)
    assert seen(CREATED, GAP, rolled_back, say.row(SENT, confirmed=5, updated_ns=240)).ambiguous


def test_an_order_by_amount_has_no_quantity() -> None:
    details = MarketOrderDetails(MarketQuantity(quote_asset=MarketQuoteQuantity(500)))
    tracked = follow(attrs.evolve(SENT, details=details), [say.trade(1, 3, "Confirmed")])
    assert (tracked.price, tracked.quantity, tracked.remaining_quantity) == (None, None, None)
    assert tracked.filled_quantity == base(3)


def test_numbers_are_exact_whatever_the_context_is() -> None:
    sent = say.order(quantity=10**40 + 1)
    assert str(follow(sent, []).quantity) == "1" + "0" * 38 + ".01"


def test_bounds_keep_a_flood_of_contradictions_small() -> None:
    floods: list[Fact] = [say.removed(f"reason {n}", at_ns=900 + n) for n in range(100)]
    floods += [say.created(say.order(made_ns=1000 + n), 1000 + n) for n in range(100)]
    floods += [say.row(SENT, began_ns=2000 + n) for n in range(100)]
    floods += [say.create_failed(f"reason {n}") for n in range(100)]
    tracked = TrackedOrder(SENT.signer, SENT)
    for message in floods:
        tracked.add(message)
    facts = tracked.facts
    assert [len(facts.removed), len(facts.created), len(facts.listed), len(facts.failures["create"])] == [16] * 4
    backwards = TrackedOrder(SENT.signer, SENT)
    for message in reversed(floods):
        backwards.add(message)
    assert backwards.view == tracked.view
    assert tracked.ambiguous

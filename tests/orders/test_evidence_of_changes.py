"""What was seen of an order states what became of a cancel, a replacement or an amendment, or leaves it unknown."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest

from tests.helpers.model_values import KEY
from tests.helpers.order_messages import (
    ASSET,
    ORDER_ID,
    amended,
    amendment,
    canceled,
    created,
    order,
    removed,
    replaced,
    replacement,
    row,
    trade,
)
from tests.helpers.unsettled_orders import ALL_RULES, NOT_FOUND, Case
from tplus_trio.models import (
    CancelOrder,
    Order,
    OrderAmendFailedEvent,
    OrderCancelFailedEvent,
    OrderReplaceFailedEvent,
    TriggerAbove,
)
from tplus_trio.orders.evidence import NEVER_TOOK_EFFECT
from tplus_trio.orders.order_facts import RequestFact
from tplus_trio.orders.service_rules import ServiceRules

NEVER = f"rejected: {NEVER_TOOK_EFFECT}"
GONE = "rejected: ORDER_NOT_FOUND"
MINE = order()
CANCEL = CancelOrder(ORDER_ID, ASSET, KEY)
REPLACE = replacement(1010, 12, made_ns=500)
AMEND = amendment(7, made_ns=500)
CURRENT = ServiceRules(listings_current=True)
CHANGES = [REPLACE, AMEND]


def of_mine(terms: object, rules: ServiceRules | None = None) -> Case:
    """A request about an order that this client created before."""
    case = Case(terms, rules or ServiceRules())  # type: ignore[arg-type] # terms of a request
    case.send(MINE)
    return case


def of_foreign(terms: object, rules: ServiceRules | None = None) -> Case:
    """A request about an order of another program."""
    return Case(terms, rules or ServiceRules())  # type: ignore[arg-type] # as above


CaseOf = Callable[..., Case]
both = pytest.mark.parametrize("case_of", [of_mine, of_foreign])


# Cancels.


@both
def test_a_cancel_is_done_once_the_order_is_canceled(case_of: CaseOf) -> None:
    case = case_of(CANCEL)
    assert case.fate == "unknown"
    assert case.see(created(MINE), removed("Canceled")).fate == "done"
    assert case.order.is_gone
    assert case_of(CANCEL).see(row(MINE, "Cancelled")).fate == "done"


@both
@pytest.mark.parametrize("seen", [removed("Completed", 10), removed("Expired"), row(MINE, "Completed")])
def test_a_cancel_of_an_order_that_ended_otherwise_found_none(case_of: CaseOf, seen: object) -> None:
    case = case_of(CANCEL).see(seen)  # type: ignore[arg-type] # an item of a user's feeds
    assert case.fate == GONE
    assert case.order.is_gone


@both
@pytest.mark.parametrize("seen", [created(MINE), row(MINE), trade(1, 5)])
def test_an_order_that_may_be_open_leaves_a_cancel_unknown(case_of: CaseOf, seen: object) -> None:
    case = case_of(CANCEL, ALL_RULES)
    assert case.see(seen).fate == "unknown"  # type: ignore[arg-type] # as above
    case.order.refusal = NOT_FOUND
    assert case.fate == "unknown"


def test_a_cancel_that_failed_says_nothing_of_a_copy() -> None:
    failed = OrderCancelFailedEvent(ORDER_ID, KEY, "ORDER_NOT_FOUND")
    assert of_mine(CANCEL, ALL_RULES).see(created(MINE), failed).fate == "unknown"


@both
def test_an_order_that_was_not_found_and_is_not_listed_does_not_exist(case_of: CaseOf) -> None:
    case = case_of(CANCEL, CURRENT).list()
    case.order.refusal = NOT_FOUND
    assert case.fate == GONE
    case = case_of(CANCEL, CURRENT).list()
    case.order.fence = None
    assert case.fate == "unknown", "neither a refusal nor a fence"


@both
def test_each_part_of_that_proof_is_needed(case_of: CaseOf) -> None:
    for listing in ([row(MINE)], [row(order(2000, 3))]):
        case = case_of(CANCEL, CURRENT).list(*listing)
        case.order.refusal = NOT_FOUND
        assert case.fate == "unknown"
    case = case_of(CANCEL, CURRENT).list(is_complete=False)
    case.order.refusal = NOT_FOUND
    assert case.fate == "unknown"
    case = case_of(CANCEL, attrs.evolve(ALL_RULES, listings_current=False)).list()
    case.order.refusal = NOT_FOUND
    assert case.fate == "unknown"
    case = case_of(CANCEL, CURRENT)
    case.order.refusal = NOT_FOUND
    assert case.fate == "unknown"


def test_an_order_that_had_ended_before_the_cancel_was_not_canceled_by_it() -> None:
    case = of_mine(CANCEL).see(created(MINE), removed("Canceled"))
    case.order.had_ended = True
    assert case.fate == GONE, "no answer is needed"
    change = of_mine(REPLACE).see(created(MINE), removed("Canceled"))
    change.order.had_ended = True
    assert change.fate == "unknown", "nothing says that it had ended with its old terms"
    change.order.refusal = NOT_FOUND
    assert change.fate == GONE


def test_a_cancel_is_not_done_while_two_orders_of_the_id_may_be_open() -> None:
    case = of_mine(CANCEL).see(created(MINE, 100), removed("Canceled", at_ns=200))
    case.send(order(2000, 3, made_ns=300))
    assert case.fate == "unknown"
    again = order(2000, 3, made_ns=300)
    assert case.see(created(again, 400)).fate == "unknown"
    assert case.see(removed("Canceled", at_ns=500)).fate == "done"


def test_two_ends_that_contradict_each_other_state_nothing() -> None:
    case = of_mine(CANCEL).see(created(MINE), removed("Completed", 10, at_ns=900), removed("Canceled", at_ns=901))
    assert case.fate == "unknown"


def test_a_cancel_event_alone_does_not_say_that_the_order_is_gone() -> None:
    assert of_mine(CANCEL).see(created(MINE), canceled()).fate == "unknown"


# Replacements and amendments: what shows them.


@both
def test_an_event_of_its_revision_shows_a_change(case_of: CaseOf) -> None:
    assert case_of(REPLACE).see(replaced(1010, 12, 500)).fate == "done"
    assert case_of(AMEND).see(amended(7, 7, 500)).fate == "done"


@both
@pytest.mark.parametrize("change", CHANGES)
def test_an_event_of_another_revision_does_not(case_of: CaseOf, change: object) -> None:
    case = case_of(change, ALL_RULES).see(created(MINE), replaced(1010, 12, 400), amended(7, 7, 400))
    assert case.fate == "unknown"


@both
def test_the_event_of_another_kind_of_change_does_not(case_of: CaseOf) -> None:
    assert case_of(REPLACE, ALL_RULES).see(amended(12, 12, 500)).fate == "unknown"
    assert case_of(AMEND, ALL_RULES).see(replaced(1000, 7, 500)).fate == "unknown"


@both
def test_a_row_with_the_new_terms_shows_a_change(case_of: CaseOf) -> None:
    assert case_of(REPLACE).see(row(MINE, price=1010, quantity=12, updated_ns=600)).fate == "done"
    assert case_of(AMEND).see(row(MINE, quantity=7, updated_ns=600)).fate == "done"


@both
def test_a_row_with_some_of_the_new_terms_does_not(case_of: CaseOf) -> None:
    for changes in ({"price": 1010}, {"quantity": 12}, {"price": 1010, "quantity": 12, "trigger_above_price": 5}):
        seen = row(MINE, updated_ns=600, **changes)  # type: ignore[arg-type] # fields of a row
        assert case_of(REPLACE, ALL_RULES).see(seen).fate == "unknown", changes


def test_a_trigger_that_the_row_of_an_ended_order_does_not_show_denies_nothing() -> None:
    change = attrs.evolve(REPLACE, new_trigger=TriggerAbove(1300))
    for price, quantity, fate in ((1010, 12, "unknown"), (1000, 10, NEVER)):
        case = Case(change, CURRENT)
        case.send(order(trigger=True))
        case.send(change)
        ended = row(order(trigger=True), "Cancelled", price=price, quantity=quantity, updated_ns=600)
        assert case.see(ended).fate == fate


def test_a_replaced_trigger_is_one_of_the_terms() -> None:
    waits = order(trigger=True)
    change = attrs.evolve(REPLACE, new_trigger=TriggerAbove(1300))
    for above, touched, fate in ((1300, None, "done"), (1200, None, "unknown"), (None, True, "done")):
        case = Case(change)
        case.send(waits)
        status = "Pending" if touched is None else "Open"
        seen = row(waits, status, price=1010, quantity=12, trigger_above_price=above, trigger_touched=touched)
        assert case.see(seen).fate == fate, (above, touched)


def test_a_change_to_the_terms_that_the_order_had_cannot_be_seen_in_a_row() -> None:
    same = replacement(1000, 10, made_ns=500)
    assert of_mine(same, CURRENT).see(row(MINE, updated_ns=600)).fate == "unknown"
    assert of_mine(amendment(10, made_ns=500), CURRENT).see(row(MINE, updated_ns=600)).fate == "unknown"
    assert of_mine(same).see(replaced(1000, 10, 500)).fate == "done"


def test_a_change_to_terms_of_an_earlier_change_cannot_be_seen_in_a_row() -> None:
    case = of_mine(REPLACE)
    case.send(replacement(1010, 12, made_ns=300))
    assert case.see(row(MINE, price=1010, quantity=12, updated_ns=600)).fate == "unknown"


def test_a_later_change_of_this_client_may_hide_the_one_in_doubt() -> None:
    later = replacement(1010, 12, made_ns=600)
    for seen in (row(MINE, price=1010, quantity=12, updated_ns=700), row(MINE, updated_ns=700)):
        case = of_mine(REPLACE, ALL_RULES)
        case.send(later)
        assert case.list(seen).fate == "unknown"


def test_an_event_of_a_later_change_may_hide_the_one_in_doubt() -> None:
    for event in (replaced(1020, 9, 600), amended(6, 6, 600)):
        case = of_mine(REPLACE, ALL_RULES).see(event)
        assert case.list(row(MINE, price=1020, quantity=9, updated_ns=700)).fate == "unknown"


@both
@pytest.mark.parametrize("change", CHANGES)
def test_an_acknowledged_change_is_not_done(case_of: CaseOf, change: object) -> None:
    case = case_of(change, ALL_RULES).see(RequestFact(change, "accepted"))  # type: ignore[arg-type] # a change
    assert case.fate == "unknown"


# A failure event.


FAILURES = pytest.mark.parametrize(
    ("change", "event"),
    [(REPLACE, OrderReplaceFailedEvent(ORDER_ID, KEY, "NO")), (AMEND, OrderAmendFailedEvent(ORDER_ID, KEY, "NO"))],
)


@both
@FAILURES
def test_a_failure_may_be_of_another_change_or_of_a_copy(
    case_of: CaseOf, change: object, event: OrderReplaceFailedEvent
) -> None:
    assert case_of(change, ALL_RULES).see(event).fate == "unknown"


# The end of the order.


@pytest.mark.parametrize("change", CHANGES)
def test_an_order_that_ended_with_its_old_terms_was_not_changed(change: object) -> None:
    ended = row(MINE, "Cancelled", updated_ns=900)
    assert of_mine(change).see(created(MINE), removed(), ended).fate == NEVER


@pytest.mark.parametrize("change", CHANGES)
def test_another_programs_order_may_have_been_changed_and_changed_again(change: object) -> None:
    case = of_foreign(change, ALL_RULES).see(created(MINE), removed(), row(MINE, "Cancelled", updated_ns=900))
    assert case.fate == "unknown"
    assert case.order.is_settled, "there is nothing left to change"
    assert of_foreign(change, ALL_RULES).list(row(MINE)).fate == "unknown"


@both
@pytest.mark.parametrize("change", CHANGES)
def test_the_end_alone_does_not_say_with_which_terms(case_of: CaseOf, change: object) -> None:
    case = case_of(change).see(created(MINE), removed())
    assert case.fate == "unknown"
    assert case.order.is_gone
    assert not case.order.is_closed


def test_an_order_that_ended_with_the_new_terms_was_changed() -> None:
    ended = row(MINE, "Completed", price=1010, quantity=12, confirmed=12, updated_ns=900)
    assert of_mine(REPLACE).see(removed("Completed", 12), ended).fate == "done"


def test_nothing_more_can_be_found_out_of_an_order_that_ended_after_a_later_change() -> None:
    case = of_mine(REPLACE)
    case.send(replacement(1020, 9, made_ns=600))
    case.see(removed(), row(MINE, "Cancelled", price=1020, quantity=9, updated_ns=900))
    assert case.fate == "unknown"
    assert case.order.is_closed
    assert case.order.is_settled
    assert "the order has ended since" in str(case.order.error())


@pytest.mark.parametrize("change", CHANGES)
def test_an_order_that_never_existed_was_not_changed(change: object) -> None:
    assert of_mine(change).see(RequestFact(MINE, "refused")).fate == NEVER


# A fence.


@pytest.mark.parametrize("change", CHANGES)
def test_a_listing_after_a_fence_with_the_old_terms_shows_that_nothing_was_changed(change: object) -> None:
    assert of_mine(change, CURRENT).list(row(MINE)).fate == NEVER
    assert of_mine(change, CURRENT).list().fate == NEVER


@pytest.mark.parametrize(
    ("change", "shown"), [(REPLACE, order(10100, 12)), (REPLACE, order(101, 120)), (AMEND, order(1000, 70))]
)
def test_a_row_in_other_units_does_not_show_that_nothing_was_changed(change: object, shown: Order) -> None:
    """The decimals of the market may have changed since the change was made."""
    assert of_mine(change, CURRENT).list(row(shown)).fate == "unknown"


@pytest.mark.parametrize("change", CHANGES)
def test_a_refused_change_that_a_current_listing_does_not_show_was_refused(change: object) -> None:
    for rows in ([row(MINE)], [], [row(MINE, price=1010, quantity=8)]):
        case = of_mine(change, CURRENT).list(*rows)
        case.order.fence, case.order.refusal = None, NOT_FOUND
        assert case.fate == GONE
    shown = {"price": 1010, "quantity": 12} if change is REPLACE else {"quantity": 7}
    copied = of_mine(change, CURRENT).list(row(MINE, **shown))  # type: ignore[arg-type] # fields of a row
    copied.order.refusal = NOT_FOUND
    assert copied.fate == "done", "a copy was carried out"
    foreign = of_foreign(change, CURRENT).list(row(MINE))
    foreign.order.refusal = NOT_FOUND
    assert foreign.fate == "unknown"


@pytest.mark.parametrize("change", CHANGES)
def test_each_part_of_the_proof_by_a_fence_is_needed(change: object) -> None:
    rules = attrs.evolve(ALL_RULES, listings_current=False)
    assert of_mine(change, rules).list(row(MINE)).fate == "unknown", "the listing may be old"
    assert of_mine(change, CURRENT).list(is_complete=False).fate == "unknown", "it may be on another page"
    case = of_mine(change, CURRENT).list(row(MINE))
    case.order.fence = None
    assert case.fate == "unknown", "it may come later"
    case = of_mine(change, CURRENT).list(row(MINE))
    case.order.listing = None
    assert case.fate == "unknown"

"""What was seen of an order states what became of its create request, or leaves it unknown."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest

from tests.helpers.order_messages import (
    ASSET,
    amended,
    burn,
    canceled,
    create_failed,
    created,
    order,
    removed,
    replaced,
    row,
    trade,
    triggered,
)
from tests.helpers.unsettled_orders import ALL_RULES, DUPLICATE, Case
from tplus_trio import AssetIdentifier
from tplus_trio.models import Order, Side
from tplus_trio.orders.evidence import NEVER_TOOK_EFFECT, OrderEvidence
from tplus_trio.orders.listings import Listing
from tplus_trio.orders.order_facts import RequestFact
from tplus_trio.orders.service_rules import ServiceRules

NEVER = f"rejected: {NEVER_TOOK_EFFECT}"
MINE = order()
#: An order of another program under the same id.
FOREIGN = order(2000, 3, Side.SELL, made_ns=10)
REMEMBERED = ServiceRules(order_ids_remembered=True)
CURRENT = ServiceRules(listings_current=True)


# Presence.


@pytest.mark.parametrize(
    "seen",
    [
        created(MINE),
        row(MINE),
        row(MINE, "Cancelled"),
        row(MINE, "Partial", pending=3),
        removed("Canceled"),
        removed("Completed", 10),
        removed("Expired"),
        canceled(),
        replaced(1001, 10, 500),
        amended(9, 9, 500),
        triggered(),
        trade(1, 5),
    ],
    ids=lambda seen: type(seen).__name__,
)
def test_whatever_shows_the_order_proves_that_it_was_created(seen: object) -> None:
    assert Case(MINE).fate == "unknown"
    assert Case(MINE).see(seen).fate == "done"  # type: ignore[arg-type] # each is an item of a user's feeds


@pytest.mark.parametrize(
    "seen",
    [created(FOREIGN), row(FOREIGN), row(order(side=Side.SELL)), row(order(1000, 11)), trade(1, 5, is_buyer=False)],
)
def test_an_order_with_other_terms_under_the_id_proves_nothing(seen: object) -> None:
    case = Case(MINE, attrs.evolve(ALL_RULES, order_ids_remembered=False))
    case.see(seen)  # type: ignore[arg-type]  # each is an item of a user's feeds
    assert case.fate == "unknown"


def test_an_order_of_another_market_under_the_id_proves_nothing() -> None:
    other = attrs.evolve(MINE, base_asset=AssetIdentifier(201))
    assert other.base_asset != ASSET
    case = Case(MINE, ALL_RULES)
    case.see(created(other), row(other))
    assert case.fate == "unknown"


def test_an_acknowledgement_proves_nothing() -> None:
    assert Case(MINE, ALL_RULES).see(RequestFact(MINE, "accepted")).fate == "unknown"


def test_an_order_is_gone_once_it_has_ended() -> None:
    case = Case(MINE).see(created(MINE))
    assert (case.fate, case.order.is_gone) == ("done", False)
    case.see(removed())
    assert (case.fate, case.order.is_gone) == ("done", True)


def test_an_order_whose_ends_contradict_each_other_may_not_be_gone() -> None:
    case = Case(MINE).see(created(MINE), removed("Completed", 10, at_ns=900), removed("Canceled", at_ns=901))
    assert (case.fate, case.order.is_gone) == ("done", False)


@pytest.mark.parametrize("rules", [CURRENT, REMEMBERED])
@pytest.mark.parametrize("listed", ["nothing", "the order, done", "the order, open", "nothing yet"])
def test_an_order_that_no_cancel_finds_is_gone_if_a_current_listing_says_so(listed: str, rules: ServiceRules) -> None:
    # The listing alone: in the tracker, the row may be of another order of the id.
    rows = {"the order, done": [row(MINE, "Closed")], "the order, open": [row(MINE)]}.get(listed, [])
    case = Case(MINE, rules).see(created(MINE))
    case.order.listing = Listing({one.order_id: one for one in rows}, is_complete=listed != "nothing yet")
    assert (case.fate, case.order.is_gone) == ("done", False), "the service may have it"
    case.order.is_missing = True
    assert case.fate == "done"
    assert case.order.is_gone is (rules is CURRENT and listed in {"nothing", "the order, done"})


def test_a_fate_that_was_stated_stays() -> None:
    case = Case(MINE, CURRENT).list()
    assert case.fate == NEVER
    assert case.see(created(MINE)).fate == NEVER


# An order that this client sent before under the same id.


def reused(rules: ServiceRules = ALL_RULES) -> Case:
    """A client that sent an order earlier under the id, with the same terms."""
    case = Case(MINE, rules)
    case.send(order(made_ns=20))
    return case


def test_an_earlier_order_with_the_same_terms_is_not_this_one() -> None:
    earlier = order(made_ns=20)
    for seen in (created(earlier, 30), row(MINE, began_ns=30), removed(at_ns=40), trade(1, 5, at_ns=40)):
        assert reused(CURRENT).see(seen).fate == "unknown", seen
    assert reused().see(created(earlier, 30), created(MINE, 100)).fate == "done"


def test_a_row_with_the_terms_of_an_earlier_order_leaves_it_unknown_also_after_a_fence() -> None:
    case = reused(CURRENT)
    case.list(row(MINE, began_ns=30))
    assert case.fate == "unknown"


# The id was used up.


def burnt(mine: Order | None = None, rules: ServiceRules = REMEMBERED) -> Case:
    case = Case(mine or MINE, rules)
    case.burn(burn())
    return case


def test_a_burn_that_was_created_shows_that_the_order_never_will_be() -> None:
    assert burnt().see(created(burn())).fate == NEVER
    assert burnt().see(row(burn(), "Cancelled")).fate == NEVER


def test_any_of_several_burns_is_enough() -> None:
    case = burnt()
    case.burn(burn(made_ns=61))
    assert case.see(created(burn(made_ns=61))).fate == NEVER


def test_a_burn_that_was_sent_or_accepted_or_refused_shows_nothing() -> None:
    assert burnt().fate == "unknown"
    for outcome in ("accepted", "refused", "no effect"):
        assert burnt().see(RequestFact(burn(), outcome)).fate == "unknown", outcome


def test_an_end_that_names_the_id_alone_is_the_orders_after_a_burn() -> None:
    """A burn that was carried out ends too, but its own event comes first; either may have the id by now."""
    case = burnt().see(removed("Canceled"))
    assert case.fate == "unknown"
    assert case.see(created(burn())).fate == NEVER
    assert burnt().see(removed("Canceled"), created(MINE)).fate == "done"


def test_a_failure_after_a_burn_may_be_the_burns() -> None:
    assert burnt().see(create_failed("POST_ONLY_WOULD_CROSS")).fate == "unknown"


def test_a_trade_after_a_burn_is_of_an_order_that_can_trade() -> None:
    sells = burnt(order(side=Side.SELL))
    assert sells.see(trade(1, 5, is_buyer=False)).fate == "done"


def test_a_row_of_a_burn_that_equals_the_order_shows_nothing() -> None:
    mine = burn(made_ns=50)
    case = Case(mine, REMEMBERED)
    case.burn(burn(made_ns=60))
    assert case.see(row(burn(), "Cancelled")).fate == "unknown"
    assert case.see(created(burn(made_ns=60))).fate == NEVER
    resting = Case(order(1, 1), REMEMBERED)
    resting.burn(burn())
    assert resting.see(row(burn(), "Cancelled", is_immediate_or_cancel=None)).fate == "unknown"


def test_the_order_itself_is_still_seen_after_a_burn() -> None:
    assert burnt().see(created(MINE)).fate == "done"
    assert burnt().see(row(MINE)).fate == "done"


def test_an_order_of_another_program_is_no_burn() -> None:
    assert burnt().see(row(order(1, 1, made_ns=10))).fate == "unknown", "good until cancelled"
    assert Case(MINE, REMEMBERED).see(row(order(1, 1, made_ns=10))).fate == "unknown", "this client sent no burn"


def test_rows_in_new_units_show_an_order_that_nothing_else_explains() -> None:
    case = burnt()
    changed = row(MINE, price=10_000, quantity=100)
    assert case.see(changed).fate == "unknown"
    case.order.has_new_units = True
    assert case.fate == "done"
    burnt_one = burnt().see(row(burn(), "Cancelled"))
    burnt_one.order.has_new_units = True
    assert burnt_one.fate == NEVER


# The id was refused.


def refused(rules: ServiceRules = REMEMBERED) -> Case:
    case = Case(MINE, rules)
    case.order.refusal = DUPLICATE
    return case


@pytest.mark.parametrize("seen", [created(FOREIGN), row(FOREIGN), row(FOREIGN, "Cancelled")])
def test_a_refused_id_that_another_order_has_is_a_refusal_where_ids_are_remembered(seen: object) -> None:
    assert refused().see(seen).fate == "rejected: DUPLICATE_ORDER"  # type: ignore[arg-type]  # as above
    rules = attrs.evolve(ALL_RULES, order_ids_remembered=False)
    assert refused(rules).see(seen).fate == "unknown"  # type: ignore[arg-type] # as above


def test_a_refused_id_alone_says_nothing() -> None:
    assert refused().fate == "unknown"


def test_the_order_that_has_a_refused_id_may_be_one_in_another_market() -> None:
    other = attrs.evolve(MINE, base_asset=AssetIdentifier(201))
    case = refused()
    evidence = OrderEvidence(ALL_RULES, case.tracker)
    assert evidence.other_markets(case.order) == frozenset()
    case.send(other)
    case.see(RequestFact(other, "accepted"))
    assert case.fate == "unknown", "an acknowledgement is no proof"
    assert evidence.other_markets(case.order) == {other.base_asset}
    assert case.see(row(other, "Cancelled")).fate == "rejected: DUPLICATE_ORDER"
    assert evidence.other_markets(case.order) == frozenset(), "it was seen"


def test_a_refused_id_may_be_the_orders_own() -> None:
    assert refused().see(created(MINE)).fate == "done"
    assert refused().see(row(MINE)).fate == "done"


@pytest.mark.parametrize("seen", [removed(), canceled(), amended(9, 9, 500), trade(1, 5)])
def test_what_names_a_refused_id_alone_may_be_of_the_order_that_has_it(seen: object) -> None:
    """The end of an order that another program created earlier is no proof of this one."""
    case = refused().see(seen)  # type: ignore[arg-type] # as above
    assert case.fate == "unknown"
    assert case.see(row(MINE)).fate == "done"


def test_an_accepted_order_of_this_client_may_not_have_the_id() -> None:
    """An answer is not the book's: only what was seen shows that an order had the id."""
    case = refused()
    case.send(order(made_ns=20))
    assert case.see(RequestFact(order(made_ns=20), "accepted")).fate == "unknown"


def test_where_ids_are_remembered_only_one_order_can_have_had_the_id() -> None:
    assert Case(MINE, REMEMBERED).see(created(FOREIGN)).fate == NEVER
    assert Case(MINE, CURRENT).see(created(FOREIGN)).fate == "unknown"
    case = burnt().see(created(FOREIGN))
    assert case.fate == NEVER, "neither the order nor the one to use up the id"
    earlier = Case(MINE, REMEMBERED)
    earlier.send(order(2000, 3, Side.SELL, made_ns=20))
    assert earlier.see(created(order(2000, 3, Side.SELL, made_ns=20), 30)).fate == NEVER


def test_after_a_burn_the_other_order_of_a_refused_id_may_be_the_burn() -> None:
    case = refused()
    case.burn(burn())
    assert case.see(row(burn(), "Cancelled", is_immediate_or_cancel=None)).fate == "unknown"


# Failures that the order feed reports.


@pytest.mark.parametrize("reason", ["POST_ONLY_WOULD_CROSS", "DUPLICATE_ORDER", "ORDER_NOT_FOUND"])
def test_a_failure_may_be_of_a_copy_of_the_request(reason: str) -> None:
    """A proxy may have sent the request twice: the book fails one copy and takes the other."""
    case = Case(MINE, ALL_RULES).see(create_failed(reason))
    assert case.fate == "unknown"
    assert case.see(created(MINE)).fate == "done"


# A listing after a fence.


def test_a_complete_listing_without_the_order_after_a_fence_shows_that_it_does_not_exist() -> None:
    assert Case(MINE, CURRENT).list().fate == NEVER
    assert between("before", "marker").fate == NEVER


def between(*listed: str) -> Case:
    """A listing after a marker, from a service of which it is not known that its listings are current."""
    case = Case(MINE)
    case.order.seen_before = "before" if "before" in listed or "no older order" not in listed else None
    return case.list(*[row(attrs.evolve(burn(), order_id=name)) for name in listed], marker="marker")


def test_a_listing_that_may_be_cut_before_the_order_shows_nothing() -> None:
    assert between("marker").fate == "unknown"
    assert between("before").fate == "unknown"
    assert between("marker", "no older order").fate == "unknown"


def no_fence(case: Case) -> None:
    case.order.fence = None


def no_listing(case: Case) -> None:
    case.order.listing = None


def not_complete(case: Case) -> None:
    assert case.order.listing is not None
    case.order.listing = attrs.evolve(case.order.listing, is_complete=False)


@pytest.mark.parametrize("lacking", [no_fence, no_listing, not_complete])
def test_each_part_of_that_proof_is_needed(lacking: Callable[[Case], None]) -> None:
    case = Case(MINE, CURRENT).list()
    lacking(case)
    assert case.fate == "unknown"


def test_a_listing_that_may_be_old_shows_nothing_without_the_marker() -> None:
    assert Case(MINE).list().fate == "unknown"
    assert Case(MINE).list(marker="marker").fate == "unknown"
    assert Case(MINE).list(row(attrs.evolve(burn(), order_id="another")), marker="marker").fate == "unknown"


def test_a_listing_with_another_order_under_the_id_is_no_listing_without_it() -> None:
    assert Case(MINE, CURRENT).list(row(FOREIGN)).fate == "unknown"


def test_a_listing_that_contradicts_what_was_seen_is_old() -> None:
    assert Case(MINE, CURRENT).see(created(MINE)).list().fate == "done"

"""Another order under the same id: it is kept apart, and what names only the id is attributed by time or not at all."""

from __future__ import annotations

import pytest

from tests.helpers import order_messages as say
from tests.helpers.order_messages import base
from tplus_trio.models import Side
from tplus_trio.orders.order_facts import Fact, RequestFact
from tplus_trio.orders.order_state import OrderState
from tplus_trio.orders.tracked_order import TrackedOrder

SENT = say.order()
BURN = say.burn()
BURN_SENT = RequestFact(BURN, "sent")


def seen(*messages: Fact) -> TrackedOrder:
    tracked = TrackedOrder(SENT.signer, SENT)
    for message in messages:
        tracked.add(message)
    backwards = TrackedOrder(SENT.signer, SENT)
    for message in reversed(messages):
        backwards.add(message)
    assert backwards.view == tracked.view
    return tracked


@pytest.mark.parametrize("proof", [say.created(BURN, 300), say.row(BURN, began_ns=300, updated_ns=300)])
def test_another_order_proves_nothing_of_this_one(proof: Fact) -> None:
    tracked = seen(BURN_SENT, proof)
    assert (tracked.state, tracked.was_seen, tracked.others) == (OrderState.SENT, False, (proof,))


@pytest.mark.parametrize(
    "other",
    [
        say.order(made_ns=51),
        say.order(side=Side.SELL),
        say.order(trigger=True),
        say.order(990),
        say.order(quantity=11),
    ],
)
def test_orders_that_differ_are_others(other: object) -> None:
    assert isinstance(other, type(SENT))
    event = say.created(other)
    assert seen(event).others == (event,)


def test_terms_that_a_change_explains_are_the_orders_own() -> None:
    assert seen(say.created(say.order(990)), RequestFact(say.replacement(990, 10, 70), "sent")).others == ()
    row = say.row(SENT, price=990, quantity=8)
    assert seen(row).view.unexplained_rows == (row,)
    assert (seen(row).was_seen, seen(row).ambiguous) == (False, True)
    for reason in (say.replaced(990, 8, 110, 111), RequestFact(say.replacement(990, 8, 110), "sent")):
        assert seen(row, reason).view.unexplained_rows == ()
        assert seen(row, reason).was_seen
    assert seen(row, say.created(SENT)).view.unexplained_rows == ()


def test_an_end_that_names_only_the_id_is_not_taken_for_this_orders_if_a_burn_was_sent() -> None:
    removed = say.removed(at_ns=305)
    tracked = seen(BURN_SENT, removed)
    assert (tracked.state, tracked.was_seen, tracked.ambiguous) == (OrderState.SENT, False, True)
    burnt = seen(BURN_SENT, say.created(BURN, 300), removed)
    assert (burnt.state, burnt.ambiguous) == (OrderState.SENT, True)
    proved = seen(BURN_SENT, say.created(BURN, 300), removed, RequestFact(SENT, "no effect"))
    assert (proved.state, proved.ambiguities) == (OrderState.REJECTED, ())


def test_a_failure_is_not_this_orders_if_a_burn_was_sent() -> None:
    tracked = seen(BURN_SENT, say.create_failed())
    assert (tracked.state, tracked.ambiguous) == (OrderState.SENT, True)


def test_times_decide_to_which_order_an_end_belongs() -> None:
    mine, other = say.created(SENT, 100), say.created(BURN, 300)
    before = seen(mine, other, say.removed("Canceled", at_ns=250), say.removed("Expired", at_ns=305))
    assert (before.state, before.ambiguities) == (OrderState.CANCELED, ())
    late = seen(say.created(BURN, 90), mine, say.removed("Expired", at_ns=95))
    assert (late.state, late.ambiguities) == (OrderState.OPEN, ())
    assert seen(other, say.removed("Canceled", at_ns=250)).state is OrderState.CANCELED
    assert seen(say.created(BURN, 100), mine, say.removed("Canceled", at_ns=250)).ambiguous


def test_a_later_order_under_the_id_proves_the_end_of_this_one() -> None:
    tracked = seen(say.created(SENT, 100), say.created(BURN, 300))
    assert (tracked.state, tracked.is_done) == (OrderState.ENDED, True)
    listed = seen(say.created(SENT, 100), say.row(BURN, began_ns=300))
    assert (listed.state, listed.ambiguous) == (OrderState.OPEN, True)


def test_trades_are_attributed_by_side_and_time() -> None:
    mine, other = say.created(SENT, 100), say.created(BURN, 300)
    tracked = seen(mine, other, say.trade(1, 3, at_ns=200), say.trade(2, 1, at_ns=300), say.removed("Canceled", 3, 250))
    assert (tracked.filled_quantity, [trade.trade_id for trade in tracked.trades]) == (base(3), [1])
    assert seen(mine, say.trade(1, 3, is_buyer=False)).filled_quantity == 0
    sell = say.order(side=Side.SELL)
    selling = TrackedOrder(sell.signer, sell)
    for message in (BURN_SENT, say.trade(1, 3, is_buyer=False), say.trade(2, 1, is_buyer=True)):
        selling.add(message)
    assert (selling.was_seen, selling.filled_quantity) == (True, base(3))


def test_the_revision_of_a_change_that_was_sent_proves_the_order() -> None:
    request = RequestFact(say.replacement(990, 8, 110), "sent")
    assert seen(BURN_SENT, request, say.replaced(990, 8, 110)).was_seen
    assert not seen(BURN_SENT, request, say.replaced(990, 8, 115)).was_seen


def test_an_order_that_was_made_twice_is_ambiguous() -> None:
    assert seen(say.created(SENT, 100), say.created(SENT, 200)).ambiguous
    assert seen(say.row(SENT, began_ns=100), say.row(SENT, began_ns=200)).ambiguous


def test_a_trade_of_the_other_side_is_not_the_orders() -> None:
    tracked = seen(BURN_SENT, say.created(SENT), say.trade(1, 3, is_buyer=False))
    assert (tracked.filled_quantity, tracked.trades) == (base(0), ())


def test_a_row_of_the_order_stays_its_own_whatever_comes_later() -> None:
    row = say.row(SENT, "Cancelled", quantity=3)
    tracked = seen(row, say.amended(3, 3, 110, 111), say.amended(2, 2, 110, 112))
    assert (tracked.state, tracked.view.unexplained_rows) == (OrderState.CANCELED, ())
    changed = seen(say.row(SENT), say.row(SENT, "Cancelled", price=980, updated_ns=150))
    assert (changed.state, changed.view.unexplained_rows) == (OrderState.CANCELED, ())

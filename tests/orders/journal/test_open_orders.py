"""Which orders in a journal may still rest, as its records say."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.journal_records import order_named, random_records, replacement_of
from tplus_trio.orders.journal.lines import ChangeSent, OrderGone, OrderSent, Record
from tplus_trio.orders.journal.open_orders import OpenOrders

ORDER = order_named("a")


def after(*records: Record) -> OpenOrders:
    orders = OpenOrders()
    for record in records:
        orders.add(record)
    return orders


@given(st.randoms(use_true_random=False), st.integers(0, 40))
def test_they_are_those_that_a_simple_model_has(random: Random, length: int) -> None:
    records, left = random_records(random, length)
    orders = after(*records)
    assert {one.entry: (one.order, one.key, list(one.changes)) for one in orders} == left
    # Fewer records say the same.
    again = after(*orders.records())
    assert {one.entry: (one.order, one.key, list(one.changes)) for one in again} == left


def test_the_newest_changes_of_an_order_are_kept() -> None:
    changes = [replacement_of(ORDER, number) for number in range(300)]
    orders = after(OrderSent(1, ORDER), *(ChangeSent(1, change) for change in changes))
    (order,) = orders
    assert list(order.changes) == changes[-256:]


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (OrderSent(1, ORDER), "entry 1 comes after entry 1"),
        (OrderSent(2, ORDER, None, 7), "entry 7, which is no order that may rest"),
        (OrderGone(2), "entry 2, which is no order that may rest"),
        (ChangeSent(3, replacement_of(ORDER)), "entry 3, which is no order that may rest"),
        (ChangeSent(1, replacement_of(order_named("b"))), "it changes order 'b', and entry 1 is another one"),
    ],
)
def test_a_record_that_does_not_fit_is_refused_and_changes_nothing(record: Record, why: str) -> None:
    orders = after(OrderSent(1, ORDER))
    with pytest.raises(ValueError, match=why):
        orders.add(record)
    assert [(one.entry, list(one.changes)) for one in orders] == [(1, [])]
    assert orders.next_entry == 2

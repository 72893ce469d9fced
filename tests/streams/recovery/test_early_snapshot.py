"""What the held changes prove about a snapshot that was requested before the subscription."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pytest

from tplus_trio import OrderBook, OrderBookDiff, PriceLevel
from tplus_trio.streams.recovery.early_snapshot import Proof, examine_early


def diff(number: int, quantity: int = 1) -> OrderBookDiff:
    return OrderBookDiff([PriceLevel(Decimal(100), Decimal(quantity))], (), number)


@pytest.mark.parametrize(
    ("number", "held", "proof"),
    [
        (10, (), Proof.OPEN),
        (10, (12,), Proof.USELESS),
        (10, (11,), Proof.USABLE),
        (10, (8, 9), Proof.OPEN),
        (10, (9, 10), Proof.USABLE),
    ],
)
def test_an_early_snapshot_needs_changes_from_its_number_on(number: int, held: Sequence[int], proof: Proof) -> None:
    snapshot = OrderBook(bids=[PriceLevel(Decimal(100), Decimal(1))], sequence_number=number)
    assert examine_early(snapshot, [diff(each) for each in held]) is proof


def test_an_early_snapshot_of_another_book_is_useless() -> None:
    snapshot = OrderBook(bids=[PriceLevel(Decimal(100), Decimal(1))], sequence_number=10)
    assert examine_early(snapshot, [diff(10, quantity=2)]) is Proof.USELESS
    assert examine_early(snapshot, [diff(10), diff(11, quantity=2)]) is Proof.USABLE
    asks = [PriceLevel(Decimal(101), Decimal(1))]
    change = OrderBookDiff((), asks, 10)
    assert examine_early(snapshot, [change]) is Proof.USELESS
    assert examine_early(OrderBook(asks=asks, sequence_number=10), [change]) is Proof.USABLE

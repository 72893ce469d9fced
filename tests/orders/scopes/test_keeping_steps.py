"""The next step for the order of a key: what is known decides, and neither a second order nor more than asked rests."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import attrs
import pytest

from tplus_trio import Side, TradeTarget
from tplus_trio.orders.scopes.keeping import (
    Cancel,
    Create,
    Known,
    Leave,
    Quote,
    Replace,
    Step,
    Wait,
    next_step,
    total_of,
)

D = Decimal
QUOTE = Quote(Side.BUY, D(100), D(5), post_only=True, reduce_only=False, target=None)
MOVED = attrs.evolve(QUOTE, price=D(101))
NOTHING = attrs.evolve(QUOTE, quantity=D(0))


def known(**changes: Any) -> Known:
    """An order that rests at the quote."""
    values: dict[str, Any] = {
        "quote": QUOTE,
        "created": QUOTE,
        "total": D(5),
        "filled": D(0),
        "is_gone": False,
        "are_fills_known": False,
        "is_in_doubt": False,
        "is_ambiguous": False,
        "is_missing": False,
        "is_taken_back": False,
    }
    return Known(**{**values, **changes})


def step(order: Known | None, wanted: Quote, *, refill: bool = False) -> Step:
    return next_step(order, wanted, total_of(order, wanted, refill=refill))


def gone(**changes: Any) -> Known:
    return known(is_gone=True, are_fills_known=True, **changes)


@pytest.mark.parametrize(
    ("order", "wanted", "expected"),
    [
        (None, QUOTE, Create(D(5))),
        (None, NOTHING, Leave()),
        (known(), QUOTE, Leave()),
        (known(filled=D(2)), QUOTE, Leave()),
        (known(filled=D(5)), QUOTE, Leave()),
        (known(), MOVED, Replace(D(5))),
        (known(filled=D(2)), MOVED, Replace(D(7))),
        (known(), attrs.evolve(QUOTE, quantity=D(3)), Replace(D(3))),
        (known(filled=D(2)), attrs.evolve(QUOTE, quantity=D(3)), Leave()),
        (known(), NOTHING, Cancel()),
        (known(), attrs.evolve(QUOTE, side=Side.SELL), Cancel()),
        (known(), attrs.evolve(QUOTE, post_only=False), Cancel()),
        (known(), attrs.evolve(QUOTE, reduce_only=True), Cancel()),
        (known(), attrs.evolve(QUOTE, target=TradeTarget(2, is_spot=True)), Cancel()),
        (known(quote=None), QUOTE, Replace(D(5))),
        (known(is_ambiguous=True), MOVED, Cancel()),
        (known(is_missing=True), MOVED, Cancel()),
        (known(is_in_doubt=True), MOVED, Wait()),
        (known(is_in_doubt=True), NOTHING, Wait()),
        (gone(is_in_doubt=True), QUOTE, Wait()),
        (known(is_in_doubt=True, is_doubt_lasting=True), QUOTE, Cancel()),
        (known(is_in_doubt=True, is_doubt_lasting=True), NOTHING, Cancel()),
        (known(is_in_doubt=True, is_doubt_lasting=True, is_taken_back=True), QUOTE, Wait()),
        (gone(is_in_doubt=True, is_doubt_lasting=True), QUOTE, Wait()),
        (known(is_taken_back=True), QUOTE, Wait()),
        (known(is_gone=True), QUOTE, Wait(look=True)),
        (known(is_gone=True), NOTHING, Leave()),
        (gone(), QUOTE, Create(D(5))),
        (gone(filled=D(2)), QUOTE, Create(D(3))),
        (gone(filled=D(5)), QUOTE, Leave()),
        (gone(filled=D(5)), MOVED, Create(D(5))),
    ],
)
def test_what_is_known_decides_the_step(order: Known | None, wanted: Quote, expected: Step) -> None:
    assert step(order, wanted) == expected


def test_what_traded_is_topped_up_on_request_only() -> None:
    assert step(known(filled=D(2)), QUOTE, refill=True) == Replace(D(7))
    assert step(known(filled=D(2), total=D(7)), QUOTE, refill=True) == Leave()
    assert step(gone(filled=D(5)), QUOTE, refill=True) == Create(D(5))


def test_a_trade_that_is_seen_while_the_order_is_cancelled_leaves_less() -> None:
    other = attrs.evolve(QUOTE, side=Side.SELL)
    total = total_of(known(filled=D(1)), other, refill=False)
    assert next_step(gone(filled=D(3)), other, total) == Create(D(3))
    assert next_step(gone(filled=D(6)), other, total) == Leave()

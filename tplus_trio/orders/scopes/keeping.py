"""What to do so that one order of a key rests at wanted terms: the next step, from what is known now. Pure.

Two rules keep more from trading than was asked. A total counts the fills that are known, so that a fill that is not yet
seen leaves less resting. And a new order is created only when the order before it is proved gone and what that one
traded is known.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final, TypeAlias

import attrs

from tplus_trio.models import Side, TradeTarget
from tplus_trio.models.numbers import EXACT

__all__ = ["Cancel", "Create", "Known", "Leave", "Quote", "Replace", "Step", "Wait", "next_step", "total_of"]

_NOTHING: Final = Decimal(0)


@attrs.frozen
class Quote:
    """The terms at which an order of a key shall rest."""

    side: Side
    #: In quote units.
    price: Decimal
    #: What shall rest, in base units; 0 is nothing.
    quantity: Decimal
    post_only: bool
    reduce_only: bool
    target: TradeTarget | None

    def can_become(self, other: Quote) -> bool:
        """Return whether a replacement can give an order of this quote the terms of another one."""
        return attrs.evolve(self, price=other.price, quantity=other.quantity) == other


# Eleven attributes: each is one thing that decides the step.
@attrs.frozen(kw_only=True)
class Known:
    """What is known of the order of a key."""

    #: The terms that it was given last; None if that is not known: a change was refused, or is in doubt.
    quote: Quote | None
    #: The terms with which it was created.
    created: Quote
    #: Its total over its life, as it was given last, in base units.
    total: Decimal
    #: What it traded, as far as that is known: pending trades and confirmed ones.
    filled: Decimal
    #: Whether it is proved to rest no longer.
    is_gone: bool
    #: Whether what it traded is known for good, once it is gone.
    are_fills_known: bool
    #: Whether it is not known what became of a request about it.
    is_in_doubt: bool
    #: Whether what was seen of it does not decide how it is.
    is_ambiguous: bool
    #: Whether the service said that it has no such open order.
    is_missing: bool
    #: Whether it is being canceled.
    is_taken_back: bool
    #: Whether the doubt lasts: a change that was lost may take effect at any time, until the order has ended.
    is_doubt_lasting: bool = False


@attrs.frozen
class Leave:
    """Nothing is to be done."""


@attrs.frozen
class Wait:
    """Only something new can help."""

    #: Whether a listing may bring it.
    look: bool = False


@attrs.frozen
class Create:
    """Create an order of this quantity."""

    quantity: Decimal


@attrs.frozen
class Replace:
    """Give the order the wanted price, and this total over its life."""

    total: Decimal


@attrs.frozen
class Cancel:
    """Cancel the order, and wait until it is proved gone."""


Step: TypeAlias = Leave | Wait | Create | Replace | Cancel


def total_of(known: Known | None, wanted: Quote, *, refill: bool) -> Decimal:
    """Return the total that is asked for when a call begins: what was filled by then, and what shall rest.

    For equal terms it is the total of before, so that what traded is not topped up, unless ``refill`` says so.

    Args:
        known: The order of the key; None if there is none.
        wanted: The terms.
        refill: Whether what traded is topped up.
    """
    if known is None:
        return wanted.quantity
    if known.quote == wanted and not refill:
        return known.total
    return EXACT.add(known.filled, wanted.quantity)


def next_step(known: Known | None, wanted: Quote, total: Decimal) -> Step:
    """Return what to do next.

    Args:
        known: The order of the key; None if there is none.
        wanted: The terms.
        total: What the order may trade in all, as `total_of` said when the call began.
    """
    if known is None:
        return Create(wanted.quantity) if wanted.quantity else Leave()
    if known.is_in_doubt:
        return Cancel() if known.is_doubt_lasting and not (known.is_gone or known.is_taken_back) else Wait()
    rest = max(EXACT.subtract(total, known.filled), _NOTHING)
    if known.is_gone:
        if not wanted.quantity:
            return Leave()
        if not known.are_fills_known:
            return Wait(look=True)
        return Create(rest) if rest else Leave()
    if known.is_taken_back:
        return Wait()
    if not wanted.quantity or known.is_ambiguous or known.is_missing or not known.created.can_become(wanted):
        return Cancel()
    if not rest:
        return Leave()  # all of it has traded, and its end is not seen yet
    if known.quote is not None and known.quote.price == wanted.price and known.total == total:
        return Leave()
    return Replace(total)

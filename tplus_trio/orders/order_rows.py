"""What the listings said of one order, joined so that neither order nor repetition of the rows matters."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final, Self

import attrs

from tplus_trio.models import OrderResponse, OrderStatus
from tplus_trio.models.numbers import EXACT

__all__ = ["ListedOrder"]

#: The time of a row that names none. Such rows cannot be ordered.
UNDATED: Final = -1
_MOST_TERMS: Final = 64

#: A limit and a quantity, in units of the book.
ListedTerms = tuple[Decimal | None, Decimal | None]


# Twelve attributes: the newest row, and one bound for each thing that an older row may prove too.
@attrs.frozen
class ListedOrder:
    """The rows of one order. Quantities are in units of the book."""

    #: The newest row, by its last update. Rows of equal times are ranked by their progress.
    newest: OrderResponse
    #: The terms and the quantities of all rows of the newest time: the lowest and the highest.
    lowest_terms: ListedTerms
    highest_terms: ListedTerms
    lowest_filled: Decimal
    highest_filled: Decimal
    least_pending: Decimal
    #: The most that any row showed as traded and not rolled back.
    most_filled: Decimal
    #: The most that any row showed as confirmed.
    most_confirmed: Decimal
    #: The statuses of the rows that showed the order as done.
    ends: frozenset[OrderStatus] = frozenset()
    #: When the first of these says that it ended.
    ended_ns: int | None = None
    #: Whether a row shows that the order does not wait for a trigger.
    is_active: bool = False
    #: The limits and quantities that rows showed, to compare with what was sent; the smallest 64 of them.
    all_terms: frozenset[ListedTerms] = frozenset()

    @classmethod
    def of(cls, row: OrderResponse) -> Self:
        """Return what one row says."""
        filled = filled_of(row)
        terms = (row.limit_price, row.quantity)
        return cls(
            newest=row,
            lowest_terms=terms,
            highest_terms=terms,
            lowest_filled=filled,
            highest_filled=filled,
            least_pending=row.pending_filled_quantity,
            most_filled=filled,
            most_confirmed=row.confirmed_filled_quantity,
            ends=frozenset((row.status,)) if row.is_done else frozenset(),
            ended_ns=row.last_update_timestamp_ns if row.is_done else None,
            is_active=row.trigger_touched is True or (row.is_open and row.status is not OrderStatus.PENDING),
            all_terms=frozenset((terms,)),
        )

    @property
    def updated_ns(self) -> int:
        """The time of the newest row, in nanoseconds since the Unix epoch; `UNDATED` if it names none."""
        return _time(self.newest)[0]

    @property
    def is_done(self) -> bool:
        """Whether a row showed the order as done."""
        return bool(self.ends)

    @property
    def has_equal_terms(self) -> bool:
        """Whether all rows of the newest time show the same terms."""
        return self.lowest_terms == self.highest_terms

    def joined(self, other: ListedOrder) -> ListedOrder:
        """Return what the rows of both say together: a join, so neither order nor repetition matters."""
        mine, theirs = _time(self.newest), _time(other.newest)
        newer = self if mine > theirs else other
        lowest, highest = newer.lowest_terms, newer.highest_terms
        least, most = newer.lowest_filled, newer.highest_filled
        newest, pending = newer.newest, newer.least_pending
        if mine == theirs:
            newest = _later(self.newest, other.newest)
            lowest = min(self.lowest_terms, other.lowest_terms, key=_terms_rank)
            highest = max(self.highest_terms, other.highest_terms, key=_terms_rank)
            least = min(self.lowest_filled, other.lowest_filled)
            most = max(self.highest_filled, other.highest_filled)
            pending = min(self.least_pending, other.least_pending)
        ended = [time for time in (self.ended_ns, other.ended_ns) if time is not None]
        return ListedOrder(
            newest=newest,
            lowest_terms=lowest,
            highest_terms=highest,
            lowest_filled=least,
            highest_filled=most,
            least_pending=pending,
            most_filled=max(self.most_filled, other.most_filled),
            most_confirmed=max(self.most_confirmed, other.most_confirmed),
            ends=self.ends | other.ends,
            ended_ns=min(ended, default=None),
            is_active=self.is_active or other.is_active,
            all_terms=_smallest(self.all_terms | other.all_terms),
        )


def filled_of(row: OrderResponse) -> Decimal:
    """Return what a row shows as traded and not rolled back, in units of the book."""
    return EXACT.add(row.confirmed_filled_quantity, row.pending_filled_quantity)


def identity_of(row: OrderResponse) -> tuple[Any, ...]:
    """Return what no change of an order alters: rows that differ in it are of different orders under one id."""
    return (
        row.timestamp_ns,
        row.side,
        row.limit_price is None,
        row.quantity is None,
        row.amount,
        row.good_until_timestamp_ns,
        bool(row.is_immediate_or_cancel),
        bool(row.is_reduce_only),
    )


def _time(row: OrderResponse) -> tuple[int, bool]:
    """Return the time of a row; of equal times, a row of an order that is done is the later one."""
    return UNDATED if row.last_update_timestamp_ns is None else row.last_update_timestamp_ns, row.is_done


def _smallest(terms: frozenset[ListedTerms]) -> frozenset[ListedTerms]:
    """Return the smallest of some terms: a bound that does not depend on the order in which they came."""
    return terms if len(terms) <= _MOST_TERMS else frozenset(sorted(terms, key=_terms_rank)[:_MOST_TERMS])


def _terms_rank(terms: ListedTerms) -> tuple[Decimal, ...]:
    return tuple(Decimal(-1) if one is None else one for one in terms)


def _later(one: OrderResponse, other: OrderResponse) -> OrderResponse:
    """Return that of two rows of one time which shows more progress; the choice does not depend on arrival."""
    mine, theirs = _rank(one), _rank(other)
    if mine == theirs:
        mine, theirs = (repr(one),), (repr(other),)
    return one if mine > theirs else other


def _rank(row: OrderResponse) -> tuple[Any, ...]:
    """Return a key that puts rows of one time in an order, by their progress."""
    return (
        row.is_done,
        row.trigger_touched is True,
        filled_of(row),
        row.confirmed_filled_quantity,
        str(row.status),
        _terms_rank((row.limit_price, row.quantity)),
    )

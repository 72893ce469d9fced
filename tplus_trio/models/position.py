"""Positions of a user's sub-accounts."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import TypeAlias

import attrs

from tplus_trio.models.asset import AssetIdentifier
from tplus_trio.models.numbers import (
    finite,
    maybe_decimal,
    maybe_finite,
    to_decimal,
)
from tplus_trio.models.rows import BadRow, PageRows

__all__ = ["Position", "PositionSide", "PositionUpdate", "UserPositionsPage"]

#: ``"long"``, ``"short"`` or ``"closed"``. A side that this version does not know is kept as text.
PositionSide: TypeAlias = str


@attrs.frozen(kw_only=True)
class Position:
    """One position of one sub-account; a value that the service does not know is None."""

    asset_id: AssetIdentifier = attrs.field(converter=AssetIdentifier)
    #: 0 is the main account, 1 the first margin account.
    sub_account_index: int
    #: The name of the sub-account.
    name: str
    side: PositionSide
    #: In base units.
    size: Decimal = attrs.field(converter=to_decimal, validator=finite)
    #: The average price at which the position was opened, in quote units.
    entry_price: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_finite)
    #: The price at which the service values the position, in quote units.
    mark_price: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_finite)
    #: The profit if the position were closed at `mark_price`, in quote units; a loss is negative.
    unrealized_pnl: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_finite)
    #: The margin that the position binds, in quote units.
    margin: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_finite)
    #: A factor without a unit.
    leverage: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_finite)
    #: The price at which the service liquidates the position, in quote units.
    liquidation_price: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_finite)
    #: What the account holds of the base asset, in base units.
    base_credits: Decimal = attrs.field(converter=to_decimal, validator=finite)
    #: What the account owes of the base asset, in base units.
    base_liabilities: Decimal = attrs.field(converter=to_decimal, validator=finite)
    #: What the account holds of the quote asset, in quote units.
    quote_credits: Decimal = attrs.field(converter=to_decimal, validator=finite)
    #: What the account owes of the quote asset, in quote units.
    quote_liabilities: Decimal = attrs.field(converter=to_decimal, validator=finite)


def _positions(positions: Iterable[Position]) -> tuple[Position, ...]:
    return tuple(positions)


@attrs.frozen
class PositionUpdate:
    """All positions of a user at one moment (feed ``/positions/ws/{key}``). Each update is a complete snapshot."""

    #: The user's public key: 64 lower-case hex digits.
    user_id: str
    positions: tuple[Position, ...] = attrs.field(converter=_positions)
    #: When the snapshot was made, in nanoseconds since the Unix epoch, UTC.
    timestamp_ns: int


@attrs.frozen
class UserPositionsPage(PageRows[Position]):
    """A page of a user's positions (``GET /positions/{key}``). It is also a sequence of them.

    A number that the service does not send is None.
    """

    positions: tuple[Position, ...] = attrs.field(converter=_positions)
    #: The positions on all pages.
    total_positions: int | None = None
    #: The number of the page, from 0.
    page: int | None = None
    #: Positions on a page, at most.
    limit: int | None = None
    total_pages: int | None = None
    #: Positions on this page.
    cursor_size: int | None = None
    #: Whether more positions follow on the next page. It is False also if the service does not say.
    has_next_page: bool = False
    #: The number of the next page; None if there is none, and if the service does not send it.
    next_page: int | None = None
    #: The rows that could not be decoded; ``positions`` has the others. It does not count in comparisons.
    bad: tuple[BadRow, ...] = attrs.field(default=(), eq=False)

    def _rows(self) -> tuple[Position, ...]:
        return self.positions

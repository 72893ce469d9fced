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

__all__ = ["Position", "PositionSide", "PositionUpdate"]

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

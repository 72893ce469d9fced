"""Margin positions."""

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
    """One position of one sub-account; what the server does not know is None."""

    asset_id: AssetIdentifier = attrs.field(converter=AssetIdentifier)
    sub_account_index: int
    name: str
    side: PositionSide
    size: Decimal = attrs.field(converter=to_decimal, validator=finite)
    entry_price: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_finite)
    mark_price: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_finite)
    unrealized_pnl: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_finite)
    margin: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_finite)
    leverage: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_finite)
    liquidation_price: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_finite)
    base_credits: Decimal = attrs.field(converter=to_decimal, validator=finite)
    base_liabilities: Decimal = attrs.field(converter=to_decimal, validator=finite)
    quote_credits: Decimal = attrs.field(converter=to_decimal, validator=finite)
    quote_liabilities: Decimal = attrs.field(converter=to_decimal, validator=finite)


def _positions(positions: Iterable[Position]) -> tuple[Position, ...]:
    return tuple(positions)


@attrs.frozen
class PositionUpdate:
    """All positions of a user at one moment: a whole snapshot, not a change."""

    #: The user's public key.
    user_id: str
    positions: tuple[Position, ...] = attrs.field(converter=_positions)
    #: Nanoseconds since the Unix epoch, UTC.
    timestamp_ns: int

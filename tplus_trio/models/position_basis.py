"""Position bases: what the market data service derives from a user's trades."""

from __future__ import annotations

from decimal import Decimal
from typing import TypeAlias

import attrs

from tplus_trio.models.asset import AssetIdentifier
from tplus_trio.models.numbers import maybe_decimal, maybe_finite, signed_number

__all__ = ["PositionBasisDomain", "PositionBasisResponse"]

#: ``"spot"`` or ``"margin"``. A domain that this version does not know is kept as text.
PositionBasisDomain: TypeAlias = str


@attrs.frozen(kw_only=True)
class PositionBasisResponse:
    """What one position cost, as derived from trades (``GET /positions/user/{key}/basis``).

    It is an estimate: transfers, fees and trades with oneself are not in it. A value that the service does not know is
    None.
    """

    #: The index of the sub-account: 0 is the main account, 1 the first margin account.
    sub_account: int
    asset_id: AssetIdentifier = attrs.field(converter=AssetIdentifier)
    domain: PositionBasisDomain
    #: ``"long"`` or ``"short"``; None for a spot balance.
    side: str | None = None
    #: In base units.
    quantity: Decimal = attrs.field(converter=signed_number)
    #: In quote units.
    cost: Decimal = attrs.field(converter=signed_number)
    #: The average price at which the position was opened, in quote units.
    entry_price: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_finite)
    #: The average price of all that was bought, in quote units.
    avg_acquisition_price: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_finite)
    #: The price at which the service values the position, in quote units.
    mark_price: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_finite)
    #: The profit if the position were closed at `mark_price`, in quote units; a loss is negative.
    unrealized_pnl: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_finite)

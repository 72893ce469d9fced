"""The orders that would close all positions of a sub-account."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

import attrs

from tplus_trio.models.asset import AssetIdentifier
from tplus_trio.models.numbers import maybe_decimal, maybe_finite
from tplus_trio.models.order import Side

__all__ = ["CloseAllPreviewResponse", "UnsignedCloseOrder"]


@attrs.frozen(kw_only=True)
class UnsignedCloseOrder:
    """An order that would close a position. It is not signed, and the service has not taken it."""

    #: The market.
    asset_id: AssetIdentifier = attrs.field(converter=AssetIdentifier)
    side: Side = attrs.field(converter=Side)
    #: In quantity units of the book: ``10**-book_quantity_decimals`` base units.
    quantity: int
    #: The quote amount that a buy may spend at most, in price units times quantity units; None if there is no limit.
    suggested_max_sellable_amount: int | None = None
    #: The oracle's price, in quote units; None if there is none.
    oracle_price: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_finite)
    book_price_decimals: int
    book_quantity_decimals: int
    #: 0 is the main account, 1 the first margin account.
    sub_account_index: int
    #: Whether the order may only reduce the position.
    reduce_only: bool


def _orders(orders: Iterable[UnsignedCloseOrder]) -> tuple[UnsignedCloseOrder, ...]:
    return tuple(orders)


@attrs.frozen
class CloseAllPreviewResponse:
    """The orders that would close a sub-account's positions (``GET /positions/close-all/{key}/{sub_account_index}``).

    It is not hashable.
    """

    orders: tuple[UnsignedCloseOrder, ...] = attrs.field(factory=tuple, converter=_orders)
    #: Why there is no order for a position, by the asset as the service names it.
    errors: Mapping[str, str] = attrs.field(factory=dict[str, str])

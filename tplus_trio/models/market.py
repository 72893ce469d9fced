"""A market and the units of its orders."""

from __future__ import annotations

import attrs

from tplus_trio.models.asset import AssetIdentifier

__all__ = ["Market"]


@attrs.frozen
class Market:
    """The units in which a market counts prices and quantities of orders (``GET /market/{asset}``).

    The price 12345 of an order is 123.45 quote units at 2 decimals.
    """

    asset_id: AssetIdentifier = attrs.field(converter=AssetIdentifier)
    #: One price unit of an order is ``10**-book_price_decimals`` quote units.
    book_price_decimals: int
    #: One quantity unit of an order is ``10**-book_quantity_decimals`` base units.
    book_quantity_decimals: int

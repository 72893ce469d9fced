"""A market's units."""

from __future__ import annotations

import attrs

from tplus_trio.models.asset import AssetIdentifier

__all__ = ["Market"]


@attrs.frozen
class Market:
    """How a market counts: an order's integer price 12345 at 2 decimals is 123.45."""

    asset_id: AssetIdentifier = attrs.field(converter=AssetIdentifier)
    book_price_decimals: int
    book_quantity_decimals: int

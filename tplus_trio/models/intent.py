"""What users are looking at, added up, for market makers."""

from __future__ import annotations

from decimal import Decimal

import attrs

from tplus_trio.models.asset import AssetIdentifier
from tplus_trio.models.numbers import finite, to_decimal

__all__ = ["IntentAggregateUpdate"]


@attrs.frozen
class IntentAggregateUpdate:
    """How one asset's aggregate moved within a window: the deltas, and the totals once they are applied."""

    asset_id: AssetIdentifier = attrs.field(converter=AssetIdentifier)
    watchers_delta: int
    quantity_delta: Decimal = attrs.field(converter=to_decimal, validator=finite)
    watchers: int
    quantity: Decimal = attrs.field(converter=to_decimal, validator=finite)
    #: When the window ended, nanoseconds since the Unix epoch, UTC.
    window_end_ns: int

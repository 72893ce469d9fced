"""How many users intend to trade an asset, and how much, added up for market makers."""

from __future__ import annotations

from decimal import Decimal

import attrs

from tplus_trio.models.asset import AssetIdentifier
from tplus_trio.models.numbers import finite, to_decimal

__all__ = ["IntentAggregateUpdate"]


@attrs.frozen
class IntentAggregateUpdate:
    """How the intents of all users in one asset changed within a time window (feed ``/intent/ws``)."""

    asset_id: AssetIdentifier = attrs.field(converter=AssetIdentifier)
    #: The change of `watchers` within the window.
    watchers_delta: int
    #: The change of `quantity` within the window.
    quantity_delta: Decimal = attrs.field(converter=to_decimal, validator=finite)
    #: How many users watch the asset, after the change.
    watchers: int
    #: The total quantity, after the change, as the service counts it; negative values are legal.
    quantity: Decimal = attrs.field(converter=to_decimal, validator=finite)
    #: When the window ended, in nanoseconds since the Unix epoch, UTC.
    window_end_ns: int

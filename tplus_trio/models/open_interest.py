"""Open interest: the total of open positions on each side of a market."""

from __future__ import annotations

from decimal import Decimal

import attrs

from tplus_trio.models.asset import AssetIdentifier
from tplus_trio.models.numbers import maybe_decimal, maybe_finite

__all__ = ["OpenInterest"]


@attrs.frozen(kw_only=True)
class OpenInterest:
    """The total of open positions of one market (``GET /openinterest/{asset}``), in base units.

    A value is None until the market first reports it.
    """

    asset_id: AssetIdentifier = attrs.field(converter=AssetIdentifier)
    #: In base units.
    long: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_finite)
    #: In base units.
    short: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_finite)
    #: When it was measured, in nanoseconds since the Unix epoch, UTC.
    timestamp_ns: int | None = None

    @property
    def total_open_interest(self) -> Decimal | None:
        """The larger of the two sides, in base units, as the exchange counts for its caps; None if both are unknown."""
        return max((side for side in (self.long, self.short) if side is not None), default=None)

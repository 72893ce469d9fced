"""The orders that wait for their trigger, outside the books."""

from __future__ import annotations

from decimal import Decimal

from tplus_trio.models import GTD, LimitOrderDetails, TriggerAbove
from tplus_trio.testing.exchange.market_state import Listing
from tplus_trio.testing.exchange.order_records import OrderRecord

__all__ = ["WaitingOrders"]


class WaitingOrders:
    """The waiting orders of all markets, in the order in which they came."""

    def __init__(self) -> None:
        self._by_asset: dict[str, dict[str, OrderRecord]] = {}

    def add(self, record: OrderRecord) -> None:
        """Add an order, which has a trigger."""
        self._by_asset.setdefault(record.listing.asset, {})[record.key] = record

    def remove(self, record: OrderRecord) -> None:
        """Remove an order."""
        del self._by_asset[record.listing.asset][record.key]

    def of(self, listing: Listing) -> list[OrderRecord]:
        """Return a market's waiting orders."""
        return list(self._by_asset.get(listing.asset, {}).values())

    def touched(self, listing: Listing) -> OrderRecord | None:
        """Return the first order whose trigger the market's last price touches; None if there is none."""
        waiting = self._by_asset.get(listing.asset)
        if not waiting or not listing.trades:
            return None
        last = listing.trades[-1].price
        return next((record for record in waiting.values() if _is_touched(record, last)), None)

    def expired(self, now_ns: int) -> list[OrderRecord]:
        """Return the orders that have expired, the earliest expiry first."""
        expired = [(at, record.key, record) for at, record in self._expiries() if at <= now_ns]
        return [record for _, _, record in sorted(expired, key=lambda found: found[:2])]

    @property
    def next_expiry_ns(self) -> int | None:
        """The time at which the next order expires, in nanoseconds; None if no order will."""
        return min((at for at, _ in self._expiries()), default=None)

    def _expiries(self) -> list[tuple[int, OrderRecord]]:
        return [
            (record.details.time_in_force.timestamp_ns, record)
            for waiting in self._by_asset.values()
            for record in waiting.values()
            if isinstance(record.details, LimitOrderDetails) and isinstance(record.details.time_in_force, GTD)
        ]


def _is_touched(record: OrderRecord, last: Decimal) -> bool:
    if record.pending_trigger is None:
        return False
    price = record.listing.price(record.pending_trigger.price)
    return last >= price if isinstance(record.pending_trigger, TriggerAbove) else last <= price

"""The events of ``/orders``: what the exchange sends to an order's user."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tplus_trio.models import LimitOrderDetails
from tplus_trio.testing.exchange.effects import Operation
from tplus_trio.testing.exchange.market_state import MarketState
from tplus_trio.testing.exchange.order_history import OrderHistory
from tplus_trio.testing.exchange.order_records import OrderRecord

__all__ = ["OrderEvents"]


class OrderEvents:
    """Sends each event of an order to its user."""

    def __init__(self, market_state: MarketState) -> None:
        self._market_state = market_state
        #: The states that each order had in the last minutes.
        self.history: OrderHistory = OrderHistory(market_state.now_ns)

    def send_created(self, record: OrderRecord) -> None:
        """Report that an order was accepted, or waits for its trigger."""
        fields = {
            "user_order": record.new.text,
            "signature": record.new.signature,
            "book_timestamp_ns": self._market_state.now_ns(),
            "trigger_touched": record.triggered,
            "is_liquidation": record.is_liquidation,
        }
        self._send(record, "Created", fields, named=False)

    def send_changed(self, record: OrderRecord, *, amended: bool) -> None:
        """Report an order's new terms: an amendment, or a replacement."""
        state = record.state
        terms = state.order.limit
        change: dict[str, Any] = {
            **self._common_fields(record),
            "new_quantity": terms.quantity,
            "authorization_revision": record.revision or 0,
        }
        if amended:
            change["remaining_quantity"] = state.remaining
            change["book_quantity_decimals"] = record.listing.market.book_quantity_decimals
        else:
            change["new_price"] = terms.limit_price
        self._send(record, "Amended" if amended else "Replaced", change)

    def send_triggered(self, record: OrderRecord) -> None:
        """Report that the last price touched an order's trigger."""
        fields = {**self._common_fields(record), "quantity": _size(record), "trigger_touched": True}
        self._send(record, "Triggered", fields)

    def send_failed(self, record: OrderRecord, operation: Operation, reason: str) -> None:
        """Report that the engine refused an action."""
        self._send(record, f"{operation.capitalize()}Failed", {"reason": reason})

    def send_removed(self, record: OrderRecord, reason: str) -> None:
        """Report the end of an order."""
        if reason == "Canceled":
            self._send(record, "Canceled", {**self._common_fields(record), "reason": None})
        state, confirmed = record.state, record.fills.confirmed
        fields = {
            **self._common_fields(record),
            "reason": reason,
            "filled_quantity": state.filled,
            "confirmed_quantity": record.listing.quantity_units(confirmed.quantity),
            "filled_amount": state.amount,
            "confirmed_amount": record.listing.amount_units(confirmed.amount),
            "book_quantity_decimals": record.listing.market.book_quantity_decimals,
        }
        self._send(record, "Removed", fields)

    def _common_fields(self, record: OrderRecord) -> dict[str, Any]:
        return {"asset_id": record.listing.asset, "timestamp_ns": self._market_state.now_ns()}

    def _send(self, record: OrderRecord, variant: str, fields: Mapping[str, Any], *, named: bool = True) -> None:
        name = {"order_id": record.order_id, "user_id": record.user} if named else {}
        self.history.add(record)
        self._market_state.send_json("/orders", {variant: {**name, **fields}}, user=record.user)


def _size(record: OrderRecord) -> int:
    """Return an order's size: a base quantity, or a quote amount."""
    details = record.details
    if isinstance(details, LimitOrderDetails):
        return details.quantity
    size = details.quantity.base_asset or details.quantity.quote_asset
    assert size is not None
    return size.quantity

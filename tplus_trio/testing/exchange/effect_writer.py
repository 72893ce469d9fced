"""Writes the events of the matching engines into the record of effects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tplus_trio.testing.exchange.effects import EffectKind, Effects, Operation
from tplus_trio.testing.exchange.order_records import OrderRecord
from tplus_trio.testing.matching.engine import (
    Accepted,
    Amended,
    Done,
    EngineOrder,
    Event,
    Fill,
    LevelChanged,
    Rejected,
)

__all__ = ["EffectWriter"]

#: The kind of effect that records an order's end. ``Canceled`` by a request is a ``cancel``.
_END_KINDS: Final[dict[str, EffectKind]] = {"Expired": "expire"}


class EffectWriter:
    """Writes engine events as effects on the users' orders.

    Args:
        effects: The record.
        by_key: The orders by their id in the engine.
    """

    def __init__(self, effects: Effects, by_key: Mapping[str, OrderRecord]) -> None:
        self._effects = effects
        self._by_key = by_key

    def write(self, event: Event, key: str, operation: Operation | None) -> None:
        """Write an engine's event.

        Args:
            event: The event.
            key: The key of the order that the action was for; ``""`` is none.
            operation: The request that was carried out; None if a trigger or the clock caused the action.
        """
        if isinstance(event, LevelChanged):
            return
        if isinstance(event, Fill):
            for state in (event.maker, event.taker):
                record = self._by_key[state.order_id]
                self.add(
                    "fill", record, state.order, quantity=event.quantity, price=event.price, trade_id=event.trade_id
                )
        elif isinstance(event, Rejected):
            if event.order_id == key and operation is not None:
                record = self._by_key[key]
                self._effects.add(
                    "refuse",
                    record.user,
                    record.order_id,
                    asset=record.listing.asset,
                    operation=operation,
                    reason=event.reason,
                )
        elif isinstance(event, Accepted):
            record = self._by_key[event.order.order_id]
            self.add("trigger" if record.triggered else "create", record, event.order, operation=operation)
        else:
            record = self._by_key[event.state.order_id]
            asked = operation if event.state.order_id == key else None
            kind: EffectKind = "amend" if isinstance(event, Amended) else "replace"
            reason = None
            if isinstance(event, Done):
                kind = "cancel" if asked == "cancel" else _END_KINDS.get(event.reason, "remove")
                reason = event.reason
            asked = asked if kind == asked else None
            self.add(kind, record, event.state.order, operation=asked, reason=reason)

    def add(
        self,
        kind: EffectKind,
        record: OrderRecord,
        order: EngineOrder | None = None,
        *,
        quantity: int = 0,
        price: int | None = None,
        trade_id: int | None = None,
        reason: str | None = None,
        operation: Operation | None = None,
    ) -> None:
        """Write an effect on an order.

        Args:
            kind: What happened.
            record: The order.
            order: The order's terms after the effect; None takes them from ``record``.
            quantity: The quantity of a fill.
            price: The price of a fill.
            trade_id: The trade of a fill.
            reason: Why the order ended.
            operation: The request that was carried out.
        """
        self._effects.add(
            kind,
            record.user,
            record.order_id,
            asset=record.listing.asset,
            side=record.side,
            details=(order or record.state.order).details,
            trigger=record.pending_trigger,
            quantity=quantity,
            price=price,
            trade_id=trade_id,
            reason=reason,
            operation=operation,
        )

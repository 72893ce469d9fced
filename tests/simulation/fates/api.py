"""What the worlds use of the client beside its order calls: rules, modes of cancellation, orders in doubt."""

from __future__ import annotations

import inspect
from typing import Any, Final

import tplus_trio
from tplus_trio import OrderBookClient

__all__ = ["HAS_FATES", "doubts_of", "on_cancel", "rules_options"]

#: Whether the client resolves fates.
HAS_FATES: Final = "rules" in inspect.signature(OrderBookClient.__init__).parameters


def rules_options(rules: dict[str, Any], resolve_timeout: float) -> dict[str, Any]:
    """Return the arguments of a client that declares rules."""
    if not HAS_FATES:
        return {}
    return {"rules": tplus_trio.ServiceRules(**rules), "resolve_timeout": resolve_timeout}


def on_cancel(mode: str) -> dict[str, Any]:
    """Return the argument of an order call."""
    return {"on_cancel": mode} if HAS_FATES else {}


def doubts_of(client: OrderBookClient) -> set[str]:
    """Return the ids of a client's orders in doubt."""
    return {doubt.order_id for doubt in getattr(client, "orders_in_doubt", ())}

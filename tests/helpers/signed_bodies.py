"""The bodies of signed order requests, put together as the protocol describes them, not by the client under test."""

from __future__ import annotations

import json
from typing import Any

from tplus_trio.users import User


def limit_order(user: User, order_id: str, side: str, price: int, quantity: int, **changes: Any) -> dict[str, Any]:
    """The body of a signed order, put together as the protocol describes it."""
    details = {
        "limit_price": price,
        "quantity": quantity,
        "time_in_force": changes.pop("time_in_force", {"GTC": {"post_only": False}}),
    }
    order: dict[str, Any] = {
        "signer": user.public_key,
        "order_id": order_id,
        "base_asset": "200",
        "book_price_decimals": 2,
        "book_quantity_decimals": 3,
        "details": {"Limit": details},
        "side": side,
        "trigger": None,
        "creation_timestamp_ns": 1,
        "target": {"account": 1, "is_spot": True},
        "reduce_only": False,
        "max_trading_fees_rate": 50000,
        "protocol_version": 1,
        **changes,
    }
    return {
        "order": order,
        "signature": list(user.sign(json.dumps(order, separators=(",", ":")))),
        "post_sign_timestamp": 1,
        "additional_signers": [],
    }


def cancellation(user: User, order_id: str) -> dict[str, Any]:
    cancel = {"order_id": order_id, "asset_id": "200", "signer": user.public_key, "protocol_version": 1}
    signature = list(user.sign(json.dumps(cancel, separators=(",", ":"))))
    return {"cancel": cancel, "signature": signature, "post_sign_timestamp": 1}


def replacement(
    user: User,
    order_id: str,
    price: int,
    quantity: int,
    timestamp_ns: int = 7,
    *,
    decimals: tuple[int, int] = (2, 3),
    new_trigger: Any = None,
) -> dict[str, Any]:
    request = {
        "order_id": order_id,
        "base_asset": "200",
        "timestamp_ns": timestamp_ns,
        "new_price_limit": price,
        "new_quantity": quantity,
        "new_trigger": new_trigger,
        "book_quantity_decimals": decimals[1],
        "book_price_decimals": decimals[0],
        "protocol_version": 1,
    }
    signature = list(user.sign(json.dumps(request, separators=(",", ":"))))
    return {
        "request": request,
        "signer": user.public_key,
        "signature": signature,
        "post_sign_timestamp": 1,
        "additional_signers": [],
    }


def amendment(
    user: User, order_id: str, quantity: int, expected: int | None, *, timestamp_ns: int = 8, decimals: int = 3
) -> dict[str, Any]:
    request = {
        "order_id": order_id,
        "base_asset": "200",
        "new_quantity": quantity,
        "book_quantity_decimals": decimals,
        "expected_authorization_revision": expected,
        "timestamp_ns": timestamp_ns,
        "source": "User",
    }
    return {"request": request, "user_id": user.public_key, "target": {"account": 0, "is_spot": False}}

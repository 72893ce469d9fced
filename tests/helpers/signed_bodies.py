"""The bodies of signed requests, put together as the protocol describes them, not by the client under test."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tplus_trio.users import User


def signed(user: User, content: Mapping[str, Any], name: str = "inner") -> dict[str, Any]:
    """A body with its signature; ``name`` is the field of what is signed."""
    signature = list(user.sign(json.dumps(content, separators=(",", ":"))))
    return {name: dict(content), "signature": signature, "additional_signers": []}


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
    return {**signed(user, order, "order"), "post_sign_timestamp": 1}


def cancellation(user: User, order_id: str) -> dict[str, Any]:
    cancel = {"order_id": order_id, "asset_id": "200", "signer": user.public_key, "protocol_version": 1}
    body = signed(user, cancel, "cancel")
    del body["additional_signers"]  # the only one that an additional signer cannot sign
    return {**body, "post_sign_timestamp": 1}


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
    return {**signed(user, request, "request"), "signer": user.public_key, "post_sign_timestamp": 1}


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


def close_request(user: User, account: int, asset: str, nonce: int) -> dict[str, Any]:
    """The body of a request to clear a position."""
    content = {"user": user.public_key, "account": account, "asset_identifier": asset, "nonce": nonce}
    return signed(user, content)


def transfer_request(
    user: User, source: int, target: int, amount: int, nonce: object, asset: str = "0"
) -> dict[str, Any]:
    """The body of a transfer between sub-accounts; ``amount`` counts units of ``10**-18``."""
    content = {
        "user": user.public_key,
        "source_index": source,
        "target_index": target,
        "transfer_asset": asset,
        "transfer_amount": str(amount),
        "target_account_type": None,
        "nonce": nonce,
    }
    return signed(user, content)

"""Signed requests put together by hand, for tests of the embedded exchange."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tplus_trio.models import GTC, AssetIdentifier, LimitOrderDetails, Market, Side
from tplus_trio.testing.exchange.order_records import unsigned_order
from tplus_trio.users import User


def signed(user: User, content: Mapping[str, Any], name: str = "inner") -> dict[str, Any]:
    """A body with its signature; ``name`` is the field of what is signed."""
    signature = list(user.sign(json.dumps(content, separators=(",", ":"))))
    return {name: dict(content), "signature": signature, "additional_signers": []}


def signed_order(user: User, order_id: str, side: str, price: int, quantity: int, **changes: Any) -> dict[str, Any]:
    """The body of a limit order in market 200; ``changes`` are fields of the order."""
    market = Market(AssetIdentifier(200), 2, 3)
    details = LimitOrderDetails(price, quantity, GTC())
    order = unsigned_order(user.public_key, order_id, market, Side(side), details, now_ns=1)
    return signed(user, {**order.text, **changes}, "order")


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

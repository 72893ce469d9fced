"""Texts of the wire that several tests decode, and the order of one of them."""

from __future__ import annotations

from typing import Any

from tplus_trio.models import GTC, AssetIdentifier, LimitOrderDetails, Order, Side, TradeTarget

KEY = "d04a" + "0" * 56 + "8737"
ASSET = AssetIdentifier(200)
REMOVED = (
    '{"order_id":"oid-1","asset_id":"200","user_id":"u","timestamp_ns":1,"reason":"Completed","filled_quantity":5}'
)
DEPOSIT = '{"user":"u","asset":"200","amount":"1000000000000000000","chain_id":"1","deposit_nonce":1,"timestamp_ns":2}'
LIMIT_ORDER = (
    '{"signer":"' + KEY + '","order_id":"oid-1","base_asset":"200","book_price_decimals":2,'
    '"book_quantity_decimals":3,"details":{"Limit":{"limit_price":1000,"quantity":5,"time_in_force":'
    '{"GTC":{"post_only":true}}}},"side":"Sell","trigger":null,"creation_timestamp_ns":1795365106157325064,'
    '"target":{"account":1,"is_spot":true},"reduce_only":false,"max_trading_fees_rate":50000,"protocol_version":1}'
)
REAL_TRADE = (
    '{"asset_id":"82af49447d8a07e3bd95bd0d56f35241523fbab1000000000000000000000000@00000000000000a4b1",'
    '"trade_id":122519,"price":"3862.36934070","quantity":"0.01000000","timestamp_ns":1761283013888453220,'
    '"buyer_is_maker":false,"status":"Confirmed"}'
)
BAR = '{"open":1,"high":"2.50","low":0.5,"close":1.5,"volume":"10","open_timestamp_ns":1,"close_timestamp_ns":"2"}'
USER_TRADE = (
    '{"asset_id":"200","trade_id":7,"order_id":"oid-1","price":"1.50","quantity":2,"timestamp_ns":3,'
    '"is_maker":true,"is_buyer":false,"status":"Pending"}'
)
TICKER = '{"asset_id":"200","best_bid":{"price":"1.50","size":2},"volume_24h":"3","timestamp_ns":4}'
LISTED_ORDER = (
    '{"order_id":"o","base_asset":"200","side":"Buy","limit_price":"10.50","quantity":2,"amount":null,'
    '"confirmed_filled_quantity":0,"pending_filled_quantity":"0.5","confirmed_filled_amount":0,'
    '"pending_filled_amount":0,"confirmed_trading_fees_amount":0,"pending_trading_fees_amount":-0.1,'
    '"good_until_timestamp_ns":null,"timestamp_ns":5,"status":"Open","is_reduce_only":true}'
)
#: The event type and the fields of an example of each variant.
ORDER_EVENTS: dict[str, tuple[str, str]] = {
    "Created": (
        "CREATED",
        (
            f'{{"user_order":{LIMIT_ORDER},"signature":[1,2],"book_timestamp_ns":"5","amend_overrides":{{"a":1.10}},'
            '"trigger_touched":null,"is_liquidation":true}'
        ),
    ),
    "Updated": (
        "UPDATED",
        '{"order_id":"o","status":"Open","filled_quantity":"1","remaining_quantity":2,"update_timestamp_ns":3}',
    ),
    "Canceled": (
        "CANCELED",
        '{"order_id":"o","asset_id":"200","user_id":"u","timestamp_ns":1,"reason":"asked"}',
    ),
    "Removed": ("REMOVED", REMOVED),
    "Replaced": (
        "REPLACED",
        '{"order_id":"o","asset_id":{"Index":200},"user_id":"u","new_quantity":1,"new_price":"2"}',
    ),
    "Amended": (
        "AMENDED",
        '{"order_id":"o","asset_id":"200","user_id":"u","new_quantity":1,"remaining_quantity":"2"}',
    ),
    "Triggered": (
        "TRIGGERED",
        '{"order_id":"o","asset_id":"200","user_id":"u","timestamp_ns":1,"quantity":5,"trigger_touched":true}',
    ),
    "CreateFailed": ("CREATEFAILED", '{"order_id":"o","user_id":"u","reason":"margin"}'),
    "ReplaceFailed": ("REPLACEFAILED", '{"order_id":"o","user_id":"u","reason":null}'),
    "AmendFailed": ("AMENDFAILED", '{"order_id":"o","user_id":"u"}'),
    "CancelFailed": ("CANCELFAILED", '{"order_id":"o","user_id":"u","operator":5}'),
}
#: The fields of an example of each variant.
USER_EVENTS = {
    "DepositLanded": DEPOSIT,
    "WithdrawalCompleted": DEPOSIT.replace("deposit", "withdrawal"),
    "PositionCleared": '{"user":"u","sub_account_index":1,"asset":"200","timestamp_ns":2}',
    "SubAccountAssetTransferred": (
        '{"user":"u","source_sub_account_index":0,"target_sub_account_index":"1","asset":"200","amount":5,"timestamp_ns":2}'
    ),
    "MarginCallUpdated": (
        '{"user":"u","sub_account_index":1,"called_venues":[{"venue":1,"deadline_ns":2}],"timestamp_ns":2}'
    ),
}


def limit_order(**changes: Any) -> Order:
    """Return the order of `LIMIT_ORDER`, with changes."""
    fields: dict[str, Any] = {
        "signer": KEY,
        "order_id": "oid-1",
        "base_asset": ASSET,
        "book_price_decimals": 2,
        "book_quantity_decimals": 3,
        "details": LimitOrderDetails(1000, 5, GTC(post_only=True)),
        "side": Side.SELL,
        "creation_timestamp_ns": 1795365106157325064,
        "target": TradeTarget(account=1, is_spot=True),
    }
    return Order(**fields | changes)

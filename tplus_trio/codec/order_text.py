"""The signed text of the usual order, a limit order without a trigger, written faster than the converter does."""

from __future__ import annotations

from typing import Final

import msgspec

from tplus_trio.models import GTC, GTD, LimitOrderDetails, Order

__all__ = ["order_text"]

_to_json: Final = msgspec.json.Encoder().encode
_BOOLEANS: Final = {False: "false", True: "true"}


def order_text(order: Order) -> str | None:
    """Return the text that a user signs for an order, as :func:`~tplus_trio.codec.signable` returns it.

    Returns:
        The text; None for an order of another kind, which the converter writes.
    """
    details = order.details
    if order.trigger is not None or not isinstance(details, LimitOrderDetails):
        return None
    terms = details.time_in_force
    if isinstance(terms, GTC):
        time_in_force = f'{{"GTC":{{"post_only":{_BOOLEANS[terms.post_only]}}}}}'
    elif isinstance(terms, GTD):
        post_only = _BOOLEANS[terms.post_only]
        time_in_force = f'{{"GTD":{{"post_only":{post_only},"timestamp_ns":{terms.timestamp_ns:d}}}}}'
    else:
        time_in_force = f'{{"IOC":{{"fill_or_kill":{_BOOLEANS[terms.fill_or_kill]}}}}}'
    target = order.target
    return (
        f'{{"signer":"{order.signer}","order_id":{_to_json(order.order_id).decode()},"base_asset":"{order.base_asset}",'
        f'"book_price_decimals":{order.book_price_decimals:d},"book_quantity_decimals":{order.book_quantity_decimals:d},'
        f'"details":{{"Limit":{{"limit_price":{details.limit_price:d},"quantity":{details.quantity:d},'
        f'"time_in_force":{time_in_force}}}}},"side":"{order.side}","trigger":null,'
        f'"creation_timestamp_ns":{order.creation_timestamp_ns:d},'
        f'"target":{{"account":{target.account:d},"is_spot":{_BOOLEANS[target.is_spot]}}},'
        f'"reduce_only":{_BOOLEANS[order.reduce_only]},"max_trading_fees_rate":{order.max_trading_fees_rate:d},'
        f'"protocol_version":{order.protocol_version:d}}}'
    )

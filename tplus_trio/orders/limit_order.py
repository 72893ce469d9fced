"""A limit order as its caller describes it, checked before anything is sent, and the order that its user signs."""

from __future__ import annotations

import attrs

from tplus_trio.arguments import check_choice, check_count, check_instance
from tplus_trio.models import (
    GTC,
    GTD,
    IOC,
    AssetIdentifier,
    LimitOrderDetails,
    Market,
    Order,
    OrderTrigger,
    Side,
    TimeInForce,
    TradeTarget,
    new_order_id,
    validate_order_id,
)

__all__ = ["LimitOrderTerms", "check_limit_order"]

#: The highest fee rate that an order accepts if its caller names none, as the service counts it.
_FEES_RATE = 50_000


@attrs.frozen(kw_only=True)
class LimitOrderTerms:
    """The checked terms of a limit order, without the units of its market."""

    order_id: str
    asset_id: AssetIdentifier
    side: Side
    #: Price and quantity in the book's integer units.
    details: LimitOrderDetails
    target: TradeTarget
    trigger: OrderTrigger | None
    reduce_only: bool
    max_trading_fees_rate: int

    def to_order(self, market: Market, signer: str, creation_timestamp_ns: int) -> Order:
        """Return the order in the units of a market.

        Args:
            market: The market of the order.
            signer: The public key of the user that signs: 64 lower-case hex digits.
            creation_timestamp_ns: Nanoseconds since the Unix epoch.
        """
        return Order(
            signer=signer,
            order_id=self.order_id,
            base_asset=self.asset_id,
            book_price_decimals=market.book_price_decimals,
            book_quantity_decimals=market.book_quantity_decimals,
            details=self.details,
            side=self.side,
            trigger=self.trigger,
            creation_timestamp_ns=creation_timestamp_ns,
            target=self.target,
            reduce_only=self.reduce_only,
            max_trading_fees_rate=self.max_trading_fees_rate,
        )


def check_limit_order(
    asset_id: AssetIdentifier,
    *,
    quantity: int,
    price: int,
    side: Side | str,
    time_in_force: TimeInForce | None,
    order_id: str | None,
    target: TradeTarget | None,
    max_trading_fees_rate: int | None,
    trigger: OrderTrigger | None,
    reduce_only: bool,
) -> LimitOrderTerms:
    """Check the arguments of ``OrderBookClient.create_limit_order``, and replace None by the defaults.

    Raises:
        TypeError, ValueError: an argument is not legal.
    """
    name = new_order_id() if order_id is None else validate_order_id(order_id)
    direction = check_choice("side", side, Side)
    if not isinstance(time_in_force, GTC | GTD | IOC | None):
        msg = f"time_in_force is a GTC(), GTD() or IOC(), or None for GTC(), not {time_in_force!r:.40}"
        raise TypeError(msg)
    check_count("quantity", quantity, least=0)
    check_count("price", price, least=0)
    details = LimitOrderDetails(price, quantity, GTC(post_only=False) if time_in_force is None else time_in_force)
    paying = TradeTarget.margin_account_spot_trade() if target is None else target
    check_instance("target", paying, TradeTarget)
    fees = check_count(
        "max_trading_fees_rate", _FEES_RATE if max_trading_fees_rate is None else max_trading_fees_rate, least=0
    )
    check_instance("reduce_only", reduce_only, bool)
    if trigger is not None:
        check_instance("trigger", trigger, OrderTrigger)
    return LimitOrderTerms(
        order_id=name,
        asset_id=asset_id,
        side=direction,
        details=details,
        target=paying,
        trigger=trigger,
        reduce_only=reduce_only,
        max_trading_fees_rate=fees,
    )

"""Orders as their callers describe them: checked before anything is sent, then put into the units of a market."""

from __future__ import annotations

from decimal import Decimal
from typing import Final, TypeAlias, cast

import attrs

from tplus_trio.arguments import check_choice, check_count, check_instance
from tplus_trio.codec.plain_class import plain_class
from tplus_trio.models import (
    GTC,
    GTD,
    IOC,
    AssetIdentifier,
    LimitOrderDetails,
    Market,
    MarketBaseQuantity,
    MarketOrderDetails,
    MarketQuantity,
    MarketQuoteQuantity,
    Order,
    OrderDetails,
    OrderTrigger,
    Side,
    TimeInForce,
    TradeTarget,
)
from tplus_trio.models.market import to_units
from tplus_trio.models.numbers import check_decimal

__all__ = [
    "Amount",
    "BaseSize",
    "LimitSize",
    "OrderTerms",
    "QuoteSize",
    "Size",
    "check_amount",
    "check_limit_size",
    "check_market_size",
    "check_terms",
    "in_base",
    "in_quote",
    "may_rest",
    "scaled",
]

#: A number of the book's units, or a Decimal in quote units (prices, amounts) or base units (quantities).
Amount: TypeAlias = int | Decimal

#: The highest fee rate that an order accepts if its caller names none, as the service counts it.
_FEES_RATE: Final = 50_000
#: How long an order rests if its caller does not say so.
_TIME_IN_FORCE: Final = GTC()
#: What :func:`check_terms` and the sizes have checked, the constructor of `Order` need not check again.
_plain_order: Final = plain_class(Order)
_PROTOCOL: Final = cast("int", attrs.fields(Order).protocol_version.default)
#: The balance that an order trades for if its caller names none.
_TARGET: Final = TradeTarget.margin_account_spot_trade()


def check_amount(name: str, value: object, unit: str) -> Amount:
    """Check a price, quantity or amount, and return it.

    Args:
        name: The argument's name in the error message.
        value: The argument.
        unit: The unit of a Decimal.

    Raises:
        TypeError: the value is neither an ``int`` nor a Decimal.
        ValueError: the value is not more than 0, not finite, or too long.
    """
    if type(value) is int and value > 0:
        return value
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        msg = f"{name} is an int (units of the book) or a Decimal ({unit}), not {type(value).__name__}"
        raise TypeError(msg)
    if isinstance(value, Decimal):
        check_decimal(value, name, signed=True)
    if value <= 0:
        msg = f"{name} is more than 0, not {value}"
        raise ValueError(msg)
    return value


def scaled(name: str, value: Amount, decimals: int) -> int:
    """Return a number in units of ``10**-decimals``: an ``int`` is one already.

    Raises:
        ValueError: a Decimal is no multiple of the unit.
    """
    return value if isinstance(value, int) else to_units(name, value, decimals)


def in_quote(name: str, price: Amount, market: Market) -> Decimal:
    """Return a price in quote units.

    Raises:
        ValueError: it is no multiple of the market's tick.
    """
    return market.units_to_price(scaled(name, price, market.book_price_decimals))


def in_base(name: str, quantity: Amount, market: Market) -> Decimal:
    """Return a quantity in base units.

    Raises:
        ValueError: it is no multiple of the market's unit.
    """
    return market.units_to_quantity(scaled(name, quantity, market.book_quantity_decimals))


# Sizes and terms are made anew for each order and kept by no one, so they need not be frozen, which costs time.
@attrs.define(kw_only=True, eq=False)
class LimitSize:
    """Price and quantity of a limit order, and how long it rests."""

    price: Amount
    quantity: Amount
    time_in_force: TimeInForce

    def to_details(self, market: Market) -> OrderDetails:
        """Return the terms in the units of a market.

        Raises:
            ValueError: a Decimal is no multiple of the market's units.
        """
        return LimitOrderDetails(
            scaled("price", self.price, market.book_price_decimals),
            scaled("quantity", self.quantity, market.book_quantity_decimals),
            self.time_in_force,
        )


@attrs.frozen(kw_only=True)
class BaseSize:
    """The size of a market order as a base quantity, and the most quote amount that it may spend."""

    base_quantity: Amount
    max_sellable_amount: Amount | None
    fill_or_kill: bool

    def to_details(self, market: Market) -> OrderDetails:
        """Return the terms in the units of a market.

        Raises:
            ValueError: a Decimal is no multiple of the market's units.
        """
        quantity = scaled("base_quantity", self.base_quantity, market.book_quantity_decimals)
        cap = None
        if self.max_sellable_amount is not None:
            cap = scaled("max_sellable_amount", self.max_sellable_amount, market.amount_decimals)
        return MarketOrderDetails(MarketQuantity(base_asset=MarketBaseQuantity(quantity, cap)), self.fill_or_kill)


@attrs.frozen(kw_only=True)
class QuoteSize:
    """The size of a market order as a quote amount, and the most base quantity that it may spend."""

    quote_quantity: Amount
    max_sellable_quantity: Amount | None
    fill_or_kill: bool

    def to_details(self, market: Market) -> OrderDetails:
        """Return the terms in the units of a market.

        Raises:
            ValueError: a Decimal is no multiple of the market's units.
        """
        amount = scaled("quote_quantity", self.quote_quantity, market.amount_decimals)
        cap = None
        if self.max_sellable_quantity is not None:
            cap = scaled("max_sellable_quantity", self.max_sellable_quantity, market.book_quantity_decimals)
        return MarketOrderDetails(MarketQuantity(quote_asset=MarketQuoteQuantity(amount, cap)), self.fill_or_kill)


Size: TypeAlias = LimitSize | BaseSize | QuoteSize


def check_limit_size(quantity: object, price: object, time_in_force: object) -> LimitSize:
    """Check the size of a limit order.

    Raises:
        TypeError, ValueError: an argument is not legal.
    """
    if not isinstance(time_in_force, GTC | GTD | IOC | None):
        msg = f"time_in_force is a GTC(), GTD() or IOC(), or None for GTC(), not {time_in_force!r:.40}"
        raise TypeError(msg)
    return LimitSize(
        price=check_amount("price", price, "quote units"),
        quantity=check_amount("quantity", quantity, "base units"),
        time_in_force=_TIME_IN_FORCE if time_in_force is None else time_in_force,
    )


def check_market_size(
    base_quantity: object,
    quote_quantity: object,
    fill_or_kill: object,
    max_sellable_amount: object,
    max_sellable_quantity: object,
) -> BaseSize | QuoteSize:
    """Check the size of a market order.

    Raises:
        TypeError, ValueError: an argument is not legal, or both sizes are given, or none.
    """
    if (base_quantity is None) == (quote_quantity is None):
        given = "both are given" if base_quantity is not None else "neither is given"
        msg = f"exactly one of base_quantity and quote_quantity is given; {given}"
        raise ValueError(msg)
    all_or_nothing = check_instance("fill_or_kill", fill_or_kill, bool)
    if base_quantity is not None:
        if max_sellable_quantity is not None:
            raise ValueError("max_sellable_quantity goes with quote_quantity; base_quantity takes max_sellable_amount")
        return BaseSize(
            base_quantity=check_amount("base_quantity", base_quantity, "base units"),
            max_sellable_amount=_check_cap("max_sellable_amount", max_sellable_amount, "quote units"),
            fill_or_kill=all_or_nothing,
        )
    if max_sellable_amount is not None:
        raise ValueError("max_sellable_amount goes with base_quantity; quote_quantity takes max_sellable_quantity")
    return QuoteSize(
        quote_quantity=check_amount("quote_quantity", quote_quantity, "quote units"),
        max_sellable_quantity=_check_cap("max_sellable_quantity", max_sellable_quantity, "base units"),
        fill_or_kill=all_or_nothing,
    )


def _check_cap(name: str, value: object, unit: str) -> Amount | None:
    return None if value is None else check_amount(name, value, unit)


@attrs.define(kw_only=True, eq=False)
class OrderTerms:
    """The checked terms of an order, without the units of its market."""

    order_id: str
    asset_id: AssetIdentifier
    side: Side
    size: Size
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

        Raises:
            ValueError: a Decimal is no multiple of the market's units.
        """
        order = _plain_order(
            signer=signer,
            order_id=self.order_id,
            base_asset=self.asset_id,
            book_price_decimals=market.book_price_decimals,
            book_quantity_decimals=market.book_quantity_decimals,
            details=self.size.to_details(market),
            side=self.side,
            trigger=self.trigger,
            creation_timestamp_ns=creation_timestamp_ns,
            target=self.target,
            reduce_only=self.reduce_only,
            max_trading_fees_rate=self.max_trading_fees_rate,
            protocol_version=_PROTOCOL,
        )
        order.__class__ = Order
        return cast("Order", order)


def check_terms(
    order_id: str,
    asset_id: AssetIdentifier,
    size: Size,
    *,
    side: Side | str,
    target: TradeTarget | None,
    max_trading_fees_rate: int | None,
    trigger: OrderTrigger | None,
    reduce_only: bool,
) -> OrderTerms:
    """Check the arguments that limit and market orders share, and replace None by the defaults.

    Raises:
        TypeError, ValueError: an argument is not legal.
    """
    direction = check_choice("side", side, Side)
    paying = _TARGET if target is None else target
    check_instance("target", paying, TradeTarget)
    rate = _FEES_RATE if max_trading_fees_rate is None else max_trading_fees_rate
    check_count("max_trading_fees_rate", rate, least=0)
    check_instance("reduce_only", reduce_only, bool)
    if not isinstance(trigger, OrderTrigger | None):
        msg = f"trigger is an OrderTrigger, such as OrderTrigger(None, TriggerAbove(100)), not {type(trigger).__name__}"
        raise TypeError(msg)
    return OrderTerms(
        order_id=order_id,
        asset_id=asset_id,
        side=direction,
        size=size,
        target=paying,
        trigger=trigger,
        reduce_only=reduce_only,
        max_trading_fees_rate=rate,
    )


def may_rest(order: Order) -> bool:
    """Return whether an order may rest in the book, or wait for its trigger."""
    details = order.details
    rests = isinstance(details, LimitOrderDetails) and not isinstance(details.time_in_force, IOC)
    return rests or order.trigger is not None

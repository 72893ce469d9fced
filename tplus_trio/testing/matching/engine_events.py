"""What goes into the matching engine, and what comes out: orders and events.

Prices and quantities are integers in the book's units; an amount is price times quantity.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import attrs

from tplus_trio.models import GTC, GTD, IOC, LimitOrderDetails, MarketOrderDetails, Side

__all__ = [
    "Accepted",
    "Amended",
    "Done",
    "DoneReason",
    "EngineOrder",
    "Event",
    "Fill",
    "LevelChanged",
    "OrderState",
    "RejectReason",
    "Rejected",
    "Replaced",
]

#: Why an order is gone, in the words of the order feed.
DoneReason: TypeAlias = Literal["Completed", "Canceled", "Expired", "SelfTradePrevented"]

#: Why an action was refused, and nothing changed, in the manner of the exchange's error codes.
RejectReason: TypeAlias = Literal[
    "DUPLICATE_ORDER",
    "FOK_NOT_FILLABLE",
    "INVALID_ORDER_EXPIRED",
    "INVALID_ORDER_PRICE",
    "INVALID_ORDER_QUANTITY",
    "ORDER_NOT_FOUND",
    "POST_ONLY_WOULD_CROSS",
    "SELF_TRADE_PREVENTED",
]


@attrs.frozen
class EngineOrder:
    """An order's terms. A replacement or an amendment makes a new one of the same id."""

    order_id: str
    user_id: str
    side: Side
    details: LimitOrderDetails | MarketOrderDetails

    @property
    def limit(self) -> LimitOrderDetails:
        """The terms of a limit order, which every resting order is.

        Raises:
            TypeError: It is a market order.
        """
        if not isinstance(self.details, LimitOrderDetails):
            raise TypeError(f"order {self.order_id} is a market order")
        return self.details

    @property
    def by_amount(self) -> bool:
        """Whether its size is a quote amount; only a market order's can be."""
        return isinstance(self.details, MarketOrderDetails) and self.details.quantity.quote_asset is not None

    @property
    def may_rest(self) -> bool:
        """Whether what does not trade at once waits in the book."""
        details = self.details
        return isinstance(details, LimitOrderDetails) and isinstance(details.time_in_force, GTC | GTD)

    @property
    def post_only(self) -> bool:
        """Whether it must not trade at once."""
        details = self.details
        return (
            isinstance(details, LimitOrderDetails)
            and isinstance(details.time_in_force, GTC | GTD)
            and details.time_in_force.post_only
        )

    @property
    def fill_or_kill(self) -> bool:
        """Whether it must trade whole at once, or not at all."""
        details = self.details
        if isinstance(details, MarketOrderDetails):
            return details.fill_or_kill
        return isinstance(details.time_in_force, IOC) and details.time_in_force.fill_or_kill


@attrs.frozen
class OrderState:
    """An order and what has become of it so far."""

    order: EngineOrder
    #: The base quantity traded.
    filled: int = 0
    #: The quote amount traded.
    amount: int = 0

    @property
    def order_id(self) -> str:
        """The order's id."""
        return self.order.order_id

    @property
    def remaining(self) -> int:
        """The base quantity still to trade, of a limit order."""
        return self.order.limit.quantity - self.filled

    def after_trade(self, price: int, quantity: int) -> OrderState:
        """The state that a trade leaves."""
        return OrderState(self.order, self.filled + quantity, self.amount + price * quantity)


@attrs.frozen
class Accepted:
    """An order came in, and was not refused."""

    order: EngineOrder


@attrs.frozen
class Rejected:
    """An action was refused: nothing traded, nothing changed."""

    order_id: str
    reason: RejectReason


@attrs.frozen
class Fill:
    """Two orders traded, at the price of the one that was there first."""

    trade_id: int
    price: int
    quantity: int
    #: The order that rested in the book, as it is after the trade.
    maker: OrderState
    #: The order that came, as it is after the trade.
    taker: OrderState

    @property
    def buyer_is_maker(self) -> bool:
        """Whether the resting order was the one that bought."""
        return self.maker.order.side is Side.BUY


@attrs.frozen
class Done:
    """An accepted order is gone; what it had not traded by then never will be."""

    state: OrderState
    reason: DoneReason


@attrs.frozen
class Replaced:
    """An order has new terms, and in general a new place in the queue."""

    state: OrderState


@attrs.frozen
class Amended:
    """An order's quantity was reduced; it kept its place in the queue."""

    state: OrderState


@attrs.frozen
class LevelChanged:
    """The total that rests at a price is another now; 0 is an empty level."""

    side: Side
    price: int
    quantity: int


Event: TypeAlias = Accepted | Rejected | Fill | Done | Replaced | Amended | LevelChanged

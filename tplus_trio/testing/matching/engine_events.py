"""The input and output of the matching engine: orders and events.

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

#: Why an order is no longer in the book, in the words of the order feed.
DoneReason: TypeAlias = Literal["Completed", "Canceled", "Expired", "SelfTradePrevented"]

#: Why an action was refused without changing anything, as an error code of the service.
RejectReason: TypeAlias = Literal[
    "DUPLICATE_ORDER",
    "FOK_NOT_FILLABLE",
    "INVALID_ORDER_EXPIRED",
    "INVALID_ORDER_PRICE",
    "INVALID_ORDER_QUANTITY",
    "ORDER_NOT_FOUND",
    "POST_ONLY_WOULD_CROSS",
    "REDUCE_ONLY_WOULD_INCREASE",
    "SELF_TRADE_PREVENTED",
]


@attrs.frozen
class EngineOrder:
    """An order's terms. A replacement or an amendment makes a new object with the same id."""

    order_id: str
    user_id: str
    side: Side
    details: LimitOrderDetails | MarketOrderDetails
    #: The sub-account that trades.
    account: int = 0
    #: Whether it may only reduce the position of its sub-account.
    reduce_only: bool = False

    @property
    def limit(self) -> LimitOrderDetails:
        """The terms of a limit order; every resting order is one.

        Raises:
            TypeError: The order is a market order.
        """
        if not isinstance(self.details, LimitOrderDetails):
            raise TypeError(f"order {self.order_id} is a market order")
        return self.details

    @property
    def by_amount(self) -> bool:
        """Whether its size is a quote amount; only a market order's size can be."""
        return isinstance(self.details, MarketOrderDetails) and self.details.quantity.quote_asset is not None

    @property
    def may_rest(self) -> bool:
        """Whether the part that does not trade immediately rests in the book."""
        details = self.details
        return isinstance(details, LimitOrderDetails) and isinstance(details.time_in_force, GTC | GTD)

    @property
    def post_only(self) -> bool:
        """Whether it must not trade immediately."""
        details = self.details
        return (
            isinstance(details, LimitOrderDetails)
            and isinstance(details.time_in_force, GTC | GTD)
            and details.time_in_force.post_only
        )

    @property
    def fill_or_kill(self) -> bool:
        """Whether it must trade completely and immediately, or not at all."""
        details = self.details
        if isinstance(details, MarketOrderDetails):
            return details.fill_or_kill
        return isinstance(details.time_in_force, IOC) and details.time_in_force.fill_or_kill


@attrs.frozen
class OrderState:
    """An order and how much of it has traded."""

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
        """Return the state after a trade."""
        return OrderState(self.order, self.filled + quantity, self.amount + price * quantity)


@attrs.frozen
class Accepted:
    """The engine accepted an order."""

    order: EngineOrder


@attrs.frozen
class Rejected:
    """The engine refused an action; nothing traded and nothing changed."""

    order_id: str
    reason: RejectReason


@attrs.frozen
class Fill:
    """Two orders traded, at the price of the resting one."""

    trade_id: int
    price: int
    quantity: int
    #: The order that rested in the book, after the trade.
    maker: OrderState
    #: The incoming order, after the trade.
    taker: OrderState

    @property
    def buyer_is_maker(self) -> bool:
        """Whether the resting order was the buy order."""
        return self.maker.order.side is Side.BUY


@attrs.frozen
class Done:
    """An accepted order ended; its untraded rest will never trade."""

    state: OrderState
    reason: DoneReason


@attrs.frozen
class Replaced:
    """An order got new terms; in general it lost its place in the queue."""

    state: OrderState


@attrs.frozen
class Amended:
    """An order's quantity was reduced; it kept its place in the queue."""

    state: OrderState


@attrs.frozen
class LevelChanged:
    """The total that rests at a price changed; 0 is an empty level."""

    side: Side
    price: int
    quantity: int


Event: TypeAlias = Accepted | Rejected | Fill | Done | Replaced | Amended | LevelChanged

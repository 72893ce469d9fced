"""The things of the exchange as frozen attrs classes: one file per noun, no I/O.

Sequences are tuples. Times are integer nanoseconds since the Unix epoch, UTC.

* Books, trades, candles and tickers: prices are in quote units, quantities in base units, as
  :class:`~decimal.Decimal`.
* Orders, order events and order listings: prices and quantities count the book's units. One price unit is
  ``10**-book_price_decimals`` quote units, one quantity unit ``10**-book_quantity_decimals`` base units; see
  :class:`~tplus_trio.Market`.

A constructor refuses illegal values with ``ValueError`` and wrong types with ``TypeError``. Decoding refuses the same
values with :class:`~tplus_trio.errors.DecodeError`.
"""

from __future__ import annotations

from tplus_trio.models.asset import (
    AssetIdentifier,
)
from tplus_trio.models.auth import (
    AuthToken,
    Nonce,
)
from tplus_trio.models.book import (
    LinkedDiff,
    OrderBook,
    OrderBookDiff,
    PriceLevel,
)
from tplus_trio.models.enums import (
    OpenEnum,
)
from tplus_trio.models.gap import (
    Gap,
)
from tplus_trio.models.intent import (
    IntentAggregateUpdate,
)
from tplus_trio.models.kline import (
    Interval,
    KlinesPage,
    KlineUpdate,
    Timebar,
)
from tplus_trio.models.loss import (
    BookLost,
    StreamLost,
)
from tplus_trio.models.market import (
    Market,
)
from tplus_trio.models.order import (
    GTC,
    GTD,
    IOC,
    CancelOrder,
    CancelOrderRequest,
    CreateOrderRequest,
    LimitOrderDetails,
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
    TriggerAbove,
    TriggerBelow,
    TriggerCondition,
    new_order_id,
    validate_order_id,
)
from tplus_trio.models.order_change import (
    AmendOrder,
    AmendOrderRequest,
    ReplaceOrderDetails,
    ReplaceOrderRequestPayload,
)
from tplus_trio.models.order_event import (
    OrderAmendedEvent,
    OrderAmendFailedEvent,
    OrderCancelFailedEvent,
    OrderCancelledEvent,
    OrderCreatedEvent,
    OrderCreateFailedEvent,
    OrderEvent,
    OrderRemovedEvent,
    OrderReplacedEvent,
    OrderReplaceFailedEvent,
    OrderTriggeredEvent,
    OrderUpdatedEvent,
    UnknownOrderEvent,
)
from tplus_trio.models.order_response import (
    OperationStatus,
    OrderOperationResponse,
    OrderResponse,
    OrdersSnapshot,
    UserOrders,
)
from tplus_trio.models.position import (
    Position,
    PositionSide,
    PositionUpdate,
)
from tplus_trio.models.rows import (
    BadRow,
    Rows,
)
from tplus_trio.models.ticker import (
    BookLevel,
    Ticker,
    TickerOpenInterest,
)
from tplus_trio.models.trade import (
    Trade,
    TradeStatus,
    UserTrade,
)
from tplus_trio.models.user_event import (
    CalledVenue,
    DepositLanded,
    MarginCallUpdated,
    PositionCleared,
    SubAccountAssetTransferred,
    UserActivityEvent,
    WithdrawalCompleted,
)

__all__ = [
    "GTC",
    "GTD",
    "IOC",
    "AmendOrder",
    "AmendOrderRequest",
    "AssetIdentifier",
    "AuthToken",
    "BadRow",
    "BookLevel",
    "BookLost",
    "CalledVenue",
    "CancelOrder",
    "CancelOrderRequest",
    "CreateOrderRequest",
    "DepositLanded",
    "Gap",
    "IntentAggregateUpdate",
    "Interval",
    "KlineUpdate",
    "KlinesPage",
    "LimitOrderDetails",
    "LinkedDiff",
    "MarginCallUpdated",
    "Market",
    "MarketBaseQuantity",
    "MarketOrderDetails",
    "MarketQuantity",
    "MarketQuoteQuantity",
    "Nonce",
    "OpenEnum",
    "OperationStatus",
    "Order",
    "OrderAmendFailedEvent",
    "OrderAmendedEvent",
    "OrderBook",
    "OrderBookDiff",
    "OrderCancelFailedEvent",
    "OrderCancelledEvent",
    "OrderCreateFailedEvent",
    "OrderCreatedEvent",
    "OrderDetails",
    "OrderEvent",
    "OrderOperationResponse",
    "OrderRemovedEvent",
    "OrderReplaceFailedEvent",
    "OrderReplacedEvent",
    "OrderResponse",
    "OrderTrigger",
    "OrderTriggeredEvent",
    "OrderUpdatedEvent",
    "OrdersSnapshot",
    "Position",
    "PositionCleared",
    "PositionSide",
    "PositionUpdate",
    "PriceLevel",
    "ReplaceOrderDetails",
    "ReplaceOrderRequestPayload",
    "Rows",
    "Side",
    "StreamLost",
    "SubAccountAssetTransferred",
    "Ticker",
    "TickerOpenInterest",
    "TimeInForce",
    "Timebar",
    "Trade",
    "TradeStatus",
    "TradeTarget",
    "TriggerAbove",
    "TriggerBelow",
    "TriggerCondition",
    "UnknownOrderEvent",
    "UserActivityEvent",
    "UserOrders",
    "UserTrade",
    "WithdrawalCompleted",
    "new_order_id",
    "validate_order_id",
]

"""The feeds of the order book service: path, decoders and recovery of each. All of them need a user."""

from __future__ import annotations

from functools import partial

from tplus_trio import codec
from tplus_trio.clients.user_orders import UserOrdersReader
from tplus_trio.models import Gap, IntentAggregateUpdate, PositionUpdate, UserActivityEvent, UserTrade
from tplus_trio.streams.feed import Feed
from tplus_trio.streams.recovery import GapMarking, OrdersRecovery, OrdersUpdate
from tplus_trio.users import User

__all__ = [
    "finalized_trades_feed",
    "intent_feed",
    "orders_feed",
    "positions_feed",
    "trade_events_feed",
    "user_events_feed",
]


def orders_feed(owner: User, orders: UserOrdersReader, *, snapshot: bool = False) -> Feed[OrdersUpdate]:
    """Return the feed of a user's order events; ``GET /orders/user/{key}`` gives the open orders after a loss.

    Args:
        owner: The user.
        orders: Reads the user's orders.
        snapshot: Whether the open orders are also read when the feed connects for the first time.
    """
    return Feed(
        path="/orders",
        decode=orders.seeing(owner, codec.decode_order_event_frame),
        decode_batch=orders.seeing(owner, codec.decode_order_event_batch),
        recovery=partial(OrdersRecovery, snapshot=snapshot),
        fetch=lambda _page, dispatch: orders.read_open(owner, dispatch),
        user=owner,
        private=True,
    )


def trade_events_feed(owner: User, orders: UserOrdersReader) -> Feed[UserTrade | Gap]:
    """Return the feed of a user's trades at every status. REST does not list them, so a `Gap` marks a loss."""
    return _trades(f"/trades/user/events/{owner.public_key}", owner, orders)


def finalized_trades_feed(owner: User, orders: UserOrdersReader) -> Feed[UserTrade | Gap]:
    """Return the feed of a user's confirmed trades. REST does not list them, so a `Gap` marks a loss."""
    return _trades(f"/trades/user/{owner.public_key}", owner, orders)


def _trades(path: str, owner: User, orders: UserOrdersReader) -> Feed[UserTrade | Gap]:
    return Feed(
        path=path,
        decode=orders.seeing(owner, codec.decode_user_trade_frame),
        decode_batch=orders.seeing(owner, codec.decode_user_trade_batch),
        recovery=GapMarking,
        user=owner,
        private=True,
    )


def positions_feed(owner: User) -> Feed[PositionUpdate]:
    """Return the feed of a user's positions. Each item contains all of them, so no recovery is needed."""
    return Feed(path=f"/positions/ws/{owner.public_key}", decode=codec.decode_positions_frame, user=owner, private=True)


def user_events_feed(owner: User) -> Feed[UserActivityEvent | Gap]:
    """Return the feed of a user's account events. REST does not list them, so a `Gap` marks a loss."""
    return Feed(
        path=f"/account/events/{owner.public_key}",
        decode=codec.decode_user_event_frame,
        recovery=GapMarking[UserActivityEvent],
        user=owner,
        private=True,
    )


def intent_feed(owner: User) -> Feed[IntentAggregateUpdate]:
    """Return the feed of the intents of all users, for market makers. A loss is not recovered."""
    return Feed(path="/intent/ws", decode=codec.decode_intent_frame, user=owner, private=True)

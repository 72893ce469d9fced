"""The feeds of a user: orders, trades, positions, account events, and the intent of other users."""

from __future__ import annotations

from typing import Unpack

from tplus_trio.arguments import check_instance
from tplus_trio.clients.base import StreamOptions
from tplus_trio.clients.order_service import OrderServiceClient
from tplus_trio.clients.user_feeds import (
    finalized_trades_feed,
    intent_feed,
    orders_feed,
    positions_feed,
    trade_events_feed,
    user_events_feed,
)
from tplus_trio.models import Gap, IntentAggregateUpdate, PositionUpdate, UserActivityEvent, UserTrade
from tplus_trio.streams.recovery import OrdersUpdate
from tplus_trio.streams.stream import Stream
from tplus_trio.users import User

__all__ = ["UserStreams"]


class UserStreams(OrderServiceClient):
    """The streams of `OrderBookClient`."""

    def stream_orders(
        self, user: User | None = None, *, snapshot: bool = False, **options: Unpack[StreamOptions]
    ) -> Stream[OrdersUpdate]:
        """Stream the events of a user's orders (feed ``/orders``).

        After an interruption, the stream reads the open orders from ``GET /orders/user/{key}`` and delivers an
        `OrdersSnapshot` first. Events carry no sequence number: an event right after a snapshot may repeat what the
        snapshot contains. `stream_user_trade_events` delivers the fills.

        Args:
            user: The user to sign in as; None is the default user.
            snapshot: Whether the stream also begins with an `OrdersSnapshot`. It is read after the feed has connected,
                so that no order is missing from both.
            options: See `StreamOptions`.

        Returns:
            A stream of order events and `OrdersSnapshot`: prices and quantities are integers in the book's units.

        Raises:
            MissingUserError: there is no user.
            TypeError, ValueError: an argument is not legal.
        """
        owner = self._user(user)
        begins = check_instance("snapshot", snapshot, bool)
        return self._stream(orders_feed(owner, self._orders, snapshot=begins), options)

    def stream_user_trade_events(
        self, user: User | None = None, **options: Unpack[StreamOptions]
    ) -> Stream[UserTrade | Gap]:
        """Stream a user's trades at every status: pending, confirmed, rolled back (feed ``/trades/user/events/{key}``).

        The service does not send again what it sent during an interruption. A `Gap` marks where trades may be missing.

        Args:
            user: The user to sign in as; None is the default user.
            options: See `StreamOptions`.

        Returns:
            A stream of `UserTrade` (prices in quote units, quantities in base units) and `Gap`.

        Raises:
            MissingUserError: there is no user.
            TypeError, ValueError: an argument is not legal.
        """
        return self._stream(trade_events_feed(self._user(user), self._orders), options)

    def stream_user_finalized_trades(
        self, user: User | None = None, **options: Unpack[StreamOptions]
    ) -> Stream[UserTrade | Gap]:
        """Stream a user's confirmed trades (feed ``/trades/user/{key}``).

        The service does not send again what it sent during an interruption. A `Gap` marks where trades may be missing.

        Args:
            user: The user to sign in as; None is the default user.
            options: See `StreamOptions`.

        Returns:
            A stream of `UserTrade` (prices in quote units, quantities in base units) and `Gap`.

        Raises:
            MissingUserError: there is no user.
            TypeError, ValueError: an argument is not legal.
        """
        return self._stream(finalized_trades_feed(self._user(user), self._orders), options)

    def stream_user_positions(
        self, user: User | None = None, **options: Unpack[StreamOptions]
    ) -> Stream[PositionUpdate]:
        """Stream a user's positions, all of them each time that one changes (feed ``/positions/ws/{key}``).

        Args:
            user: The user to sign in as; None is the default user.
            options: See `StreamOptions`.

        Returns:
            A stream of `PositionUpdate`. Each replaces the one before it.

        Raises:
            MissingUserError: there is no user.
            TypeError, ValueError: an argument is not legal.
        """
        return self._stream(positions_feed(self._user(user)), options)

    def stream_user_events(
        self, user: User | None = None, **options: Unpack[StreamOptions]
    ) -> Stream[UserActivityEvent | Gap]:
        """Stream deposits, withdrawals, transfers and margin calls (feed ``/account/events/{key}``).

        The service does not send again what it sent during an interruption. A `Gap` marks where events may be missing.

        Args:
            user: The user to sign in as; None is the default user.
            options: See `StreamOptions`.

        Returns:
            A stream of account events, amounts in units of 10**-18 of the asset, and `Gap`.

        Raises:
            MissingUserError: there is no user.
            TypeError, ValueError: an argument is not legal.
        """
        return self._stream(user_events_feed(self._user(user)), options)

    def stream_intent(
        self, user: User | None = None, **options: Unpack[StreamOptions]
    ) -> Stream[IntentAggregateUpdate]:
        """Stream how much other users intend to trade, market by market (feed ``/intent/ws``).

        Only market makers may read this feed: the service refuses other users.

        Args:
            user: The user to sign in as; None is the default user.
            options: See `StreamOptions`.

        Returns:
            A stream of `IntentAggregateUpdate`. What is sent during an interruption is missing.

        Raises:
            MissingUserError: there is no user.
            TypeError, ValueError: an argument is not legal.
        """
        return self._stream(intent_feed(self._user(user)), options)

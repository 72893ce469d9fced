"""The feeds that ``tplus-trio stream`` can print, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tplus_trio.cli.services import Services

if TYPE_CHECKING:
    from tplus_trio.clients.base import Client
    from tplus_trio.models import AssetIdentifier
    from tplus_trio.streams.stream import Stream
    from tplus_trio.users import User

__all__ = ["FEEDS", "Feed"]


class Feed(NamedTuple):
    """How to open a feed: the client's method, and whether it needs a market or a user."""

    method: str
    of_market: bool = False
    #: Whether it is a feed of the order service.
    of_user: bool = False

    def client(self, services: Services, user: User | None) -> Client:
        """Make the client that has the feed."""
        return services.orders(user) if self.of_user else services.market_data(user)

    def open(self, client: Client, asset: AssetIdentifier | None = None, **options: Any) -> Stream[Any]:
        """Return a stream of the feed, not entered."""
        stream: Stream[Any] = getattr(client, self.method)(*(() if asset is None else (asset,)), **options)
        return stream


FEEDS: Final[Mapping[str, Feed]] = {
    "trades": Feed("stream_finalized_trades"),
    "depth": Feed("stream_depth", of_market=True),
    "klines": Feed("stream_klines", of_market=True),
    "ticker": Feed("stream_ticker", of_market=True),
    "tickers": Feed("stream_tickers"),
    "orders": Feed("stream_orders", of_user=True),
    "user-trades": Feed("stream_user_trade_events", of_user=True),
    "user-finalized-trades": Feed("stream_user_finalized_trades", of_user=True),
    "positions": Feed("stream_user_positions", of_user=True),
    "user-events": Feed("stream_user_events", of_user=True),
    "intent": Feed("stream_intent", of_user=True),
}

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
    help: str
    of_market: bool = False
    #: Whether it is a feed of the order service.
    of_user: bool = False

    def client(self, services: Services, user: User | None) -> Client:
        """Make the client that has the feed."""
        return services.orders(user) if self.of_user else services.market_data(user)

    def open(self, client: Client, asset: AssetIdentifier | None, **options: Any) -> Stream[Any]:
        """Return a stream of the feed, not entered."""
        stream: Stream[Any] = getattr(client, self.method)(*(() if asset is None else (asset,)), **options)
        return stream


FEEDS: Final[Mapping[str, Feed]] = {
    "depth": Feed("stream_depth", "the book of a market: a snapshot, then its changes", of_market=True),
    "klines": Feed("stream_klines", "the candles of a market", of_market=True),
    "ticker": Feed("stream_ticker", "the 24-hour summary of a market", of_market=True),
    "tickers": Feed("stream_tickers", "the 24-hour summaries of all markets"),
    "trades": Feed("stream_finalized_trades", "the confirmed trades of all markets"),
    "orders": Feed("stream_orders", "what happens to the user's orders", of_user=True),
    "user-trades": Feed("stream_user_trade_events", "the user's trades at every status", of_user=True),
    "user-finalized-trades": Feed("stream_user_finalized_trades", "the user's confirmed trades", of_user=True),
    "positions": Feed("stream_user_positions", "all positions of the user, when one changes", of_user=True),
    "user-events": Feed("stream_user_events", "deposits, transfers and margin calls of the user", of_user=True),
    "intent": Feed("stream_intent", "what other users intend to trade; for market makers", of_user=True),
}

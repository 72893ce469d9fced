"""The feeds that ``tplus-trio stream`` can print, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs

from tplus_trio.cli.failure import explaining
from tplus_trio.cli.lines import Lines
from tplus_trio.cli.show import as_json, as_text
from tplus_trio.clients.base import Client
from tplus_trio.clients.market_data import MarketDataClient
from tplus_trio.clients.order_book import OrderBookClient
from tplus_trio.models import AssetIdentifier
from tplus_trio.streams.stream import Stream
from tplus_trio.users import User

__all__ = ["FEEDS", "Feed", "watch"]


@attrs.frozen
class Feed:
    """How to open a feed: the client's class, its stream method, and whether it needs a market or a user."""

    client: Callable[..., Client]
    open: Callable[..., Stream[Any]]
    of_market: bool = False
    of_user: bool = False


FEEDS: Final[Mapping[str, Feed]] = {
    "trades": Feed(MarketDataClient, MarketDataClient.stream_finalized_trades),
    "depth": Feed(MarketDataClient, MarketDataClient.stream_depth, of_market=True),
    "klines": Feed(MarketDataClient, MarketDataClient.stream_klines, of_market=True),
    "ticker": Feed(MarketDataClient, MarketDataClient.stream_ticker, of_market=True),
    "tickers": Feed(MarketDataClient, MarketDataClient.stream_tickers),
    "orders": Feed(OrderBookClient, OrderBookClient.stream_orders, of_user=True),
    "user-trades": Feed(OrderBookClient, OrderBookClient.stream_user_trade_events, of_user=True),
}


async def watch(
    lines: Lines, name: str, asset: AssetIdentifier | None, *, url: str | None, user: User | None, json: bool
) -> int:
    """Print a feed until cancelled.

    The first connection must succeed. A connection that is lost later is made again, without a limit.

    Args:
        lines: Where to print.
        name: The feed's name in `FEEDS`.
        asset: The market, for the feed of one market; else None.
        url: The service's URL; None is the client's default.
        user: The user to sign in as, for a feed of one user.
        json: Whether to print JSON.

    Raises:
        Failure: The URL is not valid.
        TplusError: The first connection failed, or the stream ended with an error.
    """
    feed = FEEDS[name]
    with explaining("--url", ValueError):
        client = feed.client(**({} if url is None else {"base_url": url}), default_user=user)
    market = () if asset is None else (asset,)
    async with client:
        async with feed.open(client, *market, restart=None) as first:
            await first.wait_live()
        async with feed.open(client, *market) as stream:
            async for event in stream:
                await lines.put(as_json(event) if json else as_text(name, asset or "", event))
    return 0

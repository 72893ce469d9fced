"""The client of the market data service: public trades, books, candles and tickers."""

from __future__ import annotations

from typing import TypeVar, Unpack

from tplus_trio import codec
from tplus_trio.arguments import check_count
from tplus_trio.book.live import LiveBook
from tplus_trio.clients.bad_rows import report_bad_rows
from tplus_trio.clients.base import CALL, BookOptions, ClientOptions, StreamOptions, asset
from tplus_trio.clients.market_feeds import depth_feed, klines_feed, ticker_feed, tickers_feed, trades_feed
from tplus_trio.clients.market_history import MarketHistory
from tplus_trio.clients.paging import page_params
from tplus_trio.clients.user_history import UserHistory
from tplus_trio.models import AssetIdentifier, Gap, KlineUpdate, OrderBook, Rows, Ticker, Trade
from tplus_trio.streams.feed import Feed
from tplus_trio.streams.recovery import Depth, Sequencing
from tplus_trio.streams.stream import Stream
from tplus_trio.transport.pacing import Dispatch
from tplus_trio.users import User

__all__ = ["MarketDataClient"]

T = TypeVar("T")


#: The most REST pages that a stream requests to fill one gap.
_BACKFILL_PAGES = 10
#: Rows on each of these pages.
_PAGE = 100


class MarketDataClient(MarketHistory, UserHistory):
    """A client of the market data service.

    Every call works without a user, but for the reads of a user's own history. With a ``default_user`` the client signs
    in, for the higher rate limits. If the sign-in fails, it sends the request anonymously.

    A stream or a live book connects when it is entered, a stream also when it is iterated. Leaving it closes its
    connection. A REST read that is cancelled leaves nothing behind: its connection is closed.

    The arguments are those of every client: see `Client`.
    """

    def __init__(
        self,
        base_url: str = "http://localhost:8011",
        *,
        default_user: User | None = None,
        **options: Unpack[ClientOptions],
    ) -> None:
        super().__init__(base_url, default_user=default_user, **options)

    # Streams.

    def stream_finalized_trades(
        self, *, backfill_pages: int = _BACKFILL_PAGES, **options: Unpack[StreamOptions]
    ) -> Stream[Trade | Gap]:
        """Stream the confirmed trades of all markets, each once, in the order of the exchange (feed ``/trades``).

        After an interruption, the stream requests the missed trades from ``GET /trades`` and delivers them first. If
        these pages do not reach back far enough, it delivers a `Gap` instead.

        Args:
            backfill_pages: The most pages of 100 trades that are requested after an interruption; at least 1.
            options: See `StreamOptions`.

        Returns:
            A stream of `Trade` (prices in quote units, quantities in base units) and `Gap`.

        Raises:
            TypeError, ValueError: an argument is not legal.
        """
        feed = trades_feed(
            lambda page, dispatch: self._trades("/trades", page, _PAGE, dispatch),
            self._default_user,
            max_pages=check_count("backfill_pages", backfill_pages),
            confirm_timeout=self._confirm(options),
        )
        return self._stream(feed, options)

    def stream_depth(
        self,
        asset_id: AssetIdentifier | str | int,
        *,
        sequence: Sequencing = "auto",
        **options: Unpack[StreamOptions],
    ) -> Stream[Depth]:
        """Stream a market's order book: an `OrderBook`, then each `OrderBookDiff` (feed ``/marketdepth/diff/{asset}``).

        After every loss of continuity, the stream requests ``GET /marketdepth/{asset}`` and delivers a new `OrderBook`,
        which replaces the book so far. With ``overflow="conflate"``, waiting diffs are merged. With
        ``overflow="drop_oldest"``, a `Gap` precedes the `OrderBook` where items were dropped.

        Args:
            asset_id: The market.
            sequence: ``"contiguous"``: each sequence number is the last plus one; any other number is a loss.
                ``"increasing"``: any higher number is the next. ``"auto"``: contiguous, until the service proves
                otherwise.
            options: See `StreamOptions`.

        Returns:
            A stream of `OrderBook`, `OrderBookDiff` and `Gap`: prices in quote units, quantities in base units.

        Raises:
            TypeError, ValueError: an argument is not legal.
        """
        return self._stream(self._depth(asset(asset_id), sequence), options)

    def open_book(
        self,
        asset_id: AssetIdentifier | str | int,
        *,
        sequence: Sequencing = "auto",
        **options: Unpack[BookOptions],
    ) -> LiveBook:
        """Open a market's order book that the client keeps up to date (feed ``/marketdepth/diff/{asset}``).

        Use it as ``async with client.open_book(asset) as book:``. The book is updated until the block is left.

        Args:
            asset_id: The market.
            sequence: As for `stream_depth`.
            options: See `BookOptions`.

        Returns:
            A `LiveBook`: prices in quote units, quantities in base units.

        Raises:
            TypeError, ValueError: an argument is not legal.
        """
        market = asset(asset_id)
        return self._book(self._depth(market, sequence), market, options)

    def _depth(self, asset_id: AssetIdentifier, sequence: Sequencing) -> Feed[Depth]:
        return depth_feed(
            asset_id, sequence, lambda _page, dispatch: self._snapshot(asset_id, dispatch), self._default_user
        )

    def stream_klines(
        self,
        asset_id: AssetIdentifier | str | int,
        *,
        backfill_pages: int = _BACKFILL_PAGES,
        **options: Unpack[StreamOptions],
    ) -> Stream[KlineUpdate | Gap]:
        """Stream a market's candles: the current candle each time that it changes (feed ``/klines/diff/{asset}``).

        After an interruption, the stream requests the missed candles from ``GET /klines/{asset}`` and delivers them
        first, each in its latest state. If these pages do not reach back far enough, it delivers a `Gap` instead.
        With ``overflow="conflate"``, the buffer keeps the newest state of each waiting candle.

        Args:
            asset_id: The market.
            backfill_pages: The most pages of 100 candles that are requested after an interruption; at least 1.
            options: See `StreamOptions`.

        Returns:
            A stream of `KlineUpdate` (prices in quote units, volume in base units) and `Gap`.

        Raises:
            TypeError, ValueError: an argument is not legal.
        """
        market = asset(asset_id)
        feed = klines_feed(
            market,
            lambda page, dispatch: self._klines(market, page, _PAGE, dispatch=dispatch),
            self._default_user,
            max_pages=check_count("backfill_pages", backfill_pages),
            confirm_timeout=self._confirm(options),
        )
        return self._stream(feed, options)

    def stream_ticker(self, asset_id: AssetIdentifier | str | int, **options: Unpack[StreamOptions]) -> Stream[Ticker]:
        """Stream a market's 24-hour summary each time that it changes (feed ``/ticker/ws/{asset}``).

        With ``overflow="conflate"``, the buffer keeps the newest summary.

        Args:
            asset_id: The market.
            options: See `StreamOptions`.

        Returns:
            A stream of `Ticker`: prices in quote units, quantities in base units.

        Raises:
            TypeError, ValueError: an argument is not legal.
        """
        return self._stream(ticker_feed(asset(asset_id), self._default_user), options)

    def stream_tickers(self, **options: Unpack[StreamOptions]) -> Stream[Ticker]:
        """Stream the 24-hour summaries of all markets, one item for each change (feed ``/tickers/ws``).

        With ``overflow="conflate"``, the buffer keeps the newest summary of each market.

        Args:
            options: See `StreamOptions`.

        Returns:
            A stream of `Ticker`: prices in quote units, quantities in base units.

        Raises:
            TypeError, ValueError: an argument is not legal.
        """
        return self._stream(tickers_feed(self._default_user), options)

    # REST.

    async def get_orderbook_snapshot(self, asset_id: AssetIdentifier | str | int) -> OrderBook:
        """Read a market's order book (``GET /marketdepth/{asset}``).

        Cancelling it closes the request's connection and leaves nothing behind.

        Args:
            asset_id: The market.

        Returns:
            The whole book, the best level of each side first: prices in quote units, quantities in base units.

        Raises:
            ApiError: the service refused the request; `RateLimitError` for too many requests.
            ConnectionFailed: the service could not be reached, or sent no answer within the client's ``timeout``.
            DecodeError: the answer is not an order book, or is too large.
            TypeError: ``asset_id`` is not an asset, a str or an int.
            ValueError: ``asset_id`` is not a valid asset.
        """
        return await self._snapshot(asset(asset_id), CALL)

    async def _snapshot(self, asset_id: AssetIdentifier, dispatch: Dispatch) -> OrderBook:
        return codec.decode(await self._public(f"/marketdepth/{asset_id}", dispatch), OrderBook)

    async def get_trades(self, page: int | None = None, limit: int | None = None) -> Rows[Trade]:
        """Read a page of the confirmed trades of all markets, newest first (``GET /trades``).

        Cancelling it closes the request's connection and leaves nothing behind.

        Args:
            page: The number of the page, at least 0; None is the first page, 0.
            limit: Trades on a page, at least 1; the service may send fewer. None is the service's default.

        Returns:
            The trades that could be decoded, prices in quote units and quantities in base units. ``bad`` has the other
            rows, and the client logs a warning about them.

        Raises:
            ApiError: the service refused the request; `RateLimitError` for too many requests.
            ConnectionFailed: the service could not be reached, or sent no answer within the client's ``timeout``.
            DecodeError: the answer is not a list or is too large, or none of its rows can be decoded.
            TypeError: ``page`` or ``limit`` is neither None nor an int.
            ValueError: ``page`` or ``limit`` is out of range.
        """
        return _readable(await self._trades("/trades", page, limit), "/trades")

    async def get_trades_for_asset(
        self, asset_id: AssetIdentifier | str | int, page: int | None = None, limit: int | None = None
    ) -> Rows[Trade]:
        """Read a page of a market's confirmed trades, newest first (``GET /trades/{asset}``).

        Cancelling it closes the request's connection and leaves nothing behind.

        Args:
            asset_id: The market.
            page: The number of the page, at least 0; None is the first page, 0.
            limit: Trades on a page, at least 1; the service may send fewer. None is the service's default.

        Returns:
            The trades that could be decoded, prices in quote units and quantities in base units. ``bad`` has the other
            rows, and the client logs a warning about them.

        Raises:
            ApiError: the service refused the request; `RateLimitError` for too many requests.
            ConnectionFailed: the service could not be reached, or sent no answer within the client's ``timeout``.
            DecodeError: the answer is not a list or is too large, or none of its rows can be decoded.
            TypeError: an argument has the wrong type.
            ValueError: ``page`` or ``limit`` is out of range, or ``asset_id`` is not a valid asset.
        """
        path = f"/trades/{asset(asset_id)}"
        return _readable(await self._trades(path, page, limit), path)

    async def _trades(self, path: str, page: int | None, limit: int | None, dispatch: Dispatch = CALL) -> Rows[Trade]:
        """Read a page; rows that cannot be decoded stand in ``bad``."""
        return codec.decode_rows(await self._public(path, dispatch, **page_params(page, limit)), Trade)

    async def get_ticker(self, asset_id: AssetIdentifier | str | int) -> Ticker:
        """Read a market's 24-hour summary (``GET /ticker/{asset}``).

        Cancelling it closes the request's connection and leaves nothing behind.

        Args:
            asset_id: The market.

        Returns:
            The summary: prices in quote units, quantities in base units.

        Raises:
            ApiError: the service refused the request; `RateLimitError` for too many requests.
            ConnectionFailed: the service could not be reached, or sent no answer within the client's ``timeout``.
            DecodeError: the answer is not a ticker, or is too large.
            TypeError: ``asset_id`` is not an asset, a str or an int.
            ValueError: ``asset_id`` is not a valid asset.
        """
        return codec.decode(await self._public(f"/ticker/{asset(asset_id)}"), Ticker)

    async def get_tickers(self) -> Rows[Ticker]:
        """Read the 24-hour summaries of all markets (``GET /tickers``).

        Cancelling it closes the request's connection and leaves nothing behind.

        Returns:
            The summaries that could be decoded, prices in quote units and quantities in base units. ``bad`` has the
            other rows, and the client logs a warning about them.

        Raises:
            ApiError: the service refused the request; `RateLimitError` for too many requests.
            ConnectionFailed: the service could not be reached, or sent no answer within the client's ``timeout``.
            DecodeError: the answer is not a list or is too large, or none of its rows can be decoded.
        """
        return _readable(codec.decode_rows(await self._public("/tickers"), Ticker), "/tickers")


def _readable(rows: Rows[T], path: str) -> Rows[T]:
    """Return the rows of a page after reporting the bad ones."""
    report_bad_rows(path, rows, rows.bad)
    return rows

"""The client of the market data service: public trades, books, candles and tickers."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any, TypeVar, Unpack

from tplus_trio import codec
from tplus_trio.arguments import check_choice, check_count
from tplus_trio.book.live import LiveBook
from tplus_trio.clients.base import CALL, BookOptions, Client, ClientOptions, StreamOptions, asset, page_params
from tplus_trio.errors import DecodeError
from tplus_trio.models import (
    AssetIdentifier,
    Gap,
    Interval,
    KlinesPage,
    KlineUpdate,
    OrderBook,
    Rows,
    Ticker,
    Trade,
)
from tplus_trio.streams.feed import Feed
from tplus_trio.streams.overflow import Conflate, conflate_by
from tplus_trio.streams.recovery import (
    Depth,
    DepthRecovery,
    KlinesBackfill,
    Sequencing,
    TradesBackfill,
    check_sequencing,
    conflate_depth,
)
from tplus_trio.streams.stream import Stream
from tplus_trio.transport.pacing import Dispatch
from tplus_trio.users import User

__all__ = ["MarketDataClient"]

T = TypeVar("T")

_log = logging.getLogger("tplus_trio.clients")

#: The highest number of pages that a stream requests over REST to fill one hole, by default.
_BACKFILL_PAGES = 10
#: Rows in each of these pages.
_PAGE = 100
#: Bytes of depth frames that are decoded as one batch. A larger batch would create so many objects at once that each
#: batch would start the garbage collector, which costs more than the channel operations that the batch would save.
_DEPTH_BATCH = 8 * 1024


class MarketDataClient(Client):
    """A client of the market data service.

    All methods work without a user. With a ``default_user`` the client signs in, for the higher rate limits; if the
    sign-in fails, the client continues anonymously.

    Prices are `Decimal` in quote units, quantities are `Decimal` in base units.

    A stream method returns at once; the stream connects when it is entered or iterated, and its failures are raised by
    its iteration. Leaving the stream, also by cancellation, closes its connection.

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
        """Stream the confirmed trades of all markets, each once, in order.

        After an interruption, the stream requests the missed trades over REST and delivers them first. It delivers a
        `Gap` instead if these pages do not reach back far enough.

        Args:
            backfill_pages: The highest number of pages, of 100 trades each, to request after an interruption; at
                least 1.
            options: See `StreamOptions`.

        Raises:
            TypeError, ValueError: an argument is not legal.

        Feed ``/trades``; backfill ``GET /trades``.
        """
        return self._stream(
            Feed(
                path="/trades",
                decode=codec.decode_trade_frame,
                decode_batch=codec.decode_trade_batch,
                recovery=partial(
                    TradesBackfill,
                    max_pages=check_count("backfill_pages", backfill_pages),
                    confirm_timeout=self._confirm(options),
                ),
                fetch=lambda page, dispatch: self._trades("/trades", page, _PAGE, dispatch),
                user=self._default_user,
            ),
            options,
        )

    def stream_depth(
        self,
        asset_id: AssetIdentifier | str | int,
        *,
        sequence: Sequencing = "auto",
        **options: Unpack[StreamOptions],
    ) -> Stream[Depth]:
        """Stream the order book of a market: an `OrderBook` first, then each `OrderBookDiff` that follows it.

        After every loss of continuity the stream delivers a new `OrderBook`. ``overflow="conflate"`` merges waiting
        diffs. ``overflow="drop_oldest"`` puts a `Gap` before the `OrderBook` where items were dropped.

        Args:
            asset_id: The market.
            sequence: ``"contiguous"``: the next number is the last one plus 1; any other number is a loss.
                ``"increasing"``: any higher number is the next one. ``"auto"``: contiguous, until the numbers of the
                service prove not to be contiguous.
            options: See `StreamOptions`.

        Raises:
            TypeError, ValueError: an argument is not legal.

        Feed ``/marketdepth/diff/{asset}``; snapshot ``GET /marketdepth/{asset}``.
        """
        return self._stream(self._depth(asset(asset_id), sequence), options)

    def open_book(
        self,
        asset_id: AssetIdentifier | str | int,
        *,
        sequence: Sequencing = "auto",
        **options: Unpack[BookOptions],
    ) -> LiveBook:
        """Return an order book of a market that is kept in sync with the exchange while it is entered.

        Use it as ``async with client.open_book(asset) as book:``.

        Args:
            asset_id: The market.
            sequence: As in `stream_depth`.
            options: See `BookOptions`.

        Raises:
            TypeError, ValueError: an argument is not legal.

        Feed ``/marketdepth/diff/{asset}``; snapshot ``GET /marketdepth/{asset}``.
        """
        market = asset(asset_id)
        return self._book(self._depth(market, sequence), market, options)

    def _depth(self, asset_id: AssetIdentifier, sequence: Sequencing) -> Feed[Depth]:
        check_sequencing(sequence)
        path = f"/marketdepth/diff/{asset_id}"
        return Feed(
            path=path,
            decode=codec.decode_depth_frame,
            decode_batch=codec.decode_depth_batch,
            batch_size=_DEPTH_BATCH,
            recovery=partial(DepthRecovery, sequence=sequence, name=path),
            fetch=lambda _page, dispatch: self._snapshot(asset_id, dispatch),
            user=self._default_user,
            conflate=conflate_depth,
            is_snapshot=lambda item: isinstance(item, OrderBook),
        )

    def stream_klines(
        self,
        asset_id: AssetIdentifier | str | int,
        *,
        backfill_pages: int = _BACKFILL_PAGES,
        **options: Unpack[StreamOptions],
    ) -> Stream[KlineUpdate | Gap]:
        """Stream the candles of a market: the current candle each time it changes.

        After an interruption, the stream requests the missed candles over REST and delivers them first, each in its
        latest state. It delivers a `Gap` if these pages do not reach back far enough. ``overflow="conflate"`` keeps the
        newest state of each waiting candle.

        Args:
            asset_id: The market.
            backfill_pages: The highest number of pages, of 100 candles each, to request after an interruption; at
                least 1.
            options: See `StreamOptions`.

        Raises:
            TypeError, ValueError: an argument is not legal.

        Feed ``/klines/diff/{asset}``; backfill ``GET /klines/{asset}``.
        """
        market = asset(asset_id)
        return self._stream(
            Feed(
                path=f"/klines/diff/{market}",
                decode=codec.kline_frame_decoder(market),
                decode_batch=codec.kline_batch_decoder(market),
                recovery=partial(
                    KlinesBackfill,
                    max_pages=check_count("backfill_pages", backfill_pages),
                    asset_id=market,
                    confirm_timeout=self._confirm(options),
                ),
                fetch=lambda page, dispatch: self._klines(market, page, _PAGE, dispatch=dispatch),
                user=self._default_user,
                conflate=conflate_by(_candle_key),
            ),
            options,
        )

    def stream_ticker(self, asset_id: AssetIdentifier | str | int, **options: Unpack[StreamOptions]) -> Stream[Ticker]:
        """Stream the 24 h summary of a market, each time it changes.

        ``overflow="conflate"`` keeps the newest summary.

        Raises:
            TypeError, ValueError: an argument is not legal.

        Feed ``/ticker/ws/{asset}``.
        """
        return self._tickers(f"/ticker/ws/{asset(asset_id)}", codec.decode_ticker_frame, options)

    def stream_tickers(self, **options: Unpack[StreamOptions]) -> Stream[Ticker]:
        """Stream the 24 h summaries of all markets, one item for each summary that changed.

        ``overflow="conflate"`` keeps the newest summary of each market. Errors are as for `stream_ticker`.
        Feed ``/tickers/ws``.
        """
        return self._tickers("/tickers/ws", codec.decode_tickers_frame, options)

    def _tickers(self, path: str, decode: codec.FrameDecoder[Ticker], options: StreamOptions) -> Stream[Ticker]:
        conflate: Conflate[Ticker] = conflate_by(lambda ticker: ticker.asset_id)
        return self._stream(Feed(path=path, decode=decode, user=self._default_user, conflate=conflate), options)

    # REST.

    async def get_orderbook_snapshot(self, asset_id: AssetIdentifier | str | int) -> OrderBook:
        """Return the order book of a market, best levels first.

        Raises:
            TypeError, ValueError: the argument names no market.
            ApiError: the service refused the request.
            ConnectionFailed: the service could not be reached, or did not answer in time.
            DecodeError: the answer is not an order book.

        Cancelling leaves nothing behind: the connection of the request is closed.

        ``GET /marketdepth/{asset}``.
        """
        return await self._snapshot(asset(asset_id), CALL)

    async def _snapshot(self, asset_id: AssetIdentifier, dispatch: Dispatch) -> OrderBook:
        return codec.decode(await self._public(f"/marketdepth/{asset_id}", dispatch), OrderBook)

    async def get_trades(self, page: int | None = None, limit: int | None = None) -> Rows[Trade]:
        """Return a page of the confirmed trades of all markets, newest first.

        Args:
            page: Counted from 0; the first page if None.
            limit: Trades in a page, at least 1; the service has its own maximum, and its own default if None.

        Returns:
            The trades that could be decoded; ``bad`` lists the other rows, which are also logged as a warning.

        Raises:
            TypeError, ValueError: an argument is not legal.
            ApiError: the service refused the request.
            ConnectionFailed: the service could not be reached, or did not answer in time.
            DecodeError: the answer is not a list, or none of its rows can be decoded.

        Cancelling leaves nothing behind: the connection of the request is closed.

        ``GET /trades``.
        """
        return _readable(await self._trades("/trades", page, limit), "/trades")

    async def get_trades_for_asset(
        self, asset_id: AssetIdentifier | str | int, page: int | None = None, limit: int | None = None
    ) -> Rows[Trade]:
        """Return a page of the confirmed trades of a market, newest first.

        Arguments, result, errors and cancellation are as for `get_trades`; a bad ``asset_id`` raises `TypeError` or
        `ValueError`. ``GET /trades/{asset}``.
        """
        path = f"/trades/{asset(asset_id)}"
        return _readable(await self._trades(path, page, limit), path)

    async def _trades(self, path: str, page: int | None, limit: int | None, dispatch: Dispatch = CALL) -> Rows[Trade]:
        """Return a page of trades, with the rows that cannot be decoded in ``bad``."""
        return codec.decode_rows(await self._public(path, dispatch, **page_params(page, limit)), Trade)

    async def get_klines(
        self,
        asset_id: AssetIdentifier | str | int,
        page: int | None = None,
        limit: int | None = None,
        end_timestamp_ns: int | None = None,
        interval: Interval | str | None = None,
    ) -> KlinesPage:
        """Return a page of the candles of a market, newest first.

        Args:
            asset_id: The market.
            page: Counted from 0; the first page if None.
            limit: Candles in a page, at least 1; the service has its own maximum, and its own default if None.
            end_timestamp_ns: Return candles up to this time only, in nanoseconds since the Unix epoch; at least 0.
            interval: The width of a candle, such as ``Interval.MIN_1``; the default of the service if None.

        Returns:
            ``items`` lists the candles that could be decoded; ``bad`` lists the other rows, which are also logged as a
            warning.

        Raises:
            TypeError, ValueError: an argument is not legal.
            ApiError: the service refused the request.
            ConnectionFailed: the service could not be reached, or did not answer in time.
            DecodeError: the answer is not a page of candles, or none of its rows can be decoded.

        Cancelling leaves nothing behind: the connection of the request is closed.

        ``GET /klines/{asset}``.
        """
        candles = await self._klines(asset(asset_id), page, limit, end_timestamp_ns, interval)
        _readable(Rows(candles.items, candles.bad), f"/klines/{asset(asset_id)}")
        return candles

    async def _klines(
        self,
        asset_id: AssetIdentifier,
        page: int | None,
        limit: int | None,
        end_timestamp_ns: int | None = None,
        interval: Interval | str | None = None,
        dispatch: Dispatch = CALL,
    ) -> KlinesPage:
        """Return a page of candles, with the rows that cannot be decoded in ``bad``."""
        body = await self._public(
            f"/klines/{asset_id}",
            dispatch,
            **page_params(page, limit),
            end_timestamp_ns=None
            if end_timestamp_ns is None
            else check_count("end_timestamp_ns", end_timestamp_ns, least=0),
            interval=None if interval is None else check_choice("interval", interval, Interval).value,
        )
        return codec.decode_page(body, KlinesPage)

    async def get_ticker(self, asset_id: AssetIdentifier | str | int) -> Ticker:
        """Return the 24 h summary of a market.

        Errors and cancellation are as for `get_orderbook_snapshot`. ``GET /ticker/{asset}``.
        """
        return codec.decode(await self._public(f"/ticker/{asset(asset_id)}"), Ticker)

    async def get_tickers(self) -> Rows[Ticker]:
        """Return the 24 h summaries of all markets.

        Result, errors and cancellation are as for `get_trades`. ``GET /tickers``.
        """
        return _readable(codec.decode_rows(await self._public("/tickers"), Ticker), "/tickers")

    async def _public(self, path: str, dispatch: Dispatch = CALL, /, **params: Any) -> bytes:
        return await self._get(path, user=self._default_user, dispatch=dispatch, **params)


def _candle_key(item: KlineUpdate | Gap) -> object:
    """Return the key of a candle within its market.

    The key is text, because a service could choose numbers with equal hashes.
    """
    return item if isinstance(item, Gap) else str(item.open_timestamp_ns)


def _readable(rows: Rows[T], path: str) -> Rows[T]:
    """Return the rows, and log the bad ones as a warning.

    Raises:
        DecodeError: there are rows, and all of them are bad.
    """
    if rows.bad:
        first = rows.bad[0]
        if not rows:
            raise DecodeError(f"row {first.position} of {path} is {first.reason}")
        _log.warning("%s: %d rows could not be read: row %d is %s", path, len(rows.bad), first.position, first.reason)
    return rows

"""The market data service: public trades, books and candles."""

from __future__ import annotations

from functools import partial
from typing import Any, TypeVar, Unpack

from tplus_trio import codec
from tplus_trio.arguments import check_choice, check_count
from tplus_trio.book.live import LiveBook
from tplus_trio.clients.bad_rows import report_bad_rows
from tplus_trio.clients.base import (
    CALL,
    BookOptions,
    Client,
    ClientOptions,
    StreamOptions,
    asset,
    page_params,
)
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


#: How many pages a stream asks REST for, at most, to close a hole.
_BACKFILL_PAGES = 10
_PAGE = 100
#: How many bytes of depth are decoded at a time. They become so many objects that more of them, decoded and not yet
#: taken, would set off the garbage collector at each batch, which costs more than the hops that it would save.
_DEPTH_BATCH = 8 * 1024


class MarketDataClient(Client):
    """A client of the market data service.

    Everything here works anonymously. With a ``default_user`` the client signs in all the same, for the higher rate
    limits, and goes on anonymously where that fails.

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
        """Confirmed trades of all markets, each once, in order.

        After an interruption, what was missed is asked of REST (up to ``backfill_pages`` pages of 100 trades) and comes
        first; a `Gap` comes instead where that does not reach back far enough.
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
        """A market's order book: an `OrderBook` first, then each `OrderBookDiff` that follows it.

        After every loss of continuity an `OrderBook` comes again, to start from. With ``overflow="conflate"``, waiting
        diffs are merged; with ``"drop_oldest"`` a `Gap` stands before the `OrderBook` where items were dropped.

        Args:
            asset_id: The market.
            sequence: ``"contiguous"``: the next number is the last plus one, and anything else is a loss.
                ``"increasing"``: any higher number is the next. ``"auto"``: contiguous, until the service proves
                otherwise.
            options: See `StreamOptions`.
        """
        return self._stream(self._depth(asset(asset_id), sequence), options)

    def open_book(
        self,
        asset_id: AssetIdentifier | str | int,
        *,
        sequence: Sequencing = "auto",
        **options: Unpack[BookOptions],
    ) -> LiveBook:
        """A market's order book, kept in step with the exchange while its context lasts.

        ``async with client.open_book(asset) as book:``. The arguments are those of `stream_depth`.
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
        """A market's candles: the current one each time that it changes.

        After an interruption, the candles that were missed come first, each in its latest state. With
        ``overflow="conflate"``, the newest state of each waiting candle is kept.
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
        """A market's 24 h summary, each time that it changes."""
        return self._tickers(f"/ticker/ws/{asset(asset_id)}", codec.decode_ticker_frame, options)

    def stream_tickers(self, **options: Unpack[StreamOptions]) -> Stream[Ticker]:
        """The 24 h summaries of all markets, one item for each that changed."""
        return self._tickers("/tickers/ws", codec.decode_tickers_frame, options)

    def _tickers(self, path: str, decode: codec.FrameDecoder[Ticker], options: StreamOptions) -> Stream[Ticker]:
        conflate: Conflate[Ticker] = conflate_by(lambda ticker: ticker.asset_id)
        return self._stream(Feed(path=path, decode=decode, user=self._default_user, conflate=conflate), options)

    # REST.

    async def get_orderbook_snapshot(self, asset_id: AssetIdentifier | str | int) -> OrderBook:
        """A market's order book, best levels first.

        Raises:
            ApiError, ConnectionFailed, DecodeError: it could not be had.
        """
        return await self._snapshot(asset(asset_id), CALL)

    async def _snapshot(self, asset_id: AssetIdentifier, dispatch: Dispatch) -> OrderBook:
        return codec.decode(await self._public(f"/marketdepth/{asset_id}", dispatch), OrderBook)

    async def get_trades(self, page: int | None = None, limit: int | None = None) -> Rows[Trade]:
        """A page of the confirmed trades of all markets, newest first.

        Args:
            page: Counted from 0.
            limit: Trades a page; the service has a limit of its own.

        Returns:
            The trades that could be read; ``bad`` has the others, as it is also logged.

        Raises:
            ApiError, ConnectionFailed: it could not be had.
            DecodeError: the answer is no list, or none of its rows can be read.
        """
        return _readable(await self._trades("/trades", page, limit), "/trades")

    async def get_trades_for_asset(
        self, asset_id: AssetIdentifier | str | int, page: int | None = None, limit: int | None = None
    ) -> Rows[Trade]:
        """A page of a market's confirmed trades, newest first. Arguments, result and errors as for `get_trades`."""
        path = f"/trades/{asset(asset_id)}"
        return _readable(await self._trades(path, page, limit), path)

    async def _trades(self, path: str, page: int | None, limit: int | None, dispatch: Dispatch = CALL) -> Rows[Trade]:
        """A page as far as it can be read."""
        return codec.decode_rows(await self._public(path, dispatch, **page_params(page, limit)), Trade)

    async def get_klines(
        self,
        asset_id: AssetIdentifier | str | int,
        page: int | None = None,
        limit: int | None = None,
        end_timestamp_ns: int | None = None,
        interval: Interval | str | None = None,
    ) -> KlinesPage:
        """A page of a market's candles, newest first.

        Args:
            asset_id: The market.
            page: Counted from 0.
            limit: Candles a page; the service has a limit of its own.
            end_timestamp_ns: Candles up to this time only, in nanoseconds since the Unix epoch.
            interval: The width of a candle, ``Interval.MIN_1`` and so on; the service's default if None.

        Returns:
            The candles that could be read in ``items``; ``bad`` has the other rows, as it is also logged.

        Raises:
            ApiError, ConnectionFailed: it could not be had.
            DecodeError: the answer is no page, or none of its rows can be read.
            ValueError: the interval is none of `Interval`.
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
        """A page as far as it can be read."""
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
        """A market's 24 h summary."""
        return codec.decode(await self._public(f"/ticker/{asset(asset_id)}"), Ticker)

    async def get_tickers(self) -> Rows[Ticker]:
        """The 24 h summaries of all markets. Result and errors as for `get_trades`."""
        return _readable(codec.decode_rows(await self._public("/tickers"), Ticker), "/tickers")

    async def _public(self, path: str, dispatch: Dispatch = CALL, /, **params: Any) -> bytes:
        return await self._get(path, user=self._default_user, dispatch=dispatch, **params)


def _candle_key(item: KlineUpdate | Gap) -> object:
    """What a candle is known by among those of its market: text, since numbers can be chosen to have equal hashes."""
    return item if isinstance(item, Gap) else str(item.open_timestamp_ns)


def _readable(rows: Rows[T], path: str) -> Rows[T]:
    """Return the rows of a page after reporting the bad ones."""
    report_bad_rows(path, rows, rows.bad)
    return rows

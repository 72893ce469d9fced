"""The feeds of the market data service: path, decoders, recovery and conflation of each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from tplus_trio import codec
from tplus_trio.book.state import DepthState
from tplus_trio.models import AssetIdentifier, Gap, KlinesPage, KlineUpdate, OrderBook, Rows, Ticker, Trade
from tplus_trio.streams.feed import Feed
from tplus_trio.streams.feed_state import LatestItems, NewestCandle
from tplus_trio.streams.overflow import conflate_by
from tplus_trio.streams.recovery import (
    Depth,
    DepthRecovery,
    KlinesBackfill,
    Sequencing,
    TradesBackfill,
    check_sequencing,
    conflate_depth,
    exact_depth,
)
from tplus_trio.transport.pacing import Dispatch
from tplus_trio.users import User

__all__ = ["depth_feed", "klines_feed", "ticker_feed", "tickers_feed", "trades_feed"]


def trades_feed(
    fetch: Callable[[int, Dispatch], Awaitable[Rows[Trade]]],
    user: User | None,
    *,
    max_pages: int,
    confirm_timeout: float,
) -> Feed[Trade | Gap]:
    """Confirmed trades of all markets; pages of ``GET /trades`` fill a gap."""
    return Feed(
        path="/trades",
        decode=codec.decode_trade_frame,
        decode_batch=codec.decode_trade_batch,
        recovery=partial(TradesBackfill, max_pages=max_pages, confirm_timeout=confirm_timeout),
        fetch=fetch,
        user=user,
        sharing=(max_pages, confirm_timeout),
    )


def depth_feed(
    asset_id: AssetIdentifier,
    sequence: Sequencing,
    fetch: Callable[[int, Dispatch], Awaitable[OrderBook]],
    user: User | None,
) -> Feed[Depth]:
    """The changes of a market's book; ``GET /marketdepth/{asset}`` gives the book that they start from.

    Raises:
        ValueError: ``sequence`` is not legal.
    """
    check_sequencing(sequence)
    path = f"/marketdepth/diff/{asset_id}"
    return Feed(
        path=path,
        decode=codec.decode_depth_frame,
        decode_batch=codec.decode_depth_batch,
        recovery=partial(DepthRecovery, sequence=sequence, name=path),
        fetch=fetch,
        user=user,
        conflate=conflate_depth,
        finish=exact_depth,
        is_snapshot=lambda item: isinstance(item, OrderBook),
        state=DepthState,
        sharing=sequence,
    )


def klines_feed(
    asset_id: AssetIdentifier,
    fetch: Callable[[int, Dispatch], Awaitable[KlinesPage]],
    user: User | None,
    *,
    max_pages: int,
    confirm_timeout: float,
) -> Feed[KlineUpdate | Gap]:
    """A market's candles; pages of ``GET /klines/{asset}`` fill a gap."""
    return Feed(
        path=f"/klines/diff/{asset_id}",
        decode=codec.kline_frame_decoder(asset_id),
        decode_batch=codec.kline_batch_decoder(asset_id),
        recovery=partial(KlinesBackfill, max_pages=max_pages, asset_id=asset_id, confirm_timeout=confirm_timeout),
        fetch=fetch,
        user=user,
        conflate=conflate_by(_candle_key),
        state=lambda: NewestCandle(_open_ns),
        sharing=(max_pages, confirm_timeout),
    )


def ticker_feed(asset_id: AssetIdentifier, user: User | None) -> Feed[Ticker]:
    """A market's 24-hour summary. Each item replaces the last, so nothing has to be recovered."""
    return _summaries(f"/ticker/ws/{asset_id}", codec.decode_ticker_frame, user)


def tickers_feed(user: User | None) -> Feed[Ticker]:
    """The 24-hour summaries of all markets. Each item replaces the last of its market."""
    return _summaries("/tickers/ws", codec.decode_tickers_frame, user)


def _summaries(path: str, decode: codec.FrameDecoder[Ticker], user: User | None) -> Feed[Ticker]:
    return Feed(
        path=path,
        decode=decode,
        user=user,
        conflate=conflate_by(_market),
        state=lambda: LatestItems(_market),
        sharing="latest",
    )


def _market(ticker: Ticker) -> AssetIdentifier:
    return ticker.asset_id


def _open_ns(item: KlineUpdate | Gap) -> int | None:
    return None if isinstance(item, Gap) else item.open_timestamp_ns


def _candle_key(item: KlineUpdate | Gap) -> object:
    """Return the key of a candle within its market: text, because a hostile service could send ints of equal hash."""
    return item if isinstance(item, Gap) else str(item.open_timestamp_ns)

"""Reads of a market's candles and open interest."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from tplus_trio import codec
from tplus_trio.arguments import check_choice, check_count
from tplus_trio.clients.bad_rows import report_bad_rows
from tplus_trio.clients.base import CALL, Client, asset
from tplus_trio.clients.decoding import decode_at
from tplus_trio.clients.paging import ListedPage, PageIterator, page_params, says_more
from tplus_trio.models import AssetIdentifier, Interval, KlinesPage, OpenInterest, Rows, Timebar
from tplus_trio.transport.pacing import Dispatch

__all__ = ["MarketHistory"]

#: The most pages of candles that an iteration reads, if the caller does not say.
_KLINE_PAGES = 50


class MarketHistory(Client):
    """The reads of candles and open interest in `MarketDataClient`."""

    async def get_klines(
        self,
        asset_id: AssetIdentifier | str | int,
        page: int | None = None,
        limit: int | None = None,
        end_timestamp_ns: int | None = None,
        interval: Interval | str | None = None,
    ) -> KlinesPage:
        """Read a page of a market's candles, newest first (``GET /klines/{asset}``).

        Cancelling it closes the request's connection and leaves nothing behind.

        Args:
            asset_id: The market.
            page: The number of the page, at least 0; None is the first page, 0.
            limit: Candles on a page, at least 1; the service may send fewer. None is the service's default.
            end_timestamp_ns: Read candles up to this time only: nanoseconds since the Unix epoch, at least 0.
            interval: The width of a candle, a member of `Interval` or its text; None is the service's default.

        Returns:
            A page: ``items`` has the candles that could be decoded, prices in quote units and volume in base units.
            ``bad`` has the other rows, and the client logs a warning about them.

        Raises:
            ApiError: the service refused the request; `RateLimitError` for too many requests.
            ConnectionFailed: the service could not be reached, or sent no answer within the client's ``timeout``.
            DecodeError: the answer is not a page or is too large, or none of its rows can be decoded.
            TypeError: an argument has the wrong type.
            ValueError: a number is out of range, ``interval`` is not an `Interval`, or ``asset_id`` is not a valid
                asset.
        """
        candles = await self._klines(asset(asset_id), page, limit, end_timestamp_ns, interval)
        report_bad_rows(f"/klines/{asset(asset_id)}", candles.items, candles.bad)
        return candles

    def iter_klines(
        self,
        asset_id: AssetIdentifier | str | int,
        limit: int | None = None,
        end_timestamp_ns: int | None = None,
        interval: Interval | str | None = None,
        max_pages: int | None = _KLINE_PAGES,
    ) -> PageIterator[Timebar]:
        """Iterate over a market's candles, newest first (``GET /klines/{asset}``, page by page).

        All pages end at the same time, so that new candles do not move them. Each candle comes once. Where the service
        cuts its answers off at a time, the iteration goes on before that time. Between two candles the iterator holds
        no connection and no task: it may be dropped. A cancelled step loses nothing; the next one continues.

        Args:
            asset_id: The market.
            limit: Candles on a page, at least 1; the service may send fewer. None is the service's default.
            end_timestamp_ns: Read candles up to this time only: nanoseconds since the Unix epoch, at least 0. None is
                the time of this call.
            interval: The width of a candle, a member of `Interval` or its text; None is the service's default.
            max_pages: The most pages to read, at least 1; None is no limit.

        Returns:
            An asynchronous iterator over `Timebar`: prices in quote units, volume in base units. A step raises as
            `get_klines`. Rows that could not be decoded are left out, and the client logs a warning about them.

        Raises:
            TypeError, ValueError: an argument is not legal.
        """
        market = asset(asset_id)
        page_params(None, limit)
        width = None if interval is None else check_choice("interval", interval, Interval)
        end = self._service.now_ns() if end_timestamp_ns is None else end_timestamp_ns
        check_count("end_timestamp_ns", end, least=0)
        if max_pages is not None:
            check_count("max_pages", max_pages)

        async def read(page: int, until_ns: int) -> tuple[KlinesPage, bool | None]:
            body = await self._klines_body(market, page, limit, until_ns, width)
            candles = codec.decode_page(body, KlinesPage)
            report_bad_rows(f"/klines/{market}", candles.items, candles.bad)
            return candles, says_more(codec.page_fields(body, "items"))

        pages = _CandlePages(read, end)
        return PageIterator(pages.read, lambda candle: candle.open_timestamp_ns, max_pages=max_pages)

    async def get_open_interest(self, asset_id: AssetIdentifier | str | int) -> OpenInterest:
        """Read the open interest of a market (``GET /openinterest/{asset}``).

        Cancelling it closes the request's connection and leaves nothing behind.

        Args:
            asset_id: The market.

        Returns:
            Each side in base units; a side is None until the market first reports it.

        Raises:
            ApiError: the service refused the request; `RateLimitError` for too many requests.
            ConnectionFailed: the service could not be reached, or sent no answer within the client's ``timeout``.
            DecodeError: the answer is no open interest, or is too large.
            TypeError, ValueError: ``asset_id`` is not a valid asset.
        """
        path = f"/openinterest/{asset(asset_id)}"
        return decode_at(path, await self._public(path), OpenInterest)

    async def get_all_open_interest(self) -> Rows[OpenInterest]:
        """Read the open interest of all markets (``GET /openinterest``).

        Cancelling it closes the request's connection and leaves nothing behind.

        Returns:
            A row for each market that could be decoded, in base units. ``bad`` has the other rows, and the client logs
            a warning about them.

        Raises:
            ApiError: the service refused the request; `RateLimitError` for too many requests.
            ConnectionFailed: the service could not be reached, or sent no answer within the client's ``timeout``.
            DecodeError: the answer is not a list or is too large, or none of its rows can be decoded.
        """
        rows = codec.decode_rows(await self._public("/openinterest"), OpenInterest)
        report_bad_rows("/openinterest", rows, rows.bad)
        return rows

    async def _klines(
        self,
        asset_id: AssetIdentifier,
        page: int | None,
        limit: int | None,
        end_timestamp_ns: int | None = None,
        interval: Interval | str | None = None,
        dispatch: Dispatch = CALL,
    ) -> KlinesPage:
        """Read a page; rows that cannot be decoded stand in ``bad``."""
        body = await self._klines_body(asset_id, page, limit, end_timestamp_ns, interval, dispatch)
        return codec.decode_page(body, KlinesPage)

    async def _klines_body(
        self,
        asset_id: AssetIdentifier,
        page: int | None,
        limit: int | None,
        end_timestamp_ns: int | None,
        interval: Interval | str | None,
        dispatch: Dispatch = CALL,
    ) -> bytes:
        return await self._public(
            f"/klines/{asset_id}",
            dispatch,
            **page_params(page, limit),
            end_timestamp_ns=None
            if end_timestamp_ns is None
            else check_count("end_timestamp_ns", end_timestamp_ns, least=0),
            interval=None if interval is None else check_choice("interval", interval, Interval).value,
        )

    async def _public(self, path: str, dispatch: Dispatch = CALL, /, **params: Any) -> bytes:
        return await self._get(path, user=self._default_user, dispatch=dispatch, **params)


class _CandlePages:
    """Numbers the pages of an iteration over candles; where the service cuts them off, it begins again before that.

    Args:
        read: Reads a page by its number, of candles up to a time; returns it, and whether another page follows.
        end_ns: The time up to which candles are read, in nanoseconds since the Unix epoch.
    """

    def __init__(self, read: Callable[[int, int], Awaitable[tuple[KlinesPage, bool | None]]], end_ns: int) -> None:
        self._read = read
        self._end_ns = end_ns
        self._page = 0

    async def read(self, _: int) -> ListedPage[Timebar]:
        """Read the next page. After a cancelled call, the same page is the next one."""
        candles, more = await self._read(self._page, self._end_ns)
        cutoff_ns = candles.truncated_before_ns
        if (candles.items and more is not False) or not cutoff_ns or cutoff_ns > self._end_ns:
            self._page += 1
            return ListedPage(candles.items, not candles.items, more)
        self._page, self._end_ns = 0, cutoff_ns - 1
        return ListedPage(candles.items, is_empty=False, has_next_page=True)

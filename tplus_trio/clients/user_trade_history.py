"""Reads of a user's past trades from the market data service."""

from __future__ import annotations

from tplus_trio import codec
from tplus_trio.clients.bad_rows import report_bad_rows
from tplus_trio.clients.base import asset
from tplus_trio.clients.history_reads import HistoryQuery, HistoryReads, history_path, history_query
from tplus_trio.clients.paging import ListedPage, PageIterator, page_params, says_more
from tplus_trio.models import AssetIdentifier, HistoricalUserTrade, UserTradesPage
from tplus_trio.users import User

__all__ = ["UserTradeHistory"]


class UserTradeHistory(HistoryReads):
    """The reads of a user's trades in `MarketDataClient`. All of them sign in."""

    async def get_user_trades(
        self,
        user: User | None = None,
        *,
        page: int | None = None,
        limit: int | None = None,
        start_time: int | None = None,
        end_time: int | None = None,
        side: str | None = None,
        sub_account: int | None = None,
        status: str | None = None,
    ) -> UserTradesPage:
        """Read a page of a user's trades, newest first (``GET /trades/user/{key}``).

        Cancelling it closes the request's connection and leaves nothing behind.

        Args:
            user: The user to sign in as, whose trades are read; None is the default user.
            page: The number of the page, at least 0; None is the first page, 0.
            limit: Trades on a page, at least 1; the service may send fewer. None is the service's default.
            start_time: The earliest time, in nanoseconds since the Unix epoch, at least 0; None is no bound.
            end_time: The latest time, likewise.
            side: ``"buy"`` or ``"sell"``, in any case; None is both.
            sub_account: The index of the only sub-account to read, at least 0; None is all of them.
            status: One of ``"pending"``, ``"confirmed"``, ``"rollbacked"``, in any case; None is all of them.

        Returns:
            The trades that could be decoded, prices in quote units and quantities in base units.
            ``bad`` has the other rows, and the client logs a warning about them. There are none if the service keeps
            none of the user: it answered the first page with 404 and a code that ends in ``_NOT_FOUND``.

        Raises:
            NotFoundError: any other 404, such as a proxy's.
            ApiError: the service refused the request; `RateLimitError` for too many requests.
            ConnectionFailed: the service could not be reached, or sent no answer within the client's ``timeout``.
            DecodeError: the answer is not a page or is too large, or none of its rows can be decoded.
            MissingUserError: there is no user.
            TypeError, ValueError: an argument is not legal.
        """
        query = history_query(start_time, end_time, side, sub_account, status)
        return (await self._trades_page(self._user(user), None, page, limit, query))[0]

    async def get_user_trades_for_asset(
        self,
        asset_id: AssetIdentifier | str | int,
        user: User | None = None,
        *,
        page: int | None = None,
        limit: int | None = None,
        start_time: int | None = None,
        end_time: int | None = None,
        side: str | None = None,
        sub_account: int | None = None,
        status: str | None = None,
    ) -> UserTradesPage:
        """Read a page of a user's trades in one market, newest first (``GET /trades/user/{key}/{asset}``).

        Cancelling it closes the request's connection and leaves nothing behind.

        Args:
            asset_id: The market.
            user: The user to sign in as, whose trades are read; None is the default user.
            page: The number of the page, at least 0; None is the first page, 0.
            limit: Trades on a page, at least 1; the service may send fewer. None is the service's default.
            start_time: The earliest time, in nanoseconds since the Unix epoch, at least 0; None is no bound.
            end_time: The latest time, likewise.
            side: ``"buy"`` or ``"sell"``, in any case; None is both.
            sub_account: The index of the only sub-account to read, at least 0; None is all of them.
            status: One of ``"pending"``, ``"confirmed"``, ``"rollbacked"``, in any case; None is all of them.

        Returns:
            The trades that could be decoded, prices in quote units and quantities in base units.
            ``bad`` has the other rows, and the client logs a warning about them. There are none if the service keeps
            none of the user: it answered the first page with 404 and a code that ends in ``_NOT_FOUND``.

        Raises:
            NotFoundError: any other 404, such as a proxy's, or that of a market that does not exist.
            ApiError: the service refused the request; `RateLimitError` for too many requests.
            ConnectionFailed: the service could not be reached, or sent no answer within the client's ``timeout``.
            DecodeError: the answer is not a page or is too large, or none of its rows can be decoded.
            MissingUserError: there is no user.
            TypeError, ValueError: an argument is not legal.
        """
        query = history_query(start_time, end_time, side, sub_account, status)
        return (await self._trades_page(self._user(user), asset(asset_id), page, limit, query))[0]

    def iter_user_trades(
        self,
        user: User | None = None,
        *,
        asset_id: AssetIdentifier | str | int | None = None,
        limit: int | None = None,
        start_time: int | None = None,
        end_time: int | None = None,
        side: str | None = None,
        sub_account: int | None = None,
        status: str | None = None,
    ) -> PageIterator[HistoricalUserTrade]:
        """Iterate over all of a user's trades, newest first (``GET /trades/user/{key}[/{asset}]``, page by page).

        Each trade comes once; rows that are equal in all fields count as one. Between two trades the iterator holds no
        connection and no task: it may be dropped. A cancelled step loses nothing; the next one continues.

        Args:
            user: The user to sign in as, whose trades are read; None is the default user.
            asset_id: The only market to read; None is all of them.
            limit: Trades on a page, at least 1; the service may send fewer. None is the service's default.
            start_time: The earliest time, in nanoseconds since the Unix epoch, at least 0; None is no bound.
            end_time: The latest time, likewise.
            side: ``"buy"`` or ``"sell"``, in any case; None is both.
            sub_account: The index of the only sub-account to read, at least 0; None is all of them.
            status: As for `get_user_trades`.

        Returns:
            An asynchronous iterator over the trades. A step raises as `get_user_trades`. Rows that could not be decoded
            are left out, and the client logs a warning about them.

        Raises:
            MissingUserError: there is no user.
            TypeError, ValueError: an argument is not legal.
        """
        owner, market = self._user(user), None if asset_id is None else asset(asset_id)
        page_params(None, limit)
        query = history_query(start_time, end_time, side, sub_account, status)

        async def read(page: int) -> ListedPage[HistoricalUserTrade]:
            found, more = await self._trades_page(owner, market, page, limit, query)
            return ListedPage(found.trades, not found.trades, more)

        return PageIterator(read, lambda trade: trade)

    async def _trades_page(
        self, owner: User, market: AssetIdentifier | None, page: int | None, limit: int | None, query: HistoryQuery
    ) -> tuple[UserTradesPage, bool | None]:
        """Read a page, and whether the service says that another one follows."""
        path = history_path(f"/trades/user/{owner.public_key}", market)
        body = await self._listing(path, owner, **page_params(page, limit), **query)
        found = codec.decode_page(body, UserTradesPage)
        report_bad_rows(path, found.trades, found.bad)
        return found, says_more(codec.page_fields(body, "trades"))

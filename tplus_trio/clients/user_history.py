"""Reads of a user's past trades and orders, and of what is derived from them, from the market data service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from tplus_trio import codec
from tplus_trio.arguments import check_count
from tplus_trio.clients.bad_rows import report_bad_rows
from tplus_trio.clients.base import Client, asset
from tplus_trio.clients.decoding import decode_at
from tplus_trio.clients.known_users import says_nothing_yet
from tplus_trio.clients.paging import ListedPage, PageIterator, page_params, says_more
from tplus_trio.errors import NotFoundError
from tplus_trio.models import (
    AssetIdentifier,
    HistoricalUserTrade,
    PositionBasisResponse,
    Rows,
    SubAccountNamesResponse,
    UserOrdersPage,
    UserTradesPage,
)
from tplus_trio.users import User

__all__ = ["UserHistory"]

_Query: TypeAlias = Mapping[str, str | int | None]


class UserHistory(Client):
    """The reads of a user's history in `MarketDataClient`. All of them sign in."""

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
        query = _query(start_time, end_time, side, sub_account, status)
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
        query = _query(start_time, end_time, side, sub_account, status)
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
        query = _query(start_time, end_time, side, sub_account, status)

        async def read(page: int) -> ListedPage[HistoricalUserTrade]:
            found, more = await self._trades_page(owner, market, page, limit, query)
            return ListedPage(found.trades, not found.trades, more)

        return PageIterator(read, lambda trade: trade)

    async def get_user_orders(
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
    ) -> UserOrdersPage:
        """Read a page of a user's past and present orders, newest first (``GET /orders/user/{key}``).

        Cancelling it closes the request's connection and leaves nothing behind.

        Args:
            user: The user to sign in as, whose orders are read; None is the default user.
            page: The number of the page, at least 0; None is the first page, 0.
            limit: Orders on a page, at least 1; the service may send fewer. None is the service's default.
            start_time: The earliest time, in nanoseconds since the Unix epoch, at least 0; None is no bound.
            end_time: The latest time, likewise.
            side: ``"buy"`` or ``"sell"``, in any case; None is both.
            sub_account: The index of the only sub-account to read, at least 0; None is all of them.
            status: One of ``"pending"``, ``"open"``, ``"partial"``, ``"cancelled"``, ``"closed"``, ``"completed"``, in
                any case; None is all of them.

        Returns:
            The orders that could be decoded, prices and quantities in the book's units.
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
        query = _query(start_time, end_time, side, sub_account, status)
        return await self._orders_page(self._user(user), None, page, limit, query)

    async def get_user_orders_for_asset(
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
    ) -> UserOrdersPage:
        """Read a page of a user's orders in one market, newest first (``GET /orders/user/{key}/{asset}``).

        Cancelling it closes the request's connection and leaves nothing behind.

        Args:
            asset_id: The market.
            user: The user to sign in as, whose orders are read; None is the default user.
            page: The number of the page, at least 0; None is the first page, 0.
            limit: Orders on a page, at least 1; the service may send fewer. None is the service's default.
            start_time: The earliest time, in nanoseconds since the Unix epoch, at least 0; None is no bound.
            end_time: The latest time, likewise.
            side: ``"buy"`` or ``"sell"``, in any case; None is both.
            sub_account: The index of the only sub-account to read, at least 0; None is all of them.
            status: One of ``"pending"``, ``"open"``, ``"partial"``, ``"cancelled"``, ``"closed"``, ``"completed"``, in
                any case; None is all of them.

        Returns:
            The orders that could be decoded, prices and quantities in the book's units.
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
        query = _query(start_time, end_time, side, sub_account, status)
        return await self._orders_page(self._user(user), asset(asset_id), page, limit, query)

    async def get_user_position_basis(
        self, user: User | None = None, *, sub_account: int | None = None
    ) -> Rows[PositionBasisResponse]:
        """Read what a user's positions cost, as derived from trades (``GET /positions/user/{key}/basis``).

        It is an estimate: transfers, fees and trades with oneself are not in it. Cancelling it closes the request's
        connection and leaves nothing behind.

        Args:
            user: The user to sign in as, whose positions are read; None is the default user.
            sub_account: The index of the only sub-account to read, at least 0; None is all of them.

        Returns:
            The rows that could be decoded, prices in quote units and quantities in base units. ``bad`` has the other
            rows, and the client logs a warning about them. There are none if the service keeps none of the user.

        Raises:
            NotFoundError: a 404 that is not the service's own, such as a proxy's.
            ApiError: the service refused the request; `RateLimitError` for too many requests.
            ConnectionFailed: the service could not be reached, or sent no answer within the client's ``timeout``.
            DecodeError: the answer is not a list or is too large, or none of its rows can be decoded.
            MissingUserError: there is no user.
            TypeError, ValueError: an argument is not legal.
        """
        return await self._basis(self._user(user), None, sub_account)

    async def get_user_position_basis_for_asset(
        self, asset_id: AssetIdentifier | str | int, user: User | None = None, *, sub_account: int | None = None
    ) -> Rows[PositionBasisResponse]:
        """Read what a user's positions in one asset cost (``GET /positions/user/{key}/basis/{asset}``).

        It is an estimate: transfers, fees and trades with oneself are not in it. Cancelling it closes the request's
        connection and leaves nothing behind.

        Args:
            asset_id: The asset.
            user: The user to sign in as, whose positions are read; None is the default user.
            sub_account: The index of the only sub-account to read, at least 0; None is all of them.

        Returns:
            The rows that could be decoded, prices in quote units and quantities in base units. ``bad`` has the other
            rows, and the client logs a warning about them. There are none if the service keeps none of the user.

        Raises:
            NotFoundError: a 404 that is not the service's own, such as a proxy's.
            ApiError: the service refused the request; `RateLimitError` for too many requests.
            ConnectionFailed: the service could not be reached, or sent no answer within the client's ``timeout``.
            DecodeError: the answer is not a list or is too large, or none of its rows can be decoded.
            MissingUserError: there is no user.
            TypeError, ValueError: an argument is not legal.
        """
        return await self._basis(self._user(user), asset(asset_id), sub_account)

    async def get_sub_account_names(self, user: User | None = None) -> SubAccountNamesResponse:
        """Read the names that a user gave to sub-accounts (``GET /sub-accounts/user/{key}``).

        A name reaches this service a little after it was set. Cancelling it closes the request's connection and leaves
        nothing behind.

        Args:
            user: The user to sign in as, whose sub-accounts are meant; None is the default user.

        Returns:
            The sub-accounts that have a name, lowest index first.

        Raises:
            ApiError: the service refused the request; `RateLimitError` for too many requests.
            ConnectionFailed: the service could not be reached, or sent no answer within the client's ``timeout``.
            DecodeError: the answer is no list of names, or is too large.
            MissingUserError: there is no user.
            TypeError, ValueError: an argument is not legal.
        """
        owner = self._user(user)
        path = f"/sub-accounts/user/{owner.public_key}"
        return decode_at(path, await self._get(path, user=owner, required=True), SubAccountNamesResponse)

    async def _trades_page(
        self, owner: User, market: AssetIdentifier | None, page: int | None, limit: int | None, query: _Query
    ) -> tuple[UserTradesPage, bool | None]:
        """Read a page, and whether the service says that another one follows."""
        path = _path(f"/trades/user/{owner.public_key}", market)
        body = await self._listing(path, owner, **page_params(page, limit), **query)
        found = codec.decode_page(body, UserTradesPage)
        report_bad_rows(path, found.trades, found.bad)
        return found, says_more(codec.page_fields(body, "trades"))

    async def _orders_page(
        self, owner: User, market: AssetIdentifier | None, page: int | None, limit: int | None, query: _Query
    ) -> UserOrdersPage:
        path = _path(f"/orders/user/{owner.public_key}", market)
        body = await self._listing(path, owner, **page_params(page, limit), **query)
        found = codec.decode_page(body, UserOrdersPage)
        report_bad_rows(path, found.orders, found.bad)
        return found

    async def _basis(
        self, owner: User, market: AssetIdentifier | None, sub_account: int | None
    ) -> Rows[PositionBasisResponse]:
        path = _path(f"/positions/user/{owner.public_key}/basis", market)
        account = None if sub_account is None else check_count("sub_account", sub_account, least=0)
        rows = codec.decode_rows(await self._listing(path, owner, sub_account=account), PositionBasisResponse)
        report_bad_rows(path, rows, rows.bad)
        return rows

    async def _listing(self, path: str, owner: User, **params: Any) -> bytes:
        """Read a listing: an empty one if the service says that it keeps nothing of the user."""
        try:
            return await self._get(path, user=owner, required=True, **params)
        except NotFoundError as exc:
            # A user may be known and yet have no history: users decide whether the service keeps theirs.
            if params.get("page") or not says_nothing_yet(exc):
                raise
            return b"[]"


def _path(listing: str, market: AssetIdentifier | None) -> str:
    return listing if market is None else f"{listing}/{market}"


def _query(
    start_time: int | None, end_time: int | None, side: str | None, sub_account: int | None, status: str | None
) -> _Query:
    """Check the filters of a history, and return them as query parameters.

    Raises:
        TypeError, ValueError: one of them is not legal.
    """
    counts = {"start_time": start_time, "end_time": end_time, "sub_account": sub_account}
    for name, value in counts.items():
        if value is not None:
            check_count(name, value, least=0)
    texts: dict[str, str | None] = {"side": side, "status": status}
    for name, text in texts.items():
        if text is not None and not isinstance(text, str):
            msg = f"{name} is a str or None, not {type(text).__name__}"
            raise TypeError(msg)
    if side is not None and side.lower() not in ("buy", "sell"):
        msg = f"side is 'buy' or 'sell', not {side!r}"
        raise ValueError(msg)
    return {**counts, **texts}

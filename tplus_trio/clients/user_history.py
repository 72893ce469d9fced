"""Reads of a user's past trades, orders and positions, from the market data service."""

from __future__ import annotations

from tplus_trio import codec
from tplus_trio.arguments import check_count
from tplus_trio.clients.bad_rows import report_bad_rows
from tplus_trio.clients.base import asset
from tplus_trio.clients.decoding import decode_at
from tplus_trio.clients.history_reads import HistoryQuery, history_path, history_query
from tplus_trio.clients.paging import page_params
from tplus_trio.clients.user_trade_history import UserTradeHistory
from tplus_trio.models import AssetIdentifier, PositionBasisResponse, Rows, SubAccountNamesResponse, UserOrdersPage
from tplus_trio.users import User

__all__ = ["UserHistory"]


class UserHistory(UserTradeHistory):
    """The reads of a user's history in `MarketDataClient`. All of them sign in."""

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
        query = history_query(start_time, end_time, side, sub_account, status)
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
        query = history_query(start_time, end_time, side, sub_account, status)
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

    async def _orders_page(
        self, owner: User, market: AssetIdentifier | None, page: int | None, limit: int | None, query: HistoryQuery
    ) -> UserOrdersPage:
        path = history_path(f"/orders/user/{owner.public_key}", market)
        body = await self._listing(path, owner, **page_params(page, limit), **query)
        found = codec.decode_page(body, UserOrdersPage)
        report_bad_rows(path, found.orders, found.bad)
        return found

    async def _basis(
        self, owner: User, market: AssetIdentifier | None, sub_account: int | None
    ) -> Rows[PositionBasisResponse]:
        path = history_path(f"/positions/user/{owner.public_key}/basis", market)
        account = None if sub_account is None else check_count("sub_account", sub_account, least=0)
        rows = codec.decode_rows(await self._listing(path, owner, sub_account=account), PositionBasisResponse)
        report_bad_rows(path, rows, rows.bad)
        return rows

"""Reads of a user's orders over REST."""

from __future__ import annotations

from typing import Any

from tplus_trio.arguments import check_count
from tplus_trio.clients.bad_rows import report_bad_rows
from tplus_trio.clients.base import CALL, asset
from tplus_trio.clients.order_service import OrderServiceClient
from tplus_trio.clients.paging import ListedPage, PageIterator, page_params, says_more
from tplus_trio.clients.user_orders import open_only_param, target_of
from tplus_trio.models import AssetIdentifier, BadRow, OrderResponse, Rows, UserOrders
from tplus_trio.users import User

__all__ = ["UserOrderReads"]

#: Orders on a page of a listing of one market, if the caller gives other parameters only.
_PAGE = 1000


class UserOrderReads(OrderServiceClient):
    """The reads of a user's orders in `OrderBookClient`."""

    async def get_user_orders(
        self,
        user: User | None = None,
        *,
        page: int | None = None,
        limit: int | None = None,
        open_only: bool | None = None,
    ) -> UserOrders:
        """Read a page of a user's orders, newest first (``GET /orders/user/{key}``).

        It unpacks to two values: ``orders, page = await client.get_user_orders()``. Cancelling it closes the
        request's connection and leaves nothing behind.

        Args:
            user: The user to sign in as, whose orders are read; None is the default user.
            page: The number of the page, at least 0; None is the first page, 0.
            limit: Orders on a page, at least 1; the service may send fewer. None is the service's default.
            open_only: Whether the service shall leave out orders that have ended; None is the service's default. An
                older service ignores it: check `OrderResponse.is_open`.

        Returns:
            The orders that could be decoded (prices and quantities are integers in the book's units) and the page's
            other fields. ``bad`` has the other rows, and the client logs a warning about them. There are no orders if
            the service has not seen the user yet: it answered the first page with 404 and a code that ends in
            ``_NOT_FOUND``, and nothing showed this client before that the service knows the user.

        Raises:
            NotFoundError: any other 404, such as a proxy's.
            ApiError: the service refused the request; `RateLimitError` for too many requests.
            ConnectionFailed: the service could not be reached, or sent no answer within the client's ``timeout``.
            DecodeError: the answer is not a page or is too large, or none of its rows can be decoded.
            MissingUserError: there is no user.
            TypeError, ValueError: an argument is not legal.
        """
        orders = await self._orders.read_page(self._user(user), page, limit, CALL, open_only=open_only)
        report_bad_rows("/orders/user", orders.orders, orders.bad)
        return orders

    async def get_user_orders_for_book(
        self,
        asset_id: AssetIdentifier | str | int,
        *,
        page: int | None = None,
        limit: int | None = None,
        open_only: bool | None = None,
        user: User | None = None,
    ) -> Rows[OrderResponse]:
        """Read a page of a user's orders of one market, newest first (``GET /orders/user/{key}/{asset}``).

        Cancelling it closes the request's connection and leaves nothing behind.

        Args:
            asset_id: The market.
            page: The number of the page, at least 0; None is the first page, 0.
            limit: Orders on a page, at least 1; the service may send fewer. None is 1000 if ``page`` or ``open_only``
                is given, else the service's default.
            open_only: Whether the service shall leave out orders that have ended; None is the service's default.
            user: The user to sign in as, whose orders are read; None is the default user.

        Returns:
            The orders that could be decoded; prices and quantities are integers in the book's units. ``bad`` has the
            other rows, and the client logs a warning about them. There are none if the service has not seen the user
            yet; see `get_user_orders`.

        Raises:
            NotFoundError: there is no such market, or a proxy sent a 404.
            ApiError: the service refused the request; `RateLimitError` for too many requests.
            ConnectionFailed: the service could not be reached, or sent no answer within the client's ``timeout``.
            DecodeError: the answer is not a list or is too large, or none of its rows can be decoded.
            MissingUserError: there is no user.
            TypeError, ValueError: an argument is not legal.
        """
        return (await self._book_orders(asset(asset_id), page, limit, open_only, self._user(user)))[0]

    async def _book_orders(
        self, market: AssetIdentifier, page: int | None, limit: int | None, open_only: bool | None, owner: User
    ) -> tuple[Rows[OrderResponse], bool | None]:
        """Read a page, and whether the service says that another one follows."""
        params: dict[str, Any] = {**page_params(page, limit), "open_only": open_only_param(open_only)}
        if any(value is not None for value in params.values()):
            params |= {"page": page or 0, "limit": _PAGE if limit is None else limit}
        rows, follows = await self._orders.read_book_page(owner, market, CALL, **params)
        report_bad_rows(f"/orders/user/{owner.public_key}/{market}", rows, rows.bad)
        return rows, follows

    async def get_open_orders_for_book(
        self,
        asset_id: AssetIdentifier | str | int,
        *,
        limit: int = _PAGE,
        max_pages: int = 50,
        user: User | None = None,
    ) -> Rows[OrderResponse]:
        """Read all open orders of a user in one market, newest first (``GET /orders/user/{key}/{asset}``).

        It reads pages until the service sends an empty one or says that no other one follows. Open orders move to
        earlier pages while others end, so that an order may be missed if there is more than one page. Cancelling it
        closes the request's connection and leaves nothing behind.

        Args:
            asset_id: The market.
            limit: Orders on a page, at least 1; the service may send fewer.
            max_pages: The most pages to read, at least 1. Orders on further pages are missing.
            user: The user to sign in as, whose orders are read; None is the default user.

        Returns:
            The orders, each once, without those that have ended; prices and quantities are integers in the book's
            units. ``bad`` has the rows of all pages that could not be decoded; the client logs a warning about them.

        Raises:
            NotFoundError: there is no such market, or a proxy sent a 404.
            ApiError: the service refused the request; `RateLimitError` for too many requests.
            ConnectionFailed: the service could not be reached, or sent no answer within the client's ``timeout``.
            DecodeError: an answer is not a list or is too large, or none of its rows can be decoded.
            MissingUserError: there is no user.
            TypeError, ValueError: an argument is not legal.
        """
        market, owner = asset(asset_id), self._user(user)
        check_count("limit", limit)
        check_count("max_pages", max_pages)

        bad: list[BadRow] = []

        async def read(page: int) -> ListedPage[OrderResponse]:
            rows, more = await self._book_orders(market, page, limit, True, owner)
            bad.extend(rows.bad)
            return ListedPage(rows, not rows, more)

        orders = PageIterator(read, target_of, max_pages=max_pages)
        return Rows([order async for order in orders if not order.is_done], bad)

    def iter_user_orders(
        self, user: User | None = None, *, limit: int | None = None, open_only: bool | None = None
    ) -> PageIterator[OrderResponse]:
        """Iterate over all of a user's orders, newest first (``GET /orders/user/{key}``, page by page).

        Each order comes once, as it was when its page was read. Between two orders the iterator holds no connection and
        no task: it may be dropped. A cancelled step loses nothing; the next one continues.

        Args:
            user: The user to sign in as, whose orders are read; None is the default user.
            limit: Orders on a page, at least 1; the service may send fewer. None is the service's default.
            open_only: Whether to leave out orders that have ended; None is the service's default. Open orders move to
                earlier pages while others end, so that an order may be missed if there is more than one page.

        Returns:
            An asynchronous iterator over the orders; prices and quantities are integers in the book's units. A step
            raises as `get_user_orders`. Rows that could not be decoded are left out, and the client logs a warning.

        Raises:
            MissingUserError: there is no user.
            TypeError, ValueError: an argument is not legal.
        """
        owner = self._user(user)
        page_params(None, limit)
        open_only_param(open_only)

        async def read(page: int) -> ListedPage[OrderResponse]:
            listed = await self._orders.read_page(owner, page, limit, CALL, open_only=open_only)
            report_bad_rows("/orders/user", listed.orders, listed.bad)
            rows = tuple(order for order in listed.orders if not (open_only and order.is_done))
            return ListedPage(rows, not listed.orders, says_more(listed.page))

        return PageIterator(read, target_of)

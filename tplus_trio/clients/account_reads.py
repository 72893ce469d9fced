"""Reads of a user's account over REST."""

from __future__ import annotations

from tplus_trio.clients.bad_rows import report_bad_rows
from tplus_trio.clients.base import CALL
from tplus_trio.clients.order_service import OrderServiceClient
from tplus_trio.models import UserOrders
from tplus_trio.users import User

__all__ = ["AccountReads"]


class AccountReads(OrderServiceClient):
    """The reads of a user's account in `OrderBookClient`."""

    async def get_user_orders(
        self, user: User | None = None, *, page: int | None = None, limit: int | None = None
    ) -> UserOrders:
        """Read a page of a user's orders, newest first (``GET /orders/user/{key}``).

        It unpacks to two values: ``orders, page = await client.get_user_orders()``. Cancelling it closes the request's
        connection and leaves nothing behind.

        Args:
            user: The user to sign in as, whose orders are read; None is the default user.
            page: The number of the page, at least 0; None is the first page, 0.
            limit: Orders on a page, at least 1; the service may send fewer. None is the service's default.

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
        orders = await self._orders.read_page(self._user(user), page, limit, CALL)
        report_bad_rows("/orders/user", orders.orders, orders.bad)
        return orders

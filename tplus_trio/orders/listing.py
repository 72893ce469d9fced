"""The complete list of a user's orders, read page by page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from tplus_trio.errors import NotFoundError, ServerError
from tplus_trio.models import BadRow, OrderResponse, UserOrders

__all__ = ["is_answer_of_service", "read_all_orders"]

#: Orders in each page of the complete list, and the highest number of pages.
_ORDERS_PAGE: Final = 1000
_ORDERS_PAGES: Final = 50

#: Reads one page. The arguments are the page, counted from 0, and the number of orders in a page.
ReadPage = Callable[[int, int], Awaitable[UserOrders]]


async def read_all_orders(read_page: ReadPage) -> UserOrders:
    """Return a user's orders from all pages, each once, with the other fields of the last page.

    Raises:
        ServerError: the service answers that there are no orders, although it has listed orders before. Either a new
            order is not yet visible to the listing, or another replica answered. A retry helps.
    """
    # A new order moves the others to later pages, so an order may be listed twice. The row read first is the newer one.
    orders: dict[str, OrderResponse] = {}
    rest: Mapping[str, Any] = {}
    bad: list[BadRow] = []
    for page in range(_ORDERS_PAGES):
        listed = await _read_page(read_page, page)
        rest = listed.page
        bad += listed.bad
        for order in listed.orders:
            orders.setdefault(order.order_id, order)
        if not rest.get("has_next_page"):
            break
    return UserOrders(tuple(orders.values()), rest, tuple(bad))


async def _read_page(read_page: ReadPage, page: int) -> UserOrders:
    try:
        return await read_page(page, _ORDERS_PAGE)
    except NotFoundError as exc:
        if not is_answer_of_service(exc):
            raise
        raise ServerError(exc.code, exc.message, exc.status, exc.details, exc.retryable, exc.retry_after) from exc


def is_answer_of_service(refusal: NotFoundError) -> bool:
    """Return whether a 404 came from the service itself, and not from a proxy."""
    return refusal.status == 404 and refusal.code.endswith("_NOT_FOUND")

"""Reads a user's orders from REST: one page, or all of them for an order stream."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from tplus_trio import codec
from tplus_trio.clients.base import get, page_params
from tplus_trio.errors import NotFoundError, ServerError
from tplus_trio.models import BadRow, OrderResponse, UserOrders
from tplus_trio.orders.sending import ORDER
from tplus_trio.service import Service
from tplus_trio.transport.pacing import Dispatch
from tplus_trio.users import User

__all__ = ["UserOrdersReader"]

F = TypeVar("F")
D = TypeVar("D")

#: Orders on each page that an order stream requests.
_ORDERS_PAGE: Final = 1000
#: The most pages that an order stream requests at once.
_ORDERS_PAGES: Final = 50


class UserOrdersReader:
    """Reads ``GET /orders/user/{key}``, and remembers which users the service knows.

    The service answers 404 for a user that it has not seen yet. For a user that it knows, a 404 is an error.

    Args:
        service: The order book service.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        #: The public keys of the users that the service knows, because it sent or accepted something of theirs.
        self._known_users: set[str] = set()

    def add_known(self, user: User) -> None:
        """Remember that the service knows the user."""
        self._known_users.add(user.public_key)

    def seeing(self, owner: User, decode: Callable[[F], D]) -> Callable[[F], D]:
        """Wrap a decoder of a user's feed: its first item shows that the service knows the user."""
        known, key = self._known_users, owner.public_key

        def decode_and_see(frames: F) -> D:
            items = decode(frames)
            if items:
                known.add(key)
            return items

        return decode_and_see

    async def read_page(self, owner: User, page: int | None, limit: int | None, dispatch: Dispatch) -> UserOrders:
        """Read a page; ``bad`` lists the rows that cannot be decoded."""
        key = owner.public_key
        try:
            body = await get(
                self._service,
                f"/orders/user/{key}",
                user=owner,
                required=True,
                dispatch=dispatch,
                **page_params(page, limit),
            )
        except NotFoundError as exc:
            if page or key in self._known_users or not _is_of_the_service(exc):
                raise
            return UserOrders((), {})
        orders = codec.decode_page(body, UserOrders)
        self._known_users.add(key)
        return orders

    async def read_newest(self, owner: User) -> tuple[OrderResponse, ...]:
        """Read the newest orders of a user, open and done, before other requests."""
        return (await self.read_page(owner, 0, _ORDERS_PAGE, ORDER)).orders

    async def read_all(self, owner: User, dispatch: Dispatch) -> UserOrders:
        """Read all pages of a user's orders; ``page`` has the other fields of the last one."""
        # A new order moves the others to later pages, so an order may be read twice: the first reading is newer.
        orders: dict[str, OrderResponse] = {}
        rest: Mapping[str, Any] = {}
        bad: list[BadRow] = []
        for page in range(_ORDERS_PAGES):
            listed = await self._read_for_stream(owner, page, dispatch)
            rest = listed.page
            bad += listed.bad
            for order in listed.orders:
                orders.setdefault(order.order_id, order)
            if not rest.get("has_next_page"):
                break
        return UserOrders(tuple(orders.values()), rest, tuple(bad))

    async def _read_for_stream(self, owner: User, page: int, dispatch: Dispatch) -> UserOrders:
        """Read a page for a stream.

        Raises:
            ServerError: the service says that the page does not exist, but has sent orders of this user before. An
                order overtook the answer, or an outdated replica sent it. Another request helps.
        """
        try:
            return await self.read_page(owner, page, _ORDERS_PAGE, dispatch)
        except NotFoundError as exc:
            if not _is_of_the_service(exc):
                raise
            raise ServerError(exc.code, exc.message, exc.status, exc.details, exc.retryable, exc.retry_after) from exc


def _is_of_the_service(refusal: NotFoundError) -> bool:
    """Whether the service itself sent a 404, not a proxy: its codes end in ``_NOT_FOUND``."""
    return refusal.status == 404 and refusal.code.endswith("_NOT_FOUND")

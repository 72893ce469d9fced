"""Reads a user's orders from REST: one page, or all that are open for an order stream."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from tplus_trio import codec
from tplus_trio.clients.base import get
from tplus_trio.clients.known_users import KnownUsers, is_of_the_service, says_nothing_yet
from tplus_trio.clients.paging import page_params, says_more
from tplus_trio.errors import DecodeError, NotFoundError, ServerError
from tplus_trio.models import AssetIdentifier, BadRow, OrderResponse, OrderStatus, Rows, UserOrders
from tplus_trio.orders.sending import ORDER, OrderTarget
from tplus_trio.service import Service
from tplus_trio.transport.pacing import Dispatch
from tplus_trio.users import User

__all__ = ["UserOrdersReader", "order_in", "shows_end", "target_of"]

F = TypeVar("F")
D = TypeVar("D")

#: Orders on each page that an order stream requests.
_ORDERS_PAGE: Final = 1000
#: The most pages that an order stream requests at once.
_ORDERS_PAGES: Final = 50


class UserOrdersReader:
    """Reads ``GET /orders/user/{key}``, and remembers which users the service knows.

    Args:
        service: The order book service.
        known: The users that the service knows.
    """

    def __init__(self, service: Service, known: KnownUsers | None = None) -> None:
        self._service = service
        self.known: KnownUsers = KnownUsers() if known is None else known

    def seeing(self, owner: User, decode: Callable[[F], D]) -> Callable[[F], D]:
        """Wrap a decoder of a user's feed: an item shows that the service knows the user."""
        known, key = self.known, owner.public_key

        def decode_and_see(frames: F) -> D:
            items = decode(frames)
            if items:
                known.saw(key)
            return items

        return decode_and_see

    async def read_page(
        self, owner: User, page: int | None, limit: int | None, dispatch: Dispatch, *, open_only: bool | None = None
    ) -> UserOrders:
        """Read a page; ``bad`` lists the rows that cannot be decoded."""
        key = owner.public_key
        was_known = self.known.has(key)
        try:
            body = await get(
                self._service,
                f"/orders/user/{key}",
                user=owner,
                required=True,
                dispatch=dispatch,
                **page_params(page, limit),
                open_only=open_only_param(open_only),
            )
        except NotFoundError as exc:
            if page or was_known or not says_nothing_yet(exc):
                raise
            return UserOrders((), {})
        orders = codec.decode_page(body, UserOrders)
        self.known.add(key)
        return orders

    async def read_book_page(
        self, owner: User, market: AssetIdentifier, dispatch: Dispatch, **params: int | str | None
    ) -> tuple[Rows[OrderResponse], bool | None]:
        """Read a page of a user's orders in a market, and whether the service says that another one follows.

        Args:
            owner: The user.
            market: The market.
            dispatch: The request's priority.
            params: ``page``, ``limit`` and ``open_only``; the service has a default for each.
        """
        key, path = owner.public_key, f"/orders/user/{owner.public_key}/{market}"
        was_known = self.known.has(key, "orders")
        try:
            body = await get(self._service, path, user=owner, required=True, dispatch=dispatch, **params)
        except NotFoundError as exc:
            if params.get("page") or was_known or not says_nothing_yet(exc):
                raise
            return Rows(), False
        rows, about = codec.decode_listing(body, "orders", OrderResponse)
        self.known.add(key, "orders")
        return rows, says_more(about)

    async def read_to_resolve(
        self, owner: User, market: AssetIdentifier, page: int
    ) -> tuple[Rows[OrderResponse], bool]:
        """Read a page, open orders and ended ones, before other requests. Return whether another one may follow."""
        rows, follows = await self.read_book_page(owner, market, ORDER, page=page, limit=_ORDERS_PAGE)
        has_rows = bool(rows) or bool(rows.bad)
        # Some services say that no page follows a full one although one does.
        is_full = len(rows) + len(rows.bad) >= _ORDERS_PAGE
        return rows, has_rows and (bool(follows) or is_full)

    async def read_newest(self, owner: User) -> tuple[OrderResponse, ...]:
        """Read the newest orders of a user, open and done, before other requests."""
        return (await self.read_page(owner, 0, _ORDERS_PAGE, ORDER)).orders

    async def read_open(self, owner: User, dispatch: Dispatch) -> UserOrders:
        """Read all open orders of a user.

        One request is enough if the service leaves out the orders that have ended, and the others fit on a page. If the
        first page has an order that has ended, the service does not leave them out: all pages are read, and they are
        left out here.

        Returns:
            The orders. ``page`` has the other fields of the last page that was read, its number, and whether more
            follow.
        """
        # A new order moves the others to later pages, so an order may be read twice: the first reading is newer.
        orders: dict[OrderTarget, OrderResponse] = {}
        listed = UserOrders((), {})
        bad: list[BadRow] = []
        filtered: bool | None = True
        page, is_last = -1, False
        while not is_last and page + 1 < _ORDERS_PAGES:
            page += 1
            listed = await self._read_for_stream(owner, page, dispatch, open_only=filtered)
            if any(order.is_done for order in listed.orders):
                filtered = None
            bad += listed.bad
            before = len(orders)
            for order in listed.orders:
                orders.setdefault(target_of(order), order)
            # A service that ignores the number of the page sends the same orders again.
            is_full = len(listed.orders) + len(listed.bad) >= _ORDERS_PAGE and len(orders) > before
            is_last = is_last_page(listed, is_full=is_full)
        still_open = tuple(order for order in orders.values() if not order.is_done)
        about = {**listed.page, "page": page, "has_next_page": not is_last}
        return UserOrders(still_open, about, tuple(bad), open_only=True)

    async def _read_for_stream(
        self, owner: User, page: int, dispatch: Dispatch, *, open_only: bool | None = None
    ) -> UserOrders:
        """Read a page for a stream.

        Raises:
            ServerError: the service says that the page does not exist, but has sent orders of this user before. An
                outdated replica sent it. Another request helps.
        """
        try:
            return await self.read_page(owner, page, _ORDERS_PAGE, dispatch, open_only=open_only)
        except NotFoundError as exc:
            if not is_of_the_service(exc):
                raise
            raise ServerError(exc.code, exc.message, exc.status, exc.details, exc.retryable, exc.retry_after) from exc


def target_of(order: OrderResponse) -> OrderTarget:
    """Return what tells an order from the others of its user: a service may let an id be used once in each market."""
    return OrderTarget(order.base_asset, order.order_id)


def order_in(row: BadRow) -> OrderTarget:
    """Return the order that a row of a listing is about, although the row cannot be decoded.

    Raises:
        DecodeError: the row does not name an order.
    """
    fields = codec.decode(row.raw, dict[str, Any])
    order_id = fields.get("order_id")
    try:
        asset_id = AssetIdentifier(fields["base_asset"])
    except (KeyError, TypeError, ValueError):
        raise DecodeError(row.reason) from None
    if not isinstance(order_id, str):
        raise DecodeError(row.reason)
    return OrderTarget(asset_id, order_id)


def shows_end(row: BadRow) -> bool:
    """Return whether a row that cannot be decoded shows that its order has ended for good."""
    status = codec.decode(row.raw, dict[str, Any]).get("status")
    return isinstance(status, str) and OrderStatus(status).is_done


def open_only_param(open_only: bool | None) -> str | None:
    """Return the query parameter that leaves out orders that have ended.

    Raises:
        TypeError: it is neither None nor a bool.
    """
    if open_only is None:
        return None
    if not isinstance(open_only, bool):
        msg = f"open_only is True, False or None, not {type(open_only).__name__}"
        raise TypeError(msg)
    return "true" if open_only else "false"


def is_last_page(listed: UserOrders, *, is_full: bool) -> bool:
    """Return whether no page follows. A service that does not say so sends a full page before the next one."""
    said = says_more(listed.page)
    return (not said) if said is not None else not is_full

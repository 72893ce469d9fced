"""Reads of a user's positions over REST."""

from __future__ import annotations

from typing import Any

from tplus_trio import codec
from tplus_trio.arguments import check_count
from tplus_trio.clients.bad_rows import report_bad_rows
from tplus_trio.clients.base import asset
from tplus_trio.clients.decoding import decode_at
from tplus_trio.clients.known_users import says_nothing_yet
from tplus_trio.clients.order_service import OrderServiceClient
from tplus_trio.clients.paging import ListedPage, PageIterator, page_params, says_more
from tplus_trio.errors import NotFoundError
from tplus_trio.models import (
    AssetIdentifier,
    CloseAllPreviewResponse,
    Position,
    Rows,
    UserPositionsPage,
)
from tplus_trio.users import User

__all__ = ["PositionReads"]


class PositionReads(OrderServiceClient):
    """The reads of a user's positions in `OrderBookClient`."""

    async def get_user_positions(
        self,
        user: User | None = None,
        *,
        sub_account: int | None = None,
        page: int | None = None,
        limit: int | None = None,
    ) -> Rows[Position]:
        """Read a page of a user's open positions (``GET /positions/{key}``).

        Cancelling it closes the request's connection and leaves nothing behind.

        Args:
            user: The user to sign in as, whose positions are read; None is the default user.
            sub_account: The index of the only sub-account to read, at least 0; None is all of them.
            page: The number of the page, at least 0; None is the first page, 0.
            limit: Positions on a page, at least 1; the service may send fewer. None is the service's default.

        Returns:
            The positions that could be decoded, prices in quote units and sizes in base units. ``bad`` has the other
            rows, and the client logs a warning about them. There are none if the service has not seen the user yet: it
            answered 404 with a code that ends in ``_NOT_FOUND``, and nothing showed this client before that the
            service knows the user.

        Raises:
            NotFoundError: any other 404, such as a proxy's.
            ApiError: the service refused the request; `RateLimitError` for too many requests.
            ConnectionFailed: the service could not be reached, or sent no answer within the client's ``timeout``.
            DecodeError: the answer is not a page or is too large, or none of its rows can be decoded.
            MissingUserError: there is no user.
            TypeError, ValueError: an argument is not legal.
        """
        found = await self.get_user_positions_page(sub_account=sub_account, page=page, limit=limit, user=user)
        return Rows(found.positions, found.bad)

    async def get_user_positions_page(
        self,
        *,
        sub_account: int | None = None,
        page: int | None = None,
        limit: int | None = None,
        user: User | None = None,
    ) -> UserPositionsPage:
        """Read a page of a user's open positions with its other fields (``GET /positions/{key}``).

        Cancelling it closes the request's connection and leaves nothing behind.

        Args:
            sub_account: The index of the only sub-account to read, at least 0; None is all of them.
            page: The number of the page, at least 0; None is the first page, 0.
            limit: Positions on a page, at least 1; the service may send fewer. None is the service's default.
            user: The user to sign in as, whose positions are read; None is the default user.

        Returns:
            As `get_user_positions`, with the number of the next page and the like. A bare list is one whole page.

        Raises:
            NotFoundError: as `get_user_positions`.
            ApiError: the service refused the request; `RateLimitError` for too many requests.
            ConnectionFailed: the service could not be reached, or sent no answer within the client's ``timeout``.
            DecodeError: the answer is not a page or is too large, or none of its rows can be decoded.
            MissingUserError: there is no user.
            TypeError, ValueError: an argument is not legal.
        """
        return (await self._positions(self._user(user), None, sub_account, page, limit))[0]

    async def get_user_position_for_asset(
        self,
        asset_id: AssetIdentifier | str | int,
        user: User | None = None,
        *,
        sub_account: int | None = None,
    ) -> Rows[Position]:
        """Read a user's positions in one asset, one for each sub-account (``GET /positions/{key}/{asset}``).

        Cancelling it closes the request's connection and leaves nothing behind.

        Args:
            asset_id: The asset.
            user: The user to sign in as, whose positions are read; None is the default user.
            sub_account: The index of the only sub-account to read, at least 0; None is all of them.

        Returns:
            As `get_user_positions`.

        Raises:
            NotFoundError: there is no such market, or as `get_user_positions`.
            ApiError: the service refused the request; `RateLimitError` for too many requests.
            ConnectionFailed: the service could not be reached, or sent no answer within the client's ``timeout``.
            DecodeError: the answer is not a page or is too large, or none of its rows can be decoded.
            MissingUserError: there is no user.
            TypeError, ValueError: an argument is not legal.
        """
        found = (await self._positions(self._user(user), asset(asset_id), sub_account, None, None))[0]
        return Rows(found.positions, found.bad)

    def iter_user_positions(
        self, user: User | None = None, *, sub_account: int | None = None, limit: int | None = None
    ) -> PageIterator[Position]:
        """Iterate over all of a user's open positions (``GET /positions/{key}``, page by page).

        Each position (asset and sub-account) comes once, as it was when its page was read. A position that is closed
        meanwhile moves the others to earlier pages, so that one may be missed. Between two positions the iterator
        holds no connection and no task: it may be dropped. A cancelled step loses nothing; the next one continues.

        Args:
            user: The user to sign in as, whose positions are read; None is the default user.
            sub_account: The index of the only sub-account to read, at least 0; None is all of them.
            limit: Positions on a page, at least 1; the service may send fewer. None is the service's default.

        Returns:
            An asynchronous iterator over the positions. A step raises as `get_user_positions`. Rows that could not be
            decoded are left out, and the client logs a warning about them.

        Raises:
            MissingUserError: there is no user.
            TypeError, ValueError: an argument is not legal.
        """
        owner = self._user(user)
        _account_param(sub_account)
        page_params(None, limit)

        async def read(page: int) -> ListedPage[Position]:
            found, more = await self._positions(owner, None, sub_account, page, limit)
            return ListedPage(found.positions, not found.positions, more)

        return PageIterator(read, lambda position: (position.asset_id, position.sub_account_index))

    async def _positions(
        self,
        owner: User,
        market: AssetIdentifier | None,
        sub_account: int | None,
        page: int | None,
        limit: int | None,
    ) -> tuple[UserPositionsPage, bool | None]:
        """Read a page, and whether the service says that another one follows."""
        key = owner.public_key
        path = f"/positions/{key}" if market is None else f"/positions/{key}/{market}"
        params: dict[str, Any] = {**page_params(page, limit), "sub_account": _account_param(sub_account)}
        was_known = self._orders.known.has(key, "positions")
        try:
            body = await self._get(path, user=owner, required=True, **params)
        except NotFoundError as exc:
            if page or was_known or not says_nothing_yet(exc):
                raise
            return UserPositionsPage(()), False
        found = codec.decode_page(body, UserPositionsPage)
        self._orders.known.add(key, "positions")
        report_bad_rows(path, found.positions, found.bad)
        return found, says_more(codec.page_fields(body, "positions"))

    async def get_close_all_positions_preview(
        self, sub_account_index: int, user: User | None = None
    ) -> CloseAllPreviewResponse:
        """Read the orders that would close all positions of a sub-account (``GET /positions/close-all/{key}/{index}``).

        Nothing is sent to the book: sign and send the orders to close the positions. Cancelling it closes the
        request's connection and leaves nothing behind.

        Args:
            sub_account_index: The sub-account, at least 0: 0 is the main account, 1 the first margin account.
            user: The user to sign in as, whose positions are read; None is the default user.

        Returns:
            The orders (quantities are integers in the book's units) and, by asset, why there is no order for it.

        Raises:
            ApiError: the service refused the request; `RateLimitError` for too many requests.
            ConnectionFailed: the service could not be reached, or sent no answer within the client's ``timeout``.
            DecodeError: the answer is not a preview, or is too large.
            MissingUserError: there is no user.
            TypeError, ValueError: an argument is not legal.
        """
        owner = self._user(user)
        path = f"/positions/close-all/{owner.public_key}/{check_count('sub_account_index', sub_account_index, least=0)}"
        return decode_at(path, await self._get(path, user=owner, required=True), CloseAllPreviewResponse)


def _account_param(sub_account: int | None) -> int | None:
    return None if sub_account is None else check_count("sub_account", sub_account, least=0)

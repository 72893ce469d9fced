"""Listings of a user's orders in a market, read to find out what became of some of them, by all who look at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

import attrs

from tplus_trio.models import AssetIdentifier, OrderResponse, Rows
from tplus_trio.orders.shared_reads import Progress, SharedReads, no_progress
from tplus_trio.users import User

__all__ = ["Listing", "ListingReader", "ReadPage"]

#: Reads a page of a user's orders in a market, open and done: the user, the market, and the page from 0.
ReadPage = Callable[[User, AssetIdentifier, int], Awaitable[tuple[Rows[OrderResponse], bool]]]


@attrs.frozen
class Listing:
    """What a listing shows."""

    #: The orders in it, by id.
    orders: Mapping[str, OrderResponse]
    #: Whether it has all pages, and each of their rows could be decoded.
    is_complete: bool


class ListingReader:
    """Reads listings. A task that asks while another one reads waits, and then reads once for all that wait.

    Args:
        read_page: Reads a page, and says whether another one follows.
        on_rows: Called with the rows of each page, and the user's public key.
        most_pages: The most pages that are read.
    """

    def __init__(
        self, read_page: ReadPage, on_rows: Callable[[str, Sequence[OrderResponse]], object], most_pages: int = 50
    ) -> None:
        self._read_page = read_page
        self._on_rows = on_rows
        self._most_pages = most_pages
        self._reads = SharedReads[Listing]()

    async def read(
        self,
        owner: User,
        asset_id: AssetIdentifier,
        *,
        complete: bool,
        on_page: Progress = no_progress,
    ) -> Listing:
        """Return a listing that was begun after this call.

        Cancelling it leaves nothing behind; others who want the listing read it themselves.

        Args:
            owner: The user.
            asset_id: The market.
            complete: Whether to read all pages, not only the first one, which has the newest orders.
            on_page: Called for each page that has come, also while another task reads.

        Raises:
            TplusError: a page could not be read.
        """
        pages = self._most_pages if complete else 1
        key = (owner.public_key, asset_id, complete)
        return await self._reads.read(key, partial(self._read, owner, asset_id, pages), on_page)

    async def _read(self, owner: User, asset_id: AssetIdentifier, pages: int, on_page: Progress) -> Listing:
        orders: dict[str, OrderResponse] = {}
        bad, page, follows = 0, 0, True
        while follows and page < pages:
            listed, follows = await self._read_page(owner, asset_id, page)
            self._on_rows(owner.public_key, listed)
            on_page()
            # A new order moves the others to later pages, so a row may come twice. An id may have been used again, too.
            # The first row is the newest.
            orders = {order.order_id: order for order in reversed(listed)} | orders
            bad += len(listed.bad)
            page += 1
        return Listing(orders, is_complete=not follows and not bad)

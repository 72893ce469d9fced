"""The price that limits of orders are measured against, from the public book."""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import Final

from tplus_trio import codec
from tplus_trio.clients.base import get
from tplus_trio.errors import NotFoundError
from tplus_trio.models import AssetIdentifier, OrderBook
from tplus_trio.models.numbers import EXACT
from tplus_trio.orders.sending import ORDER
from tplus_trio.service import Service

__all__ = ["ReferencePrices"]

#: Nanoseconds for which a price is used again.
_FRESH_NS: Final = 1_000_000_000


class ReferencePrices:
    """Reads the middle of the best levels of a market, at most once a second for each market.

    Args:
        service: A service that serves ``GET /marketdepth/{asset}``, such as a gateway.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        #: When each price was read, in nanoseconds, and the price.
        self._prices: dict[AssetIdentifier, tuple[int, Decimal]] = {}

    async def read(self, asset_id: AssetIdentifier) -> Decimal | None:
        """Return the middle of the best bid and ask in quote units, or the only one of them; None if there is none.

        It is no checkpoint if the price is fresh. Cancelling it leaves nothing behind.

        Raises:
            TplusError: the book could not be read.
        """
        now_ns = self._service.now_ns()
        known = self._prices.get(asset_id)
        if known is not None and 0 <= now_ns - known[0] < _FRESH_NS:
            return known[1]
        try:
            body = await get(self._service, f"/marketdepth/{asset_id}", user=None, required=False, dispatch=ORDER)
        except NotFoundError:
            return None
        book = codec.decode(body, OrderBook)
        best = [side[0].price for side in (book.bids, book.asks) if side]
        if not best:
            return None
        with localcontext(EXACT):
            price = sum(best, Decimal(0)) / len(best)
        self._prices[asset_id] = (now_ns, price)
        return price

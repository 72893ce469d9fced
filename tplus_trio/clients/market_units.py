"""Markets: their units, the list of them, and creating one."""

from __future__ import annotations

import trio

from tplus_trio import codec
from tplus_trio.arguments import check_instance
from tplus_trio.clients.bad_rows import report_bad_rows
from tplus_trio.clients.base import CALL, asset
from tplus_trio.clients.order_service import OrderServiceClient
from tplus_trio.clients.paging import page_params
from tplus_trio.models import AssetIdentifier, Market, MarketsPage

__all__ = ["MarketUnits"]

#: Markets on a page of the service, unless the caller asks for another number.
_MARKETS_PAGE = 1000


class MarketUnits(OrderServiceClient):
    """The reads of markets in `OrderBookClient`. They need no user."""

    async def get_market(self, asset_id: AssetIdentifier | str | int) -> Market:
        """Read a market's units: how many decimals its prices and quantities have (``GET /market/{asset}``).

        The client keeps the answer for each market. After the service refused an order, the client requests it again,
        because the units may have changed. It needs no user. Cancelling it closes the request's connection and leaves
        nothing behind.

        Args:
            asset_id: The market.

        Returns:
            The market: one price unit of an order is ``10**-book_price_decimals`` quote units, one quantity unit
            ``10**-book_quantity_decimals`` base units.

        Raises:
            ApiError: the service refused the request; `RateLimitError` for too many requests.
            ConnectionFailed: the service could not be reached, or sent no answer within the client's ``timeout``.
            DecodeError: the answer is not a market, or is too large.
            TypeError, ValueError: ``asset_id`` is not a valid asset.
        """
        chosen = asset(asset_id)
        await trio.lowlevel.checkpoint()
        return await self._market(chosen, CALL)

    async def get_markets(
        self, include_symbol_map: bool = False, *, page: int | None = None, limit: int | None = None
    ) -> MarketsPage:
        """Read a page of the markets (``GET /markets``).

        It needs no user. Cancelling it closes the request's connection and leaves nothing behind.

        Args:
            include_symbol_map: Whether the page also has the registry of assets, by index.
            page: The number of the page, at least 0; None is the first page, 0.
            limit: Markets on a page, at least 1; the service may send fewer. None is 1,000.

        Returns:
            The markets that could be decoded, as a sequence. ``bad`` has the other rows, and the client logs a warning
            about them.

        Raises:
            ApiError: the service refused the request; `RateLimitError` for too many requests.
            ConnectionFailed: the service could not be reached, or sent no answer within the client's ``timeout``.
            DecodeError: the answer is not a page or is too large, or none of its rows can be decoded.
            TypeError, ValueError: an argument is not legal.
        """
        check_instance("include_symbol_map", include_symbol_map, bool)
        params = page_params(0 if page is None else page, _MARKETS_PAGE if limit is None else limit)
        body = await self._get(
            "/markets",
            user=self._default_user,
            page=params["page"],
            limit=params["limit"],
            include_symbol_map="true" if include_symbol_map else None,
        )
        markets = codec.decode_page(body, MarketsPage)
        report_bad_rows("/markets", markets.markets, markets.bad)
        return markets

    async def create_market(self, asset_id: AssetIdentifier | str | int) -> Market:
        """Create the market of an asset, unless it exists (``POST /market/create``).

        It needs no user. If it is cancelled after the request was sent, the market may exist; call it again.

        Args:
            asset_id: The asset.

        Returns:
            The market, new or old.

        Raises:
            ApiError: the service refused the request; `RateLimitError` for too many requests.
            ConnectionFailed: the service could not be reached, or sent no answer within the client's ``timeout``.
            DecodeError: the answer is not a market, or is too large.
            TypeError, ValueError: ``asset_id`` is not a valid asset.
        """
        chosen = asset(asset_id)
        body = codec.encode({"asset_id": chosen})
        answer = await self._service.request("POST", "/market/create", body=body, user=self._default_user)
        market = codec.decode(answer, Market)
        self._markets[chosen] = market
        return market

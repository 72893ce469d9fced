"""The base of the parts of `OrderBookClient`: the markets' units, and the reader of a user's orders."""

from __future__ import annotations

from typing import Unpack

import trio

from tplus_trio import codec
from tplus_trio.clients.base import CALL, Client, ClientOptions, asset
from tplus_trio.clients.nonces import ActionNonces
from tplus_trio.clients.user_orders import UserOrdersReader
from tplus_trio.models import AssetIdentifier, Market
from tplus_trio.transport.pacing import Dispatch
from tplus_trio.users import User

__all__ = ["OrderServiceClient"]


class OrderServiceClient(Client):
    """What the parts of `OrderBookClient` share.

    The arguments are those of every client: see `Client`.
    """

    def __init__(
        self,
        base_url: str = "http://localhost:3032",
        *,
        default_user: User | None = None,
        **options: Unpack[ClientOptions],
    ) -> None:
        super().__init__(base_url, default_user=default_user, **options)
        self._markets: dict[AssetIdentifier, Market] = {}
        self._orders = UserOrdersReader(self._service)
        self._nonces = ActionNonces(self._service.now_ns)

    async def get_market(self, asset_id: AssetIdentifier | str | int) -> Market:
        """Read a market's units: how many decimals its prices and quantities have (``GET /market/{asset}``).

        The client keeps the answer for each market. After the service refused an order as invalid, the client requests
        it again, because the units may have changed. It needs no user. Cancelling it closes the request's connection
        and leaves nothing behind.

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
        return await self._market(asset(asset_id), CALL)

    async def _market(self, asset_id: AssetIdentifier, dispatch: Dispatch) -> Market:
        if asset_id not in self._markets:
            body = await self._get(f"/market/{asset_id}", user=self._default_user, dispatch=dispatch)
            self._markets[asset_id] = codec.decode(body, Market)
        else:
            await trio.lowlevel.checkpoint()
        return self._markets[asset_id]

    def _forget(self, market: Market) -> None:
        """Request a market's units again before the next order: a change of them may have caused the refusal."""
        if self._markets.get(market.asset_id) is market:
            del self._markets[market.asset_id]

"""What a user may hold in a market at worst."""

from __future__ import annotations

from tplus_trio.clients.base import CALL, asset
from tplus_trio.clients.position_reads import PositionReads
from tplus_trio.clients.user_order_reads import UserOrderReads
from tplus_trio.clients.user_orders import order_in
from tplus_trio.errors import DecodeError
from tplus_trio.models import AssetIdentifier
from tplus_trio.orders.exposure import Exposure, exposure_of
from tplus_trio.users import User

__all__ = ["ExposureReads"]

#: The newest orders that are read for their pending trades.
_NEWEST = 1000


class ExposureReads(UserOrderReads, PositionReads):
    """The read of a user's exposure in `OrderBookClient`."""

    async def exposure(self, asset_id: AssetIdentifier | str | int, user: User | None = None) -> Exposure:
        """Read what a user holds in a market, and what open orders and orders in doubt may add.

        It reads the user's open orders in the market, the newest 1,000 orders for their pending trades, and the
        positions, in this order: a trade in between makes the worst cases larger, never smaller. An order that this
        client sends meanwhile counts as one in doubt if the read has missed it. Cancelling it closes
        the request's connection and leaves nothing behind.

        Args:
            asset_id: The market.
            user: The user to sign in as; None is the default user.

        Returns:
            The exposure, in base units, over all sub-accounts. ``without_quantity`` names the orders that could not be
            decoded, too. Orders in doubt are those that this client sent: while
            their request is under way, and afterwards until a listing shows them if their fate is not known.

        Raises:
            ApiError: the service refused a request; `RateLimitError` for too many requests.
            ConnectionFailed: the service could not be reached, or sent no answer within the client's ``timeout``.
            DecodeError: an answer or a position cannot be decoded, or an answer is too large.
            MissingUserError: there is no user.
            TypeError, ValueError: an argument is not legal.
        """
        chosen, owner = asset(asset_id), self._user(user)
        market = await self._market(chosen, CALL)
        with self._doubts.keeping_accepted() as accepted:
            still_open = await self.get_open_orders_for_book(chosen, user=owner)
            newest = await self.get_user_orders_for_book(chosen, page=0, limit=_NEWEST, user=owner)
            orders = {order.order_id: order for order in (*still_open, *newest)}
            self._doubts.listed(owner.public_key, orders.values())
            positions = await self.get_user_position_for_asset(chosen, owner)
        if positions.bad:
            msg = f"a position cannot be decoded: {positions.bad[0].reason}"
            raise DecodeError(msg)
        missed = (doubt for user, doubt in accepted if user == owner.public_key and doubt.asset_id == chosen)
        doubts = (*self._doubts.of(owner.public_key, chosen), *missed)
        unread = dict.fromkeys(order_in(row).order_id for row in (*still_open.bad, *newest.bad))
        return exposure_of(
            market,
            orders.values(),
            positions,
            (doubt for doubt in doubts if doubt.order_id not in orders),
            [order_id for order_id in unread if order_id not in orders],
        )

"""Requests that cancel orders."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from tplus_trio.clients.base import asset
from tplus_trio.clients.order_service import OrderServiceClient
from tplus_trio.clients.user_orders import order_in, shows_end, target_of
from tplus_trio.errors import ApiError, DecodeError, TplusError
from tplus_trio.models import AssetIdentifier, CancelOrder, OrderOperationResponse, validate_order_id
from tplus_trio.orders.batch_results import CancelResult
from tplus_trio.orders.sending import ORDER, OrderTarget
from tplus_trio.scopes import open_plain_nursery
from tplus_trio.users import User

__all__ = ["OrderCancels"]


class OrderCancels(OrderServiceClient):
    """The requests of `OrderBookClient` that cancel orders."""

    async def cancel_order(
        self, order_id: str, asset_id: AssetIdentifier | str | int, user: User | None = None
    ) -> OrderOperationResponse:
        """Sign a cancel request for an order and send it (``DELETE /orders/cancel``, or the control channel).

        If there is no answer, or none that states what became of the request, the call sends the cancel again and looks
        for the order, for at most ``resolve_timeout`` more; also if it is cancelled after a byte of the request may
        have left. `orders_in_doubt` has the order if it is not known by then.

        Args:
            order_id: The id of the order: 1 to 24 UTF-8 bytes.
            asset_id: The market of the order.
            user: The user of the order, who signs; None is the default user.

        Returns:
            The service's answer: it took the request, or the order is known to have been canceled. The order stream
            tells when the order is removed.

        Raises:
            TypeError, ValueError: an argument is not legal. Nothing was sent.
            MissingUserError: there is no user. Nothing was sent.
            NotFoundError: the order has ended without this cancel, or there was none yet when the service answered.
            OrderRejected: the service refused the request.
            OrderFateUnknown: the request was sent, and it could not be found out what became of it: the order may be
                gone or still rest. An answer that the user has no such open order says too little, because it may
                follow a copy of the request that canceled the order. An entered client goes on cancelling.
            ConnectionFailed: no byte of the request has left.
            ApiError: the service refused the request for another reason.
            KeyfileError: the user's key cannot be decrypted. Nothing was sent.
        """
        owner = self._user(user)
        cancel = CancelOrder(validate_order_id(order_id), asset(asset_id), owner.public_key)
        return await self._operate(await self._builder.cancel(cancel, owner))

    async def cancel_all_orders(
        self, asset_id: AssetIdentifier | str | int | None = None, user: User | None = None
    ) -> tuple[CancelResult, ...]:
        """Cancel all open orders of a user's account, whoever placed them, waiting triggers included.

        It reads the user's open orders and cancels each, at most 20 at a time, and fewer if ``order_rate_limit`` is
        slow. An order that is placed meanwhile may be missed. An order that cannot be decoded is cancelled too. If the
        call is cancelled, any of the orders may be gone or still rest; call it again.

        Args:
            asset_id: The market; None is all markets of the account.
            user: The user of the orders, who signs; None is the default user.

        Returns:
            A result for each order that was open. Its ``error`` is None if the service took the cancellation, or has no
            such open order any more.

        Raises:
            TypeError, ValueError: an argument is not legal. Nothing was sent.
            MissingUserError: there is no user. Nothing was sent.
            ApiError, ConnectionFailed: the user's orders could not be read. Nothing was canceled.
            DecodeError: the same; or the service listed an order without an id or a market that can be read. That order
                may still rest. The call tried to cancel all others; ``__cause__`` shows the row.
            KeyfileError: the user's key cannot be decrypted. Nothing was canceled.
        """
        owner, chosen = self._user(user), None if asset_id is None else asset(asset_id)
        listed = await self._orders.read_open(owner, ORDER)
        orders, unnamed = [target_of(order) for order in listed.orders], list[DecodeError]()
        for row in listed.bad:
            try:
                orders += [] if shows_end(row) else [order_in(row)]
            except DecodeError as exc:
                unnamed.append(exc)
        orders = [order for order in dict.fromkeys(orders) if chosen in (None, order.asset_id)]
        results = await self._cancel_each(orders, owner)
        if unnamed:
            gone = sum(result.error is None for result in results)
            msg = f"{len(unnamed)} of the listed orders cannot be read and may still rest; {gone} others are canceled"
            raise DecodeError(msg) from unnamed[0]
        return results

    async def _cancel_each(self, orders: Sequence[OrderTarget], owner: User) -> tuple[CancelResult, ...]:
        """Cancel orders of a user, some of them at once."""
        results: dict[OrderTarget, CancelResult] = {}
        limiter, all_done = trio.CapacityLimiter(self._most_cancels), trio.Event()

        async def cancel(order: OrderTarget) -> None:
            error: TplusError | None = None
            async with limiter:
                try:
                    await self.cancel_order(_nameable(order.order_id), order.asset_id, owner)
                except TplusError as exc:
                    error = None if isinstance(exc, ApiError) and exc.code.endswith("_NOT_FOUND") else exc
            results[order] = CancelResult(order.order_id, order.asset_id, error)
            if len(results) == len(orders):
                all_done.set()

        if orders:
            async with open_plain_nursery() as nursery:
                for order in orders:
                    nursery.start_soon(cancel, order)
                await all_done.wait()
        return tuple(results[order] for order in orders)


def _nameable(order_id: str) -> str:
    """Return the id of a listed order.

    Raises:
        DecodeError: no request can name it.
    """
    try:
        return validate_order_id(order_id)
    except ValueError as exc:
        msg = f"the service lists an order whose id no request can name: {exc}"
        raise DecodeError(msg) from exc

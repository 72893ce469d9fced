"""Requests that create and cancel orders."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import trio

from tplus_trio.clients.base import asset
from tplus_trio.clients.order_service import OrderServiceClient
from tplus_trio.clients.user_orders import order_in, shows_end, target_of
from tplus_trio.errors import ApiError, DecodeError, TplusError
from tplus_trio.models import (
    AssetIdentifier,
    CancelOrder,
    CreateOrderRequest,
    Order,
    OrderOperationResponse,
    OrderTrigger,
    Side,
    TimeInForce,
    TradeTarget,
    validate_order_id,
)
from tplus_trio.orders.batch_results import CancelResult
from tplus_trio.orders.building import check_signers
from tplus_trio.orders.limits import Terms
from tplus_trio.orders.sending import ORDER, OrderTarget
from tplus_trio.orders.terms import Amount, OrderTerms, check_limit_size, check_market_size, check_terms
from tplus_trio.orders.unsettled import OnCancel, check_on_cancel
from tplus_trio.scopes import open_plain_nursery
from tplus_trio.users import User

__all__ = ["OrderEntry"]


class OrderEntry(OrderServiceClient):
    """The requests of `OrderBookClient` that create and cancel orders."""

    async def create_limit_order(
        self,
        quantity: Amount,
        price: Amount,
        side: Side | str,
        time_in_force: TimeInForce | None = None,
        asset_id: AssetIdentifier | str | int | None = None,
        order_id: str | None = None,
        target: TradeTarget | None = None,
        max_trading_fees_rate: int | None = None,
        trigger: OrderTrigger | None = None,
        user: User | None = None,
        reduce_only: bool = False,
        *,
        additional_signers: Sequence[User] | None = None,
        on_cancel: OnCancel = "cancel",
    ) -> OrderOperationResponse:
        """Sign a limit order and send it (``POST /orders/create``, or the control channel).

        If the answer does not state what became of the order, the call finds out, for at most ``resolve_timeout`` more.
        If it is cancelled after a byte of the request may have left, it lasts at most ``resolve_timeout`` longer, in
        which it does what ``on_cancel`` says; all cancelled calls of a client end together. `orders_in_doubt` has what
        is not known by then. The first order of a market requests its units first; see `get_market`.

        Args:
            quantity: More than 0. An ``int`` is in the book's quantity units: one unit is
                ``10**-book_quantity_decimals`` of the base asset. A Decimal is in base units.
            price: More than 0. An ``int`` is in the book's price units: one unit is ``10**-book_price_decimals`` of
                the quote asset. A Decimal is in quote units.
            side: ``Side.BUY`` or ``Side.SELL``, or their names.
            time_in_force: `GTC`, `GTD` or `IOC`; None is ``GTC()``, good until cancelled.
            asset_id: The market. It is required.
            order_id: 1 to 24 UTF-8 bytes, unique for the user; None makes a random one.
            target: The sub-account and balance that the order trades for; None is the spot balance of the first margin
                account.
            max_trading_fees_rate: The highest fee rate to accept, as the service counts it, at least 0; None is 50 000.
            trigger: The condition under which the order becomes active, its price in the book's price units; None is
                none.
            user: The user that signs; None is the default user.
            reduce_only: Whether the order may only make a position smaller.
            additional_signers: Other users that sign the order too.
            on_cancel: What the client does with the order if the call is cancelled, or if its fate stays unknown and it
                shows up later: ``"cancel"`` takes it back, ``"resolve"`` only finds out what became of it, ``"leave"``
                does nothing. An order that cannot rest, such as immediate-or-cancel, is never taken back.

        Returns:
            The service's answer: it took the order. The book may still refuse it; the order stream tells.

        Raises:
            TypeError, ValueError: an argument is not legal, such as a Decimal that is no multiple of the market's
                units. Nothing was sent; if a Decimal does not fit, the market's units were requested.
            MissingUserError: there is no user. Nothing was sent.
            OrderLimitExceeded: the order is beyond the client's limits. Nothing was sent.
            OrderRejected: the service refused the order, for example because a post-only order would have traded.
                A code of ``NEVER_TOOK_EFFECT`` means that no answer says so, but the declared `ServiceRules`.
            OrderFateUnknown: the request was sent, and it could not be found out whether the order exists. The client
                goes on if it was entered; do not send the order again while it is in `orders_in_doubt`.
            ConnectionFailed: no byte of the request has left.
            ApiError: the service refused the request for another reason.
            DecodeError: the answer about the market's units cannot be decoded. The order was not sent.
            KeyfileError: the user's key cannot be decrypted. The order was not sent.
        """
        terms = check_terms(
            self._order_id(order_id),
            _required(asset_id),
            check_limit_size(quantity, price, time_in_force),
            side=side,
            target=target,
            max_trading_fees_rate=max_trading_fees_rate,
            trigger=trigger,
            reduce_only=reduce_only,
        )
        wish = check_on_cancel(on_cancel)
        return await self._create(terms, self._user(user), check_signers(additional_signers), wish)

    async def create_market_order(
        self,
        side: Side | str,
        base_quantity: Amount | None = None,
        quote_quantity: Amount | None = None,
        fill_or_kill: bool = False,
        asset_id: AssetIdentifier | str | int | None = None,
        order_id: str | None = None,
        target: TradeTarget | None = None,
        max_trading_fees_rate: int | None = None,
        trigger: OrderTrigger | None = None,
        max_sellable_amount: Amount | None = None,
        max_sellable_quantity: Amount | None = None,
        user: User | None = None,
        *,
        reduce_only: bool = False,
        additional_signers: Sequence[User] | None = None,
        on_cancel: OnCancel = "cancel",
    ) -> OrderOperationResponse:
        """Sign a market order and send it (``POST /orders/create``, or the control channel).

        Its fate is found out as that of a limit order; see `create_limit_order`. If the call is cancelled, it does not
        take the order back: it only finds out what became of it.

        Args:
            side: ``Side.BUY`` or ``Side.SELL``, or their names.
            base_quantity: The quantity to trade, more than 0. An ``int`` is in the book's quantity units, a Decimal in
                base units. Exactly one of this and ``quote_quantity`` is given.
            quote_quantity: The amount to trade, more than 0. An ``int`` is in the book's units of price times quantity,
                a Decimal in quote units.
            fill_or_kill: Whether the book trades the whole size at once or nothing.
            asset_id: The market. It is required.
            order_id: As for `create_limit_order`.
            target: As for `create_limit_order`.
            max_trading_fees_rate: As for `create_limit_order`.
            trigger: As for `create_limit_order`.
            max_sellable_amount: The largest amount that a buy by ``base_quantity`` may spend, in the units of
                ``quote_quantity``; None means no limit.
            max_sellable_quantity: The largest quantity that a sell by ``quote_quantity`` may spend, in the units of
                ``base_quantity``; None means no limit.
            user: As for `create_limit_order`.
            reduce_only: As for `create_limit_order`.
            additional_signers: As for `create_limit_order`.
            on_cancel: As for `create_limit_order`. It matters for an order with a trigger, which can rest.

        Returns:
            The service's answer: it took the order. `stream_user_trade_events` delivers the fills.

        Raises:
            TplusError, TypeError, ValueError: as for `create_limit_order`.
        """
        terms = check_terms(
            self._order_id(order_id),
            _required(asset_id),
            check_market_size(base_quantity, quote_quantity, fill_or_kill, max_sellable_amount, max_sellable_quantity),
            side=side,
            target=target,
            max_trading_fees_rate=max_trading_fees_rate,
            trigger=trigger,
            reduce_only=reduce_only,
        )
        wish = check_on_cancel(on_cancel)
        return await self._create(terms, self._user(user), check_signers(additional_signers), wish)

    async def prepare_limit_order_request(
        self,
        asset_id: AssetIdentifier | str | int,
        price: Amount,
        quantity: Amount,
        side: Side | str,
        target: TradeTarget | None,
        time_in_force: TimeInForce | None,
        max_trading_fees_rate: int | None = None,
        trigger: OrderTrigger | None = None,
        order_id: str | None = None,
        user: User | None = None,
        reduce_only: bool = False,
        *,
        additional_signers: Sequence[User] | None = None,
    ) -> tuple[str, CreateOrderRequest]:
        """Sign a limit order for `send_multiple_orders`, without sending it.

        Cancelling it leaves nothing behind. The first order of a market requests its units; see `get_market`.

        Args:
            asset_id: The market.
            price: As for `create_limit_order`.
            quantity: As for `create_limit_order`.
            side: As for `create_limit_order`.
            target: As for `create_limit_order`.
            time_in_force: As for `create_limit_order`.
            max_trading_fees_rate: As for `create_limit_order`.
            trigger: As for `create_limit_order`.
            order_id: As for `create_limit_order`.
            user: As for `create_limit_order`.
            reduce_only: As for `create_limit_order`.
            additional_signers: As for `create_limit_order`.

        Returns:
            The order id, and the signed order.

        Raises:
            TypeError, ValueError: an argument is not legal.
            MissingUserError: there is no user.
            ApiError, ConnectionFailed, DecodeError: the market's units could not be read.
            KeyfileError: the user's key cannot be decrypted.
        """
        terms = check_terms(
            self._order_id(order_id),
            asset(asset_id),
            check_limit_size(quantity, price, time_in_force),
            side=side,
            target=target,
            max_trading_fees_rate=max_trading_fees_rate,
            trigger=trigger,
            reduce_only=reduce_only,
        )
        owner, signers = self._user(user), check_signers(additional_signers)
        await trio.lowlevel.checkpoint()
        _, order = await self._in_units(
            terms.asset_id, lambda market: terms.to_order(market, owner.public_key, self._change_times.next())
        )
        return terms.order_id, await self._builder.sign_create(order, owner, signers)

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

    async def _create(
        self,
        terms: OrderTerms,
        owner: User,
        signers: tuple[User, ...],
        on_cancel: OnCancel,
        claim: Callable[[Order], Awaitable[object]] | None = None,
    ) -> OrderOperationResponse:
        """Sign an order and send it.

        Args:
            terms: The checked terms.
            owner: The user.
            signers: The other users that sign it.
            on_cancel: See `create_limit_order`.
            claim: Called before the order is sent, for an order of a scope: a cancelled call hands the order over.
        """
        market, order = await self._in_units(
            terms.asset_id, lambda market: terms.to_order(market, owner.public_key, self._change_times.next())
        )
        if self._guard is not None:
            await self._guard.admit(owner, [Terms.of_order(market, order)])
        try:
            request = await self._builder.create(order, owner, signers)
            if claim is not None:
                await claim(order)
        except BaseException:
            self._withdraw(owner, order.order_id)
            raise
        return await self._operate(request, market, on_cancel, hands_over=claim is not None)


def _required(asset_id: AssetIdentifier | str | int | None) -> AssetIdentifier:
    if asset_id is None:
        msg = "asset_id is required: the market to trade on"
        raise TypeError(msg)
    return asset(asset_id)


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

"""Requests that create orders."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import trio

from tplus_trio.clients.base import asset
from tplus_trio.clients.order_service import OrderServiceClient
from tplus_trio.models import (
    AssetIdentifier,
    CreateOrderRequest,
    Order,
    OrderOperationResponse,
    OrderTrigger,
    Side,
    TimeInForce,
    TradeTarget,
)
from tplus_trio.orders.building import check_signers
from tplus_trio.orders.limits import Terms
from tplus_trio.orders.terms import Amount, OrderTerms, check_limit_size, check_market_size, check_terms
from tplus_trio.orders.unsettled import OnCancel, check_on_cancel
from tplus_trio.users import User

__all__ = ["OrderEntry"]


class OrderEntry(OrderServiceClient):
    """The requests of `OrderBookClient` that create orders."""

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

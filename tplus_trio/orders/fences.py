"""Fences: proofs that a request that has not been carried out never will be. Each needs a rule of the service.

``docs/explained/order_fates.md`` says what each fence shows, under which rule, and what follows if the service
breaks the rule.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from functools import partial
from typing import Final

import attrs

from tplus_trio.errors import ApiError
from tplus_trio.models import (
    GTD,
    IOC,
    AssetIdentifier,
    CancelOrder,
    LimitOrderDetails,
    Market,
    Order,
    Side,
    new_order_id,
)
from tplus_trio.orders.building import RequestBuilder
from tplus_trio.orders.sending import Delivery, OrderRequest, OrderSender
from tplus_trio.orders.service_rules import ServiceRules
from tplus_trio.orders.shared_reads import Progress, SharedReads, no_progress
from tplus_trio.orders.unsettled import Fence, UnsettledOrder
from tplus_trio.orders.verdicts import Verdict, verdict_of_error
from tplus_trio.service import Service

__all__ = ["BestAsk", "Fences"]

#: Reads the best ask of a market in quote units: a price, infinity if there is no ask, and None if it is not known.
BestAsk = Callable[[AssetIdentifier], Awaitable[Decimal | None]]
#: Returns the units of a market. With True, they are requested, even if they are known.
Units = Callable[[AssetIdentifier, bool], Awaitable[Market]]

#: The terms of an order that cannot trade: a buy of the least quantity at one tick. The best ask is above that.
_LEAST: Final = LimitOrderDetails(1, 1, IOC(fill_or_kill=False))
#: The most orders that the client sends under one id to use it up. An order that is lost may be sent again.
_MOST_BURNS: Final = 20


class Fences:
    """Passes fences for unsettled orders, as far as the declared rules allow.

    Orders of one market that need its units or its best ask at the same time share the requests for them.

    Args:
        rules: What is declared about the service.
        service: The order book service.
        sender: The way to send.
        builder: Signs the requests.
        best_ask: Reads the best ask of a market at the client's own base URL.
        units: Returns a market's units; with True, it requests them again.
        on_burn: Called with each order that is about to be sent to use up an id, and the public key of its user.
    """

    def __init__(
        self,
        rules: ServiceRules,
        service: Service,
        sender: OrderSender,
        builder: RequestBuilder,
        best_ask: BestAsk,
        units: Units,
        on_burn: Callable[[str, Order], object],
    ) -> None:
        self._rules = rules
        self._service = service
        self._sender = sender
        self._builder = builder
        self._best_ask = best_ask
        self._units = units
        self._on_burn = on_burn
        self._units_reads = SharedReads[Market]()
        self._ask_reads = SharedReads[Decimal | None]()

    def may_help(self, order: UnsettledOrder) -> bool:
        """Return whether a fence, or a listing after one, may still show what became of a request."""
        if self.wants_listing(order):
            return True
        if order.fate != "unknown":
            return False
        if self._is_on_channel(order):
            return True
        return order.is_taken or self._can_burn(order) or self._expiry_ns(order) is not None

    def wants_listing(self, order: UnsettledOrder) -> bool:
        """Return whether it would mean something that a complete listing lacks the order, or shows its old terms."""
        if order.fate != "unknown":
            # An order that the service took, and that it may have refused later without an event that arrived.
            return order.is_missing and not order.is_gone and self._rules.listings_current
        if order.operation != "create" and order.refusal is not None and self._rules.listings_current:
            return True
        return order.fence is not None and (self._rules.listings_current or order.fence.marker is not None)

    async def pass_one(self, order: UnsettledOrder, on_answer: Progress = no_progress) -> None:
        """Try to pass a fence for a request of unknown fate.

        Cancelling it may leave an order behind that cannot trade and does not rest.

        Args:
            order: The order of the request.
            on_answer: Called for each answer to a read that the fence needs.

        Raises:
            TplusError: a request of it failed.
        """
        if order.fate != "unknown" or order.fence is not None:
            return
        expiry_ns = self._expiry_ns(order)
        if self._can_burn(order):
            await self._burn(order, on_answer)
        elif self._is_on_channel(order):
            await self._follow(order, on_answer)
        elif expiry_ns is not None and self._has_passed(expiry_ns):
            marker = None if self._rules.listings_current else await self._mark(order, None, on_answer)
            if self._rules.listings_current or marker is not None:
                order.fence = Fence(marker)

    # Using up the id: under `order_ids_remembered`, an id that was free until now shows that no order had it.

    def _can_burn(self, order: UnsettledOrder) -> bool:
        is_free = not order.is_taken and len(order.burns) < _MOST_BURNS
        return self._rules.order_ids_remembered and order.operation == "create" and is_free

    async def _burn(self, order: UnsettledOrder, on_answer: Progress) -> None:
        """Send an order that cannot trade under the same id. The evidence is that it shows up, not its answer."""
        terms = order.terms
        if not isinstance(terms, Order):
            return
        # Each burn has a creation time of its own, by which its event is known again.
        made_at = max(self._service.now_ns(), terms.creation_timestamp_ns + 1 + len(order.burns))
        # The units may have changed since the order was made. A second burn may follow one that was refused for that.
        market = await self._market(terms.base_asset, bool(order.burns), on_answer)
        order.has_new_units = (market.book_price_decimals, market.book_quantity_decimals) != (
            terms.book_price_decimals,
            terms.book_quantity_decimals,
        )
        if not await self._is_above_one_tick(market, on_answer):
            return
        burn = _harmless(terms, market, terms.order_id, made_at)
        request = await self._builder.create(burn, order.owner)
        order.burns += (burn,)
        self._on_burn(order.owner.public_key, burn)
        delivery = Delivery(request)
        try:
            await self._sender.send(delivery)
        except ApiError as exc:
            # It says only that an order has the id: this one, a burn before, or another one. A listing has to show it.
            order.is_taken = verdict_of_error(exc, "create", was_sent=delivery.sends > 0) is Verdict.CONFLICT
            raise

    async def _market(self, asset_id: AssetIdentifier, is_refused: bool, on_answer: Progress) -> Market:
        read = partial(self._read_units, asset_id, is_refused)
        return await self._units_reads.read((asset_id, is_refused), read, on_answer)

    async def _read_units(self, asset_id: AssetIdentifier, is_refused: bool, on_answer: Progress) -> Market:
        market = await self._units(asset_id, is_refused)
        on_answer()
        return market

    async def _read_ask(self, asset_id: AssetIdentifier, on_answer: Progress) -> Decimal | None:
        ask = await self._best_ask(asset_id)
        on_answer()
        return ask

    async def _is_above_one_tick(self, market: Market, on_answer: Progress) -> bool:
        ask = await self._ask_reads.read(market.asset_id, partial(self._read_ask, market.asset_id), on_answer)
        return ask is not None and ask > Decimal(1).scaleb(-market.book_price_decimals)

    # Following on the channel: under `control_keeps_order`, the answer to a later request comes after the earlier one.

    def _is_on_channel(self, order: UnsettledOrder) -> bool:
        """Return whether a request was sent once, over a control channel, so that another one can follow it."""
        can_show = self._rules.listings_current or isinstance(order.terms, Order)
        delivery = order.delivery
        return (
            self._rules.control_keeps_order
            and order.operation != "cancel"
            and delivery.connection is not None
            and delivery.sends == 1
            and can_show
        )

    async def _follow(self, order: UnsettledOrder, on_answer: Progress) -> None:
        connection = order.delivery.connection
        if not self._rules.listings_current:
            marker = await self._mark(order, connection, on_answer)
            order.fence = None if marker is None else Fence(marker)
            return
        asset_id, _ = order.target
        cancel = CancelOrder(new_order_id(), asset_id, order.owner.public_key)
        if await self._is_answered(await self._builder.cancel(cancel, order.owner), connection):
            order.fence = Fence()

    async def _mark(self, order: UnsettledOrder, connection: int | None, on_answer: Progress) -> str | None:
        """Send an order that cannot trade under an id of its own. Return the id if the service took it."""
        terms = order.terms
        if not isinstance(terms, Order):
            return None
        market = await self._market(terms.base_asset, True, on_answer)
        if not await self._is_above_one_tick(market, on_answer):
            return None
        made_at = max(self._service.now_ns(), terms.creation_timestamp_ns + 1)
        marker = _harmless(terms, market, new_order_id(), made_at)
        request = await self._builder.create(marker, order.owner)
        return marker.order_id if await self._is_answered(request, connection) else None

    async def _is_answered(self, request: OrderRequest, connection: int | None) -> bool:
        """Send a request, and return whether the service itself answered it over the given connection.

        Raises:
            TplusError: there was no answer.
        """
        delivery = Delivery(request, may_repeat=False, only_on=connection)
        try:
            await self._sender.send(delivery)
        except ApiError:
            if connection is None or not delivery.sends:
                raise
        return connection is None or delivery.connection == connection

    # Expiry: under `clock_bound`, the service refuses what arrives after it.

    def _expiry_ns(self, order: UnsettledOrder) -> int | None:
        """Return when the order of a create expires, with the bound of the clock; None if that shows nothing."""
        bound, terms = self._rules.clock_bound, order.terms
        if bound is None or not isinstance(terms, Order) or not isinstance(terms.details, LimitOrderDetails):
            return None
        good_until = terms.details.time_in_force
        return good_until.timestamp_ns + round(bound * 1e9) if isinstance(good_until, GTD) else None

    def _has_passed(self, time_ns: int) -> bool:
        """Return whether a time of the service's clock has passed, however wrong the estimate of that clock is."""
        offset = self._service.clock_offset()
        if offset is None:
            return False
        return self._service.now_ns() + offset.offset_ns - offset.bound_ns > time_ns


def _harmless(terms: Order, market: Market, order_id: str, made_at_ns: int) -> Order:
    """Return an order in the same market that neither trades nor rests while the best ask is above one tick."""
    return attrs.evolve(
        terms,
        order_id=order_id,
        book_price_decimals=market.book_price_decimals,
        book_quantity_decimals=market.book_quantity_decimals,
        details=_LEAST,
        side=Side.BUY,
        trigger=None,
        creation_timestamp_ns=made_at_ns,
        reduce_only=False,
    )

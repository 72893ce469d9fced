"""The requests of the commands about orders: what each will send, and how it is sent."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import ClassVar

import attrs

from tplus_trio.cli.failure import REFUSED, Failure, explaining
from tplus_trio.cli.order.preview import listed_lines, order_lines, replacement_lines
from tplus_trio.cli.order.rows import COLUMNS, order_cells, order_row
from tplus_trio.cli.table import table_lines
from tplus_trio.clients.order_book import OrderBookClient
from tplus_trio.errors import TplusError
from tplus_trio.models import (
    GTC,
    GTD,
    IOC,
    AssetIdentifier,
    Market,
    OrderResponse,
    OrderStatus,
    Side,
    TimeInForce,
    TradeTarget,
    TriggerAbove,
    TriggerBelow,
    TriggerCondition,
    new_order_id,
    validate_order_id,
)
from tplus_trio.orders.sending import OrderTarget
from tplus_trio.orders.terms import Size, check_limit_size, check_market_size, check_terms, may_rest, scaled

__all__ = ["CancelAllPlan", "CancelPlan", "CreatePlan", "Plan", "ReplacePlan", "time_in_force", "with_markets"]


@attrs.frozen
class Preview:
    """What a plan will send: lines to print, and the orders."""

    lines: tuple[str, ...]
    targets: tuple[OrderTarget, ...]
    #: Whether the client takes back an order whose call is cancelled, or whose fate was unknown.
    takes_back: bool = False


def _preview(lines: Sequence[tuple[str, str]], target: OrderTarget, *, takes_back: bool = False) -> Preview:
    return Preview(tuple(f"  {name:<10}{text}" for name, text in lines), (target,), takes_back)


class Plan(ABC):
    """A request about orders that is shown first and sent later."""

    operation: ClassVar[str]

    @abstractmethod
    async def prepare(self, client: OrderBookClient) -> Preview:
        """Read what is needed and return what will be sent. Nothing is sent about orders.

        Raises:
            Failure: it cannot be sent.
            TplusError: something could not be read.
        """

    @abstractmethod
    async def send(self, client: OrderBookClient) -> Mapping[OrderTarget, TplusError | None]:
        """Send it, and return the error of each order whose call has ended; None if the exchange took the request."""


def time_in_force(tif: str, expiry: float | None, *, post_only: bool) -> TimeInForce:
    """Return a time in force.

    Args:
        tif: ``gtc``, ``gtd``, ``ioc`` or ``fok``.
        expiry: Seconds until the order expires; for ``gtd``.
        post_only: Whether the order must not trade at once.
    """
    if tif == "gtd" and expiry is not None:
        return GTD(post_only, time.time_ns() + round(expiry * 1e9))
    return GTC(post_only) if tif == "gtc" else IOC(fill_or_kill=tif == "fok")


@attrs.define
class CreatePlan(Plan):
    """A new order: a limit order if it has a price, else a market order."""

    operation: ClassVar[str] = "create"
    asset_id: AssetIdentifier
    side: Side
    quantity: Decimal
    price: Decimal | None
    time_in_force: TimeInForce
    max_amount: Decimal | None = None
    order_id: str = attrs.field(
        factory=new_order_id, validator=lambda _self, _attribute, value: validate_order_id(value)
    )
    target: TradeTarget = attrs.field(factory=TradeTarget.margin_account_spot_trade)
    reduce_only: bool = False

    @property
    def _is_all_or_nothing(self) -> bool:
        return isinstance(self.time_in_force, IOC) and self.time_in_force.fill_or_kill

    async def prepare(self, client: OrderBookClient) -> Preview:
        """Read the units of the market, and put the order into them."""
        market = await client.get_market(self.asset_id)
        size: Size
        if self.price is None:
            size = check_market_size(self.quantity, None, self._is_all_or_nothing, self.max_amount, None)
        else:
            size = check_limit_size(self.quantity, self.price, self.time_in_force)
        terms = check_terms(
            self.order_id,
            self.asset_id,
            size,
            side=self.side,
            target=self.target,
            max_trading_fees_rate=None,
            trigger=None,
            reduce_only=self.reduce_only,
        )
        with explaining("order create", ValueError):
            order = terms.to_order(market, "0" * 64, time.time_ns())
        return _preview(order_lines(order, market), self._named, takes_back=may_rest(order))

    async def send(self, client: OrderBookClient) -> Mapping[OrderTarget, TplusError | None]:
        """Create the order. If the call is cancelled, the client takes it back."""
        try:
            if self.price is None:
                await client.create_market_order(
                    self.side,
                    base_quantity=self.quantity,
                    fill_or_kill=self._is_all_or_nothing,
                    asset_id=self.asset_id,
                    order_id=self.order_id,
                    target=self.target,
                    max_sellable_amount=self.max_amount,
                    reduce_only=self.reduce_only,
                )
            else:
                await client.create_limit_order(
                    self.quantity,
                    self.price,
                    self.side,
                    self.time_in_force,
                    self.asset_id,
                    self.order_id,
                    self.target,
                    reduce_only=self.reduce_only,
                )
        except TplusError as exc:
            return {self._named: exc}
        return {self._named: None}

    @property
    def _named(self) -> OrderTarget:
        return OrderTarget(self.asset_id, self.order_id)


@attrs.frozen
class CancelPlan(Plan):
    """A cancellation."""

    operation: ClassVar[str] = "cancel"
    order_id: str
    asset_id: AssetIdentifier

    async def prepare(self, client: OrderBookClient) -> Preview:
        """Read the terms of the order. An order whose terms cannot be read can be cancelled all the same."""
        lines = [("order", self.order_id), ("market", str(self.asset_id))]
        try:
            market = await client.get_market(self.asset_id)
            orders = await client.get_open_orders_for_book(self.asset_id)
        except TplusError as exc:
            lines.append(("terms", f"not known: {exc}"))
        else:
            old = next((order for order in orders if order.order_id == self.order_id), None)
            lines += (
                [("terms", "not known: no open order of this id is listed")]
                if old is None
                else listed_lines(old, market)
            )
        return _preview(lines, OrderTarget(self.asset_id, self.order_id))

    async def send(self, client: OrderBookClient) -> Mapping[OrderTarget, TplusError | None]:
        """Cancel the order."""
        target = OrderTarget(self.asset_id, self.order_id)
        try:
            await client.cancel_order(self.order_id, self.asset_id)
        except TplusError as exc:
            return {target: exc}
        return {target: None}


@attrs.define
class ReplacePlan(Plan):
    """New terms of an open order. What is not given stays as it is."""

    operation: ClassVar[str] = "replace"
    order_id: str
    asset_id: AssetIdentifier
    quantity: Decimal | None
    price: Decimal | None
    #: The complete new terms in units of the book: quantity, price, trigger.
    _terms: tuple[int, int, TriggerCondition | None] | None = attrs.field(default=None, init=False)

    async def prepare(self, client: OrderBookClient) -> Preview:
        """Read the order, and put the new terms into the units of the market."""
        market = await client.get_market(self.asset_id)
        orders = await client.get_open_orders_for_book(self.asset_id)
        old = next((order for order in orders if order.order_id == self.order_id), None)
        if old is None:
            msg = (
                f"there is no open order {self.order_id!r} in market {self.asset_id}; `tplus-trio order list` shows all"
            )
            raise Failure(msg, REFUSED)
        with explaining("order replace", ValueError):
            quantity = _new("quantity", self.quantity, old.quantity, market.book_quantity_decimals)
            price = _new("price", self.price, old.limit_price, market.book_price_decimals)
        trigger = _trigger(old)
        self._terms = (quantity, price, trigger)
        lines = replacement_lines(old, market, price=price, quantity=quantity, trigger=trigger)
        return _preview(lines, OrderTarget(self.asset_id, self.order_id))

    async def send(self, client: OrderBookClient) -> Mapping[OrderTarget, TplusError | None]:
        """Replace the order."""
        target = OrderTarget(self.asset_id, self.order_id)
        assert self._terms is not None, "prepare comes first"  # noqa: S101 - for the type checker
        try:
            await client.replace_order(self.order_id, self.asset_id, *self._terms)
        except TplusError as exc:
            return {target: exc}
        return {target: None}


def _new(name: str, given: Decimal | None, old: Decimal | None, decimals: int) -> int:
    if given is not None:
        return scaled(name, given, decimals)
    if old is None:
        raise ValueError(f"the order has no {name}: give the new one")
    return int(old)


def _trigger(order: OrderResponse) -> TriggerCondition | None:
    """Return the trigger that an order waits for. A replacement without it would remove it."""
    if order.status is not OrderStatus.PENDING:
        return None
    if order.trigger_above_price is not None:
        return TriggerAbove(int(order.trigger_above_price))
    return None if order.trigger_below_price is None else TriggerBelow(int(order.trigger_below_price))


@attrs.frozen
class CancelAllPlan(Plan):
    """The cancellation of all open orders, of one market or of all."""

    operation: ClassVar[str] = "cancel"
    asset_id: AssetIdentifier | None

    async def prepare(self, client: OrderBookClient) -> Preview:
        """List the open orders."""
        if self.asset_id is not None:
            orders: Sequence[OrderResponse] = await client.get_open_orders_for_book(self.asset_id)
        else:
            orders = [order async for order in client.iter_user_orders(open_only=True)]
        rows = [order_row(order, market) for order, market in await with_markets(client, orders)]
        lines = table_lines(list(COLUMNS), map(order_cells, rows), left=4)
        targets = tuple(OrderTarget(order.base_asset, order.order_id) for order in orders)
        return Preview(tuple(f"  {line}" for line in lines), targets)

    async def send(self, client: OrderBookClient) -> Mapping[OrderTarget, TplusError | None]:
        """Cancel the orders that are open now."""
        results = await client.cancel_all_orders(self.asset_id)
        return {OrderTarget(result.asset_id, result.order_id): result.error for result in results}


async def with_markets(client: OrderBookClient, orders: Sequence[OrderResponse]) -> list[tuple[OrderResponse, Market]]:
    """Return orders with the units of their markets, which it requests."""
    markets = {asset: await client.get_market(asset) for asset in dict.fromkeys(order.base_asset for order in orders)}
    return [(order, markets[order.base_asset]) for order in orders]

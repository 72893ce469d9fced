"""Limits that a client checks before it sends an order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from decimal import ROUND_CEILING, Context, Decimal, localcontext
from typing import Any, Final, NamedTuple, TypeAlias

import attrs

from tplus_trio.arguments import check_count
from tplus_trio.errors import OrderLimitExceeded
from tplus_trio.models import (
    AssetIdentifier,
    LimitOrderDetails,
    Market,
    MarketOrderDetails,
    Order,
    OrderDetails,
    OrderResponse,
    ReplaceOrderDetails,
)
from tplus_trio.models.numbers import EXACT, check_decimal, named_decimal
from tplus_trio.orders.terms import may_rest
from tplus_trio.orders.unsettled import Fate
from tplus_trio.users import User

__all__ = ["OrderLimits"]

ReferencePrice: TypeAlias = Callable[[AssetIdentifier], Decimal | None]

#: How an amount is divided by a price, whatever the caller's decimal context is: never to less than the quotient.
_DIVISION: Final = Context(prec=28, rounding=ROUND_CEILING)

#: Fates after which nothing of a create request can rest.
_NOTHING_RESTS: Final = frozenset[Fate]({"rejected", "unsent"})


def _quantity(value: Decimal | int | str | None) -> Decimal | None:
    return None if value is None else named_decimal("max_quantity", value)


def _deviation(value: Decimal | int | str | None) -> Decimal | None:
    return None if value is None else named_decimal("max_deviation", value)


def _positive(_: object, attribute: attrs.Attribute[Any], value: Decimal | None) -> None:
    if value is None:
        return
    check_decimal(value, attribute.name, signed=True)
    if value <= 0:
        msg = f"{attribute.name} is more than 0, not {value}"
        raise ValueError(msg)


def _count(_: object, attribute: attrs.Attribute[Any], value: int | None) -> None:
    if value is not None:
        check_count(attribute.name, value)


def _function(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None and not callable(value):
        msg = f"{attribute.name} is a function of an asset, not {type(value).__name__}"
        raise TypeError(msg)


@attrs.frozen
class OrderLimits:
    """What a client refuses to send: ``OrderBookClient(limits=OrderLimits(…))``. None is no limit.

    Raises:
        TypeError, ValueError: a limit is not legal.
    """

    #: The largest quantity of an order over its life, in base units, more than 0. The quantity of a market order by
    #: quote amount is its amount at the reference price.
    max_quantity: Decimal | None = attrs.field(default=None, converter=_quantity, validator=_positive)
    #: The most orders of a user that may be open at once, at least 1. Orders whose fate is not known count as open, and
    #: so do the user's orders that another program placed, as far as a listing has shown them.
    max_open: int | None = attrs.field(default=None, validator=_count)
    #: How far a limit price may be from the reference price, as a part of it, more than 0: ``Decimal("0.05")`` is 5 %.
    max_deviation: Decimal | None = attrs.field(default=None, converter=_deviation, validator=_positive)
    #: Returns the reference price of a market in quote units, such as the middle of a live book, or None if there is
    #: none. Without this function, the client reads ``GET /marketdepth/{asset}`` and uses the middle of the best
    #: levels, at most once a second for each market; a gateway serves that path.
    reference_price: ReferencePrice | None = attrs.field(default=None, validator=_function)


class Terms(NamedTuple):
    """What the limits are about: the terms of an order that is created or replaced."""

    market: Market
    order_id: str
    details: OrderDetails
    #: Whether it may rest in the book, or wait for its trigger.
    may_rest: bool
    #: Whether the request creates it.
    is_new: bool = True

    @classmethod
    def of_order(cls, market: Market, order: Order) -> Terms:
        """Return the terms of an order that is created."""
        return cls(market, order.order_id, order.details, may_rest(order))

    @classmethod
    def of_replacement(cls, market: Market, new: ReplaceOrderDetails) -> Terms:
        """Return the new terms of an order. It counts as open already."""
        return cls(market, new.order_id, LimitOrderDetails(new.new_price_limit, new.new_quantity), False, False)


class OpenOrders:
    """The orders of one user that may be open. Pure.

    An order counts from the moment before its request is sent. It no longer counts once each request that creates it
    was refused or not sent, or once a listing shows that it is done. A listing that lacks it proves nothing: it may
    lag. A refused repetition proves nothing of the tries before it.
    """

    def __init__(self) -> None:
        #: How many requests may have created each order.
        self._tries: Counter[str] = Counter()
        #: How many requests are under way for orders that cannot rest, by id.
        self._passing: Counter[str] = Counter()
        #: The orders that a listing has shown as open.
        self._shown: set[str] = set()
        #: Whether a listing has shown the orders that were open before.
        self.is_listed: bool = False

    def __len__(self) -> int:
        return self.with_more(())

    def with_more(self, order_ids: Iterable[str]) -> int:
        """How many orders may be open once these are sent. One that counts already is sent again, and counts once."""
        return len(self._shown.union(self._tries, order_ids))

    def add(self, order_ids: Iterable[str], passing: Iterable[str] = ()) -> None:
        """Count orders from now on, but not the passing ones, which cannot rest."""
        self._tries.update(order_ids)
        self._passing.update(passing)

    def ended(self, order_id: str, fate: Fate) -> None:
        """Note the fate of a request that creates an order."""
        if order_id in self._passing:
            _take_one(self._passing, order_id)
        elif fate in _NOTHING_RESTS:
            _take_one(self._tries, order_id)

    def listed(self, orders: Iterable[OrderResponse]) -> None:
        """Note what a listing shows."""
        self.is_listed = True
        for order in orders:
            if order.is_open:
                self._shown.add(order.order_id)
            elif order.is_done:
                self._shown.discard(order.order_id)
                del self._tries[order.order_id]


def _take_one(counts: Counter[str], order_id: str) -> None:
    counts[order_id] -= 1
    if counts[order_id] <= 0:
        del counts[order_id]


class LimitGuard:
    """Refuses orders beyond the limits of a client.

    Args:
        limits: The limits.
        read_reference: Reads the reference price of a market from the service.
        read_orders: Reads the newest orders of a user, open and done.
    """

    def __init__(
        self,
        limits: OrderLimits,
        read_reference: Callable[[AssetIdentifier], Awaitable[Decimal | None]],
        read_orders: Callable[[User], Awaitable[Sequence[OrderResponse]]],
    ) -> None:
        self._limits = limits
        self._read_reference = read_reference
        self._read_orders = read_orders
        self._open: dict[str, OpenOrders] = {}

    async def admit(self, owner: User, orders: Sequence[Terms]) -> None:
        """Check the orders of a request, and count those that it creates as open.

        Cancelling it leaves nothing behind.

        Raises:
            OrderLimitExceeded: an order is beyond a limit. None of them is counted.
            TplusError: the reference price or the user's orders could not be read.
        """
        for terms in orders:
            await self._check_size_and_price(terms)
        passing = [terms.order_id for terms in orders if terms.is_new and not terms.may_rest]
        await self._count(owner, [terms.order_id for terms in orders if terms.may_rest], passing)

    def ended(self, owner: User, order_id: str, fate: Fate) -> None:
        """Note the fate of a request that creates an order."""
        self._open_of(owner).ended(order_id, fate)

    def _open_of(self, owner: User) -> OpenOrders:
        return self._open.setdefault(owner.public_key, OpenOrders())

    async def _count(self, owner: User, order_ids: Sequence[str], passing: Sequence[str]) -> None:
        most = self._limits.max_open
        if most is None:
            return
        known = self._open_of(owner)
        if not order_ids:
            known.add((), passing)
            return
        if not known.is_listed or known.with_more(order_ids) > most:
            known.listed(await self._read_orders(owner))
        if known.with_more(order_ids) > most:
            more = len(order_ids)
            msg = f"at most {most} orders may be open (max_open): {len(known)} are, and the request has {more}"
            raise OrderLimitExceeded(msg)
        known.add(order_ids, passing)

    async def _check_size_and_price(self, terms: Terms) -> None:
        details, market, most = terms.details, terms.market, self._limits.max_quantity
        if isinstance(details, LimitOrderDetails):
            quantity: Decimal | None = market.units_to_quantity(details.quantity)
            await self._check_price(market, market.units_to_price(details.limit_price))
        else:
            quantity = None if most is None else await self._quantity(market, details)
        if most is not None and quantity is not None and quantity > most:
            msg = f"the quantity of an order is at most {most} (max_quantity), not {quantity}"
            raise OrderLimitExceeded(msg)

    async def _quantity(self, market: Market, details: MarketOrderDetails) -> Decimal:
        """Return the largest quantity that a market order may trade, in base units."""
        if (by_base := details.quantity.base_asset) is not None:
            return market.units_to_quantity(by_base.quantity)
        by_amount = details.quantity.quote_asset
        amount = Decimal(0) if by_amount is None else market.units_to_amount(by_amount.quantity)
        return _DIVISION.divide(amount, await self._reference(market.asset_id))

    async def _check_price(self, market: Market, price: Decimal) -> None:
        most = self._limits.max_deviation
        if most is None:
            return
        reference = await self._reference(market.asset_id)
        with localcontext(EXACT):
            is_far = abs(price - reference) > most * reference
        if is_far:
            msg = f"a price is at most {most:%} from the reference {reference} (max_deviation), and {price} is not"
            raise OrderLimitExceeded(msg)

    async def _reference(self, asset_id: AssetIdentifier) -> Decimal:
        function = self._limits.reference_price
        price = await self._read_reference(asset_id) if function is None else _checked(function(asset_id))
        if price is None or not price.is_finite() or price <= 0:
            msg = f"the limits need a reference price of {asset_id}, and there is none: pass reference_price"
            raise OrderLimitExceeded(msg)
        return price


def _checked(price: object) -> Decimal | None:
    """Check what the caller's function returned.

    Raises:
        TypeError: it is neither a Decimal nor None.
    """
    if not isinstance(price, Decimal | None):
        msg = f"reference_price returns a Decimal or None, not {type(price).__name__}"
        raise TypeError(msg)
    return price

"""What a user may hold in a market at worst: position, pending trades, open orders, and orders in doubt."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from decimal import Decimal, localcontext
from typing import Final

import attrs

from tplus_trio.errors import DecodeError
from tplus_trio.models import (
    AssetIdentifier,
    LimitOrderDetails,
    Market,
    Order,
    OrderResponse,
    Position,
    Side,
)
from tplus_trio.models.numbers import EXACT
from tplus_trio.orders.unsettled import Fate

__all__ = ["Exposure"]

_NOTHING: Final = Decimal(0)
_SIDES: Final = frozenset({"long", "short", "closed"})


@attrs.frozen(kw_only=True)
class Exposure:
    """What a user holds in a market, and what open orders may add; all quantities in base units, sub-accounts summed.

    The parts are read one after the other. A trade between two reads makes the worst cases larger, never smaller.
    """

    asset_id: AssetIdentifier
    #: The position of confirmed trades; a short position is negative.
    confirmed: Decimal
    #: What pending trades bought. It is part of the service's position, and is lost if they are rolled back.
    pending_bought: Decimal
    #: What pending trades sold.
    pending_sold: Decimal
    #: What open orders may still buy, waiting triggers included.
    resting_buys: Decimal
    #: What open orders may still sell, waiting triggers included.
    resting_sells: Decimal
    #: What orders may buy whose fate is not known, of those that this client sent.
    in_doubt_buys: Decimal
    #: What orders may sell whose fate is not known, of those that this client sent.
    in_doubt_sells: Decimal
    #: The orders whose side or quantity is not known, such as market orders by quote amount that wait for their trigger
    #: or are in doubt, and orders that could not be decoded. The worst cases do not contain them.
    without_quantity: tuple[str, ...] = ()

    @property
    def position(self) -> Decimal:
        """The position with the pending trades, as the service lists it."""
        return _total(self.confirmed, self.pending_bought, minus=self.pending_sold)

    @property
    def longest(self) -> Decimal:
        """The largest position that can follow: every buy fills, no sell does, and pending sells are rolled back."""
        return _total(self.confirmed, self.pending_bought, self.resting_buys, self.in_doubt_buys)

    @property
    def shortest(self) -> Decimal:
        """The smallest position that can follow: every sell fills, no buy does, and pending buys are rolled back."""
        sells = _total(self.pending_sold, self.resting_sells, self.in_doubt_sells)
        return _total(self.confirmed, minus=sells)


@attrs.frozen
class Doubt:
    """An order that may exist: its side, and its quantity in units of the book, if it has one."""

    order_id: str
    asset_id: AssetIdentifier
    side: Side
    quantity: int | None


@attrs.define
class _Tries:
    """The requests that may have created one order."""

    #: What each would have created.
    orders: list[Order]
    #: How many of them there are, without those that were refused.
    count: int = 1

    @property
    def doubts(self) -> Iterable[Doubt]:
        """What they would have created, each terms once."""
        return dict.fromkeys(map(_doubt_of, self.orders))


class Doubts:
    """The orders of a client whose creation may have been carried out. Pure.

    An order is in doubt from the moment before its request is sent until its fate is known or a listing shows it. A
    refused repetition proves nothing of the tries before it.
    """

    def __init__(self) -> None:
        self._orders: dict[tuple[str, str], _Tries] = {}
        #: Each reader's list of the orders that were accepted since it began.
        self._accepted: list[list[tuple[str, Doubt]]] = []

    @contextmanager
    def keeping_accepted(self) -> Generator[list[tuple[str, Doubt]]]:
        """Collect the orders that are accepted during the block, with their owners: a listing may have missed them."""
        accepted: list[tuple[str, Doubt]] = []
        self._accepted.append(accepted)
        try:
            yield accepted
        finally:
            self._accepted = [other for other in self._accepted if other is not accepted]

    def sending(self, owner: str, order: Order) -> None:
        """Note that an order of a user, given by the public key, is being sent."""
        key = owner, order.order_id
        if (tries := self._orders.get(key)) is None:
            self._orders[key] = _Tries([order])
        else:
            tries.count += 1
            tries.orders.append(order)

    def ended(self, owner: str, order_id: str, fate: Fate) -> None:
        """Note the fate of a request that creates an order."""
        tries = self._orders.get((owner, order_id))
        if tries is None or fate == "unknown":
            return
        if fate == "done":
            for accepted in self._accepted:
                accepted.extend((owner, doubt) for doubt in tries.doubts)
        else:
            tries.count -= 1
        if fate == "done" or not tries.count:
            del self._orders[owner, order_id]

    def listed(self, owner: str, orders: Iterable[OrderResponse]) -> None:
        """Note that a listing shows orders of a user."""
        for order in orders:
            self._orders.pop((owner, order.order_id), None)

    def of(self, owner: str, asset_id: AssetIdentifier) -> tuple[Doubt, ...]:
        """Return the orders in doubt of a user in a market. One that was tried with different terms comes with each."""
        return tuple(
            doubt
            for (user, _), tries in self._orders.items()
            if user == owner
            for doubt in tries.doubts
            if doubt.asset_id == asset_id
        )


def _doubt_of(order: Order) -> Doubt:
    details = order.details
    quantity: int | None = None
    if isinstance(details, LimitOrderDetails):
        quantity = details.quantity
    elif (by_base := details.quantity.base_asset) is not None:
        quantity = by_base.quantity
    elif (by_amount := details.quantity.quote_asset) is not None:
        quantity = by_amount.max_sellable_quantity if order.side is Side.SELL else None
    return Doubt(order.order_id, order.base_asset, order.side, quantity)


def exposure_of(
    market: Market,
    orders: Iterable[OrderResponse],
    positions: Iterable[Position],
    doubts: Iterable[Doubt],
    unread: Iterable[str],
) -> Exposure:
    """Sum up what was read, exactly, whatever the decimal context is.

    Args:
        market: The market.
        orders: The user's orders in the market, open and recently done.
        positions: The user's positions in the market, read after the orders.
        doubts: The user's orders in doubt in the market.
        unread: The ids of the user's orders in the market that could not be decoded.

    Raises:
        DecodeError: it is not known whether a position is long or short.
    """
    with localcontext(EXACT):
        return _sum_up(market, orders, positions, doubts, unread)


def _sum_up(
    market: Market,
    orders: Iterable[OrderResponse],
    positions: Iterable[Position],
    doubts: Iterable[Doubt],
    unread: Iterable[str],
) -> Exposure:
    pending = dict.fromkeys(Side, _NOTHING)
    resting = dict.fromkeys(Side, _NOTHING)
    in_doubt = dict.fromkeys(Side, _NOTHING)
    without_quantity = list(unread)
    for order in orders:
        if not order.side.is_known:
            without_quantity.append(order.order_id)
            continue
        pending[order.side] += order.pending_filled_quantity
        if order.is_done:
            continue
        if order.quantity is None:
            without_quantity.append(order.order_id)
        else:
            filled = order.confirmed_filled_quantity + order.pending_filled_quantity
            resting[order.side] += max(order.quantity - filled, _NOTHING)
    for doubt in doubts:
        if doubt.quantity is None:
            without_quantity.append(doubt.order_id)
        else:
            in_doubt[doubt.side] += doubt.quantity
    convert = market.units_to_quantity
    bought, sold = convert(pending[Side.BUY]), convert(pending[Side.SELL])
    position = sum((_signed(position) for position in positions), _NOTHING)
    return Exposure(
        asset_id=market.asset_id,
        confirmed=position - bought + sold,
        pending_bought=bought,
        pending_sold=sold,
        resting_buys=convert(resting[Side.BUY]),
        resting_sells=convert(resting[Side.SELL]),
        in_doubt_buys=convert(in_doubt[Side.BUY]),
        in_doubt_sells=convert(in_doubt[Side.SELL]),
        without_quantity=tuple(without_quantity),
    )


def _total(*parts: Decimal, minus: Decimal = _NOTHING) -> Decimal:
    with localcontext(EXACT):
        return sum(parts, _NOTHING) - minus


def _signed(position: Position) -> Decimal:
    """Return the size of a position; a short one is negative, whether or not the service says it in the size too."""
    side = position.side.lower()
    if side not in _SIDES and position.size:
        msg = f"the side of a position is long, short or closed, not {position.side[:40]!r}"
        raise DecodeError(msg)
    return -abs(position.size) if side == "short" else position.size

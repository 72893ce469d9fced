"""Simulated traders that keep the books of an exchange moving."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Final

import attrs
import trio

from tplus_trio.models import IOC, AssetIdentifier, Side
from tplus_trio.testing.exchange.exchange import Exchange

__all__ = ["Population"]

_TRADERS: Final = 8
#: Orders are placed on up to this many ticks on each side of the middle price…
_SPREAD: Final = 30
#: …and this many orders a side rest, on about 20 different prices.
_ORDERS: Final = 36
_MAX_QUANTITY: Final = 2_000


@attrs.frozen
class _Placed:
    trader: str
    order_id: str
    price: int


@attrs.define
class _TradedMarket:
    """The middle price of one market, and the traders' orders in it; some of them may have traded already."""

    asset: AssetIdentifier
    middle: int
    orders: dict[Side, list[_Placed]] = attrs.field(factory=lambda: {Side.BUY: [], Side.SELL: []})


class Population:
    """Simulated traders who place, cancel and take at random around a moving middle price, about 20 levels a side.

    The same seed leads to the same actions.

    Args:
        exchange: The exchange.
        assets: The markets; those that are not listed yet are listed.
        seed: The seed of all actions.
        rate: The actions per second of :meth:`run`, over all markets, more than 0.

    Raises:
        ValueError: ``rate`` is not more than 0, or there are no assets.
    """

    def __init__(
        self,
        exchange: Exchange,
        assets: Iterable[AssetIdentifier | str | int],
        *,
        seed: int = 0,
        rate: float = 50.0,
    ) -> None:
        if not rate > 0:
            raise ValueError(f"rate must be more than 0 actions a second, got {rate!r}")
        self._exchange = exchange
        self._rate = rate
        self._random = random.Random(seed)
        self._traders = [self._random.randbytes(32).hex() for _ in range(_TRADERS)]
        self._traded_markets = [
            _TradedMarket(exchange.add_market(asset).asset_id, self._random.randrange(5_000, 500_000))
            for asset in assets
        ]
        if not self._traded_markets:
            raise ValueError("a population needs at least one asset")
        self._placed = 0

    @property
    def traders(self) -> tuple[str, ...]:
        """The traders' public keys. Their private keys do not exist."""
        return tuple(self._traders)

    def settle(self) -> None:
        """Fill the books to about their usual size, without waiting."""
        for traded in self._traded_markets:
            for side in (Side.BUY, Side.SELL):
                while len(traded.orders[side]) < _ORDERS:
                    self._place(traded, side)

    def step(self) -> None:
        """Do one action in one market: place, cancel, or take."""
        traded = self._random.choice(self._traded_markets)
        traded.middle = max(_SPREAD + 1, traded.middle + self._random.choice((-1, 0, 0, 0, 1)))
        side = self._random.choice((Side.BUY, Side.SELL))
        orders = traded.orders[side]
        action = self._random.random()
        if action < 0.1:
            self._take(traded, side)
        elif len(orders) < _ORDERS or (action < 0.5 and len(orders) < 2 * _ORDERS):
            self._place(traded, side)
        else:
            self._cancel(traded, side)

    async def run(self) -> None:
        """Fill the books, then act at ``rate``, on trio's clock, until cancelled; resting orders stay then."""
        self.settle()
        while True:
            await trio.sleep(self._random.expovariate(self._rate))
            self.step()

    def _place(self, traded: _TradedMarket, side: Side) -> None:
        ticks = self._random.randint(1, _SPREAD)
        price = traded.middle - ticks if side is Side.BUY else traded.middle + ticks
        self._placed += 1
        order = _Placed(self._random.choice(self._traders), f"sim-{self._placed}", price)
        quantity = self._random.randint(1, _MAX_QUANTITY)
        self._exchange.place(order.trader, traded.asset, side, price, quantity, order_id=order.order_id)
        traded.orders[side].append(order)

    def _take(self, traded: _TradedMarket, side: Side) -> None:
        """Trade against the other side, up to a few ticks from the middle price."""
        price = traded.middle + (3 if side is Side.BUY else -3)
        quantity = self._random.randint(1, _MAX_QUANTITY)
        trader = self._random.choice(self._traders)
        self._exchange.place(trader, traded.asset, side, price, quantity, time_in_force=IOC())

    def _cancel(self, traded: _TradedMarket, side: Side) -> None:
        """Cancel one of two random orders: the one further from the middle price."""
        orders = traded.orders[side]
        one, other = self._random.randrange(len(orders)), self._random.randrange(len(orders))
        index = max(one, other, key=lambda i: abs(orders[i].price - traded.middle))
        order = orders.pop(index)
        if self._exchange.is_open(order.trader, order.order_id):
            self._exchange.cancel(order.trader, order.order_id)

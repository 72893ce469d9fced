"""Activity on the exchange: changes of books, trades, orders of users."""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from typing import Final

import trio

from tplus_trio.models import AssetIdentifier, Side, Trade
from tplus_trio.models.trade import TradeStatus
from tplus_trio.testing import Exchange

from .settings import Settings, sources

__all__ = ["Traders"]

_MIDDLE: Final = 100
_DEPTH: Final = 10
_MOST_ORDERS: Final = 40
_MOST_STRANGERS: Final = 30


class Traders:
    """Acts at random, in all markets, now and then in bursts.

    Args:
        exchange: The exchange.
        settings: How often something happens.
        users: The users who place orders, besides a market maker.
        statuses: Whether some trades are pending at first.
    """

    def __init__(self, exchange: Exchange, settings: Settings, users: list[str], *, statuses: bool = False) -> None:
        self._exchange = exchange
        self._settings = settings
        self.assets = settings.assets
        self._rng = sources(settings.seed, "traders")
        self._users = [*users, self._rng.randbytes(32).hex()]
        self._orders: list[tuple[str, str]] = []
        self._placed = 0
        self.statuses = statuses
        #: The last trades of other users, whose status may still change.
        self.strangers: deque[Trade] = deque(maxlen=_MOST_STRANGERS)

    async def run(self) -> None:
        """Act until cancelled."""
        rng = self._rng
        while True:
            await trio.sleep(rng.expovariate(1 / self._settings.between_actions))
            if rng.random() < 0.04:
                await self.flurry(rng.choice((0.0, 0.001)))
            else:
                self.act(rng.choice(self._settings.assets))

    async def flurry(self, pause: float) -> None:
        """Do many things of all kinds in one market, with a number of seconds between them."""
        asset = self._rng.choice(self._settings.assets)
        kind = self._rng.choice((self.act, self.act, self.trade, self.place))
        for _ in range(self._rng.randrange(5, 40)):
            kind(asset)
            if pause:
                await trio.sleep(pause)

    def act(self, asset: AssetIdentifier) -> None:
        """Do one thing in a market."""
        chance = self._rng.random()
        if chance < 0.6:
            self.change(asset)
        elif chance < 0.72:
            self.trade(asset)
        elif chance < 0.9:
            self.place(asset)
        else:
            self._cancel()

    def change(self, asset: AssetIdentifier) -> None:
        """Change some levels of a book; half of the changes remove a level."""
        rng = self._rng
        bids: list[tuple[int, int]] = []
        asks: list[tuple[int, int]] = []
        for _ in range(rng.choice((1, 1, 2, 4))):
            distance, quantity = rng.randrange(1, _DEPTH), rng.choice((0, rng.randrange(1, 9)))
            if rng.random() < 0.5:
                bids.append((_MIDDLE - distance, quantity))
            else:
                asks.append((_MIDDLE + distance, quantity))
        self._exchange.publish_diff(asset, bids, asks)

    def trade(self, asset: AssetIdentifier) -> None:
        """Make a trade between other users."""
        rng = self._rng
        price, quantity = _MIDDLE + rng.randrange(-3, 4), Decimal(rng.randrange(1, 100)) / 10
        status: TradeStatus = "Pending" if self.statuses and rng.random() < 0.2 else "Confirmed"
        self.strangers.append(
            self._exchange.publish_trade(asset, price, quantity, buyer_is_maker=rng.random() < 0.5, status=status)
        )

    def change_status(self, trade: Trade, status: str) -> None:
        """Change the status of a trade between other users."""
        self.strangers[self.strangers.index(trade)] = self._exchange.change_trade(trade, status)

    def place(self, asset: AssetIdentifier) -> None:
        """Place an order, which may match another user's."""
        rng = self._rng
        if len(self._orders) >= _MOST_ORDERS:
            self._cancel()
        user, side = rng.choice(self._users), rng.choice((Side.BUY, Side.SELL))
        price = 100 * (_MIDDLE + rng.randrange(-2, 3))
        self._placed += 1
        order_id = f"order-{self._placed}"
        self._exchange.place(user, asset, side, price, rng.randrange(1, 5) * 1000, order_id=order_id)
        self._orders.append((user, order_id))

    def _cancel(self) -> None:
        if self._orders:
            user, order_id = self._orders.pop(self._rng.randrange(len(self._orders)))
            if self._exchange.is_open(user, order_id):
                self._exchange.cancel(user, order_id)

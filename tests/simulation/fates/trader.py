"""The other side of the market: it keeps the book filled, and trades with the bots' orders."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

import trio

from tests.simulation.settings import sources

if TYPE_CHECKING:
    from .world import FateWorld

__all__ = ["fill_books", "trade"]

TRADER: Final = "aa" * 32
_DEEP: Final = 10**7


def fill_books(world: FateWorld) -> None:
    """Place orders far from the price, so that market orders find somebody."""
    for asset in world.settings.assets:
        world.exchange.place(TRADER, asset, "Buy", 90, _DEEP)
        world.exchange.place(TRADER, asset, "Sell", 110, _DEEP)
        world.exchange.place(TRADER, asset, "Buy", 100, 1)
        world.exchange.place(TRADER, asset, "Sell", 100, 1)


async def trade(world: FateWorld) -> None:
    """Trade with the orders in the books until cancelled."""
    rng = sources(world.settings.seed, "fates/trader")
    while True:
        await trio.sleep(rng.expovariate(1.0))
        if rng.random() < 0.05 and (resting := world.exchange.resting(world.user)):
            world.exchange.cancel(world.user, rng.choice(resting).order_id)  # the user does, from elsewhere
            continue
        asset = rng.choice(world.settings.assets)
        market = next(market for market in world.exchange.markets if market.asset_id == asset)
        tick = 10 ** (market.book_price_decimals - 2)
        side = rng.choice(("Buy", "Sell"))
        price = rng.randint(96, 104) * tick
        with suppress(ValueError):  # it may be refused
            world.exchange.place(TRADER, asset, side, price, rng.choice((50, 500, 3000)))

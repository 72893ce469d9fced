"""Users of REST, who make requests now and then and do not always wait for the answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final

import trio

from tplus_trio import MarketDataClient, OrderBookClient, OrderRejected, RateLimitError, TplusError
from tplus_trio.models import Interval, OrderResponse, Side

from .consumers import World
from .invariants import Violation, ensure
from .settings import MOST_DELAY, Settings, sources

__all__ = ["Callers"]

#: A call is a sign-in (two requests) and a request, and the same again if it was refused; each is bounded. It may have
#: to wait for another caller's sign-in, who was cut off or failed.
_REQUESTS: Final = 9
#: The number of newest orders that are compared.
_PAGE: Final = 1000
#: A price, in units, below every sell order.
_FAR: Final = 100
_RESTS: Final = frozenset({"Open", "Partial", "Pending"})


class Callers:
    """Three concurrent callers, who share a sign-in where one is needed.

    Args:
        world: The world of the callers.
        settings: The settings of the world.
        md: The client for market data.
        oms: The client of the user's orders.
        orders: All orders of the user, newest first; None if they are unknown. Then the callers place none.
    """

    def __init__(
        self,
        world: World,
        settings: Settings,
        md: MarketDataClient,
        oms: OrderBookClient,
        orders: Callable[[], Sequence[OrderResponse]] | None = None,
    ) -> None:
        self._world = world
        self._settings = settings
        self._rng = sources(settings.seed, "callers")
        self._asset = asset = settings.assets[0]
        self._oms = oms
        self._orders: Callable[[], Sequence[OrderResponse]] = orders or tuple
        self._placed = 0
        self._calls: tuple[Callable[[], Awaitable[Any]], ...] = (
            oms.get_user_orders,
            self._list_orders,
            partial(md.get_orderbook_snapshot, asset),
            partial(md.get_trades_for_asset, asset),
            # Requests that no stream makes, so that the two can be distinguished.
            partial(md.get_klines, asset, interval=Interval.MIN_5),
        )
        if orders is not None:
            self._calls += (self._place_and_cancel, self._place_and_cancel)

    async def run(self) -> None:
        """Call until cancelled."""
        between = max(self._settings.chaos / 2, 10.0)
        while True:
            await trio.sleep(self._rng.expovariate(1 / between))
            await self.call_together()

    async def call_together(self) -> None:
        """Make three calls at once. Some are cancelled early."""
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(self._call, self._rng.choice(self._calls))

    async def sign_in_together(self) -> None:
        """Sign in three times at once; the first caller is cancelled in the middle."""
        trip = 2 * self._settings.most_latency
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._call, self._oms.get_user_orders, self._rng.uniform(0.0, 6 * trip))
            await trio.lowlevel.checkpoint()
            nursery.start_soon(self._call, self._oms.get_user_orders)

    async def _call(self, call: Callable[[], Awaitable[Any]], patience: float | None = None) -> None:
        rng, settings = self._rng, self._settings
        if patience is None and rng.random() < 0.4:
            patience = rng.choice((0.0, rng.uniform(0.0, 8 * settings.most_latency + 0.001)))
        longest = _REQUESTS * (settings.timeout + MOST_DELAY)
        with trio.move_on_after(longest if patience is None else patience) as scope:
            try:
                await call()
            except TplusError as exc:
                self._world.log("caller", f"{exc!r}")
        if scope.cancelled_caught:
            if patience is None:
                raise Violation(f"a call did not come to an end in {longest:.1f} s")
            self._world.count("call cancelled")

    async def _list_orders(self) -> None:
        """List the orders. A user with an open order must not get an empty list."""
        resting = {order.order_id for order in self._orders() if order.status in _RESTS}
        orders, _ = await self._oms.get_user_orders(limit=_PAGE)
        still = resting & {order.order_id for order in self._orders() if order.status in _RESTS}
        missing = still - {order.order_id for order in orders}
        ensure(len(self._orders()) >= _PAGE or not missing, f"open orders were not listed: {sorted(missing)[:5]}")

    async def _place_and_cancel(self) -> None:
        """Place a resting order and cancel it. An error may say that nothing was sent only if that is true."""
        self._placed += 1
        order_id = f"call-{self._placed}"
        place = partial(self._oms.create_limit_order, 1000, _FAR, Side.BUY, asset_id=self._asset, order_id=order_id)
        await self._act(place, order_id, lambda order: order is not None)
        if self._rng.random() < 0.7:
            cancel = partial(self._oms.cancel_order, order_id, self._asset)
            await self._act(cancel, order_id, lambda order: order is not None and order.status not in _RESTS)

    async def _act(
        self, call: Callable[[], Awaitable[Any]], order_id: str, is_done: Callable[[OrderResponse | None], bool]
    ) -> None:
        def order() -> OrderResponse | None:
            return next((order for order in self._orders() if order.order_id == order_id), None)

        was_done = is_done(order())
        try:
            await call()
        except (ValueError, OrderRejected) as exc:
            ensure(was_done or not is_done(order()), f"{order_id}: it was carried out, and the call says {exc!r}")
            self._world.log("caller", f"{exc!r}")
        else:
            ensure(is_done(order()), f"{order_id}: the call says that it was carried out, the exchange has {order()}")

    async def check(self, expected: Sequence[OrderResponse]) -> None:
        """Check that calls succeed and return the exchange's state, after the faults have ended.

        Args:
            expected: The user's orders, newest first.
        """
        with trio.move_on_after(_REQUESTS * self._settings.timeout) as scope:
            try:
                orders, _ = await self._oms.get_user_orders(limit=_PAGE)
            except RateLimitError as exc:
                # A pause that the service requested earlier still holds, and may be longer than a call's timeout.
                await trio.sleep(exc.retry_after or 0.0)
                orders, _ = await self._oms.get_user_orders(limit=_PAGE)
            ensure(orders == tuple(expected[:_PAGE]), "the orders over REST are not the exchange's")
        ensure(not scope.cancelled_caught, "a call did not come to an end though all was well")

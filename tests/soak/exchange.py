"""The exchange's side of a soak: its markets, its activity, its faults, and its state at quiet moments."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from itertools import count, takewhile
from typing import Final, Protocol, TypeAlias
from unittest import mock

import trio

from tests.simulation.consumers import Reader, World
from tests.simulation.faults import KINDS, Fault, Injector
from tests.simulation.faults_data import DATA_KINDS
from tests.simulation.reference import Reference
from tests.simulation.settings import Settings
from tests.simulation.traders import Traders
from tplus_trio import codec
from tplus_trio.models import AssetIdentifier, KlinesPage, Side, Timebar, UserTrade
from tplus_trio.testing import Exchange, MemoryNetwork, Request
from tplus_trio.testing.exchange import candles, order_store, trade_history

from .checkers import Facts

__all__ = ["REMOTE", "LocalExchange", "Market", "SoakExchange", "full_history", "paced", "short_memory"]

#: Feeds that may refuse a user.
_PRIVATE: Final = ("/orders", "/trades/user/events/", "/trades/user/")
_TICK: Final = 0.01
#: The most seconds of publishing that are made up for later.
_MOST_OWED: Final = 0.2
_PAGE: Final = 100
_BUILD_UP: Final = 200
_MINUTE_NS: Final = 60 * 10**9
_STRANGER: Final = "f" * 64


def feed_stalled(injector: Injector) -> None:
    """A feed is silent for a while, on a connection that answers."""
    seconds = injector.rng.uniform(0.1, 2.0)
    injector.reference.disturbed(seconds)
    injector.faults.stall_feed(injector.draw_feed(), seconds)


_NOT_HERE: Final = {*DATA_KINDS, "reconnect ordered", "resync ordered", "consumer interrupted", "consumer cut off"}
#: Faults that need no action of the client.
REMOTE: Final[dict[str, Fault]] = {name: kind for name, kind in KINDS.items() if name not in _NOT_HERE} | {
    "feed stalled": feed_stalled
}
#: Trades on a market until it is cancelled.
Market: TypeAlias = "Callable[[LocalExchange], Awaitable[None]]"


class SoakExchange(Protocol):
    """The exchange of a soak as the bot controls it: in the same event loop, or in another process."""

    async def begin(self) -> None:
        """Start the market and the faults."""

    async def hush(self) -> None:
        """Stop the market and the faults."""

    async def touch(self) -> Facts:
        """Change every feed once more, and return the state of the exchange after it."""
        ...

    async def forget(self) -> None:
        """Discard the recorded states: every client has reached the newest one."""


@contextmanager
def short_memory(items: int) -> Generator[None]:
    """Limit the history of exchanges, so that it reaches its full length soon and does not look like a leak."""
    with (
        mock.patch.object(trade_history, "MIN_HISTORY", items),
        mock.patch.object(order_store, "_MAX_DONE", items),
        mock.patch.object(candles, "_MAX_CANDLES", items),
    ):
        yield


def full_history(exchange: Exchange, user: str, items: int) -> None:
    """Fill the history of an exchange with `items` trades a market and `items` orders."""
    now_ns = exchange.now_ns()
    for number in range(items):
        for market in exchange.markets:
            then_ns = now_ns - (items - number) * _MINUTE_NS
            exchange.publish_trade(market.asset_id, 100, 1, timestamp_ns=then_ns)
    asset = exchange.markets[0].asset_id
    for _ in range(items):
        exchange.place(_STRANGER, asset, Side.SELL, 10_000, 1)
        exchange.place(user, asset, Side.BUY, 10_000, 1)


def paced(rate: float, assets: Sequence[AssetIdentifier]) -> Market:
    """Return a market that publishes about `rate` messages a second, spread evenly over `assets`."""

    async def run(local_exchange: LocalExchange) -> None:
        traders, published = local_exchange.traders, local_exchange.published
        owed, now = 0.0, trio.current_time()
        for turn in count():
            await trio.sleep(_TICK)
            before, now = now, trio.current_time()
            # Without subscribers nothing is published; at most _MOST_OWED seconds of it are made up for later.
            owed = min(owed + (now - before) * rate, rate * _MOST_OWED)
            for number in range(int(3 * rate * _TICK) + 1):
                if owed < 1:
                    break
                had = published.total()
                traders.act(assets[(turn + number) % len(assets)])
                owed -= published.total() - had

    return run


class LocalExchange:
    """An exchange behind a network, with traders and faults: the `SoakExchange` in the same event loop.

    Args:
        world: Counts the faults.
        settings: The rates of all activity.
        network: The network between the exchange and its clients.
        user: The public key whose orders and trades are published.
        reference: Records which states a fault has disturbed.
        market: Trades until it is cancelled.
        nursery: Runs the market and the faults.
        kinds: The faults by name.
        readers: The readers that a fault may interrupt.
        sign_in: Makes all callers sign in at once.
    """

    def __init__(
        self,
        world: World,
        settings: Settings,
        network: MemoryNetwork,
        user: str,
        reference: Reference,
        market: Market,
        nursery: trio.Nursery,
        *,
        kinds: dict[str, Fault],
        readers: list[Reader],
        sign_in: Callable[[], Awaitable[None]],
    ) -> None:
        self._settings = settings
        self._exchange = exchange = network.exchange
        self._user = user
        self._market = market
        self._nursery = nursery
        self._reference = reference
        self.traders = Traders(exchange, settings, [user])
        for _ in range(_BUILD_UP):
            for asset in settings.assets:
                self.traders.change(asset)
        self.injector = Injector(
            world, settings, network, reference, readers, self.traders, sign_in, kinds=kinds, private=_PRIVATE
        )
        #: The number of messages that were published to a subscriber.
        self.published: Counter[str] = Counter()
        proper = exchange.faults.apply_faults

        def apply_faults(path: str, message: bytes) -> bytes:
            self.published["messages"] += 1
            return proper(path, message)

        exchange.faults.apply_faults = apply_faults  # type: ignore[method-assign]  # replaced for the test
        self._scope = trio.CancelScope()
        self._done = trio.Event()
        trades = exchange.trades()
        self._last_trade = trades[-1].trade_id if trades else 0
        self._since_ns = exchange.now_ns()

    async def begin(self) -> None:
        self._scope, self._done = trio.CancelScope(), trio.Event()
        self._nursery.start_soon(self._chaos, self._scope, self._done)
        await trio.lowlevel.checkpoint()

    async def _chaos(self, scope: trio.CancelScope, done: trio.Event) -> None:
        try:
            with scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._market, self)
                    nursery.start_soon(self.injector.run)
        finally:
            done.set()

    async def hush(self) -> None:
        self._scope.cancel()
        await self._done.wait()
        await self.injector.stop()

    async def touch(self) -> Facts:
        for asset in self._settings.assets:
            for act in (self.traders.change, self.traders.trade, self.traders.place):
                act(asset)
        await trio.lowlevel.checkpoint()
        return self._facts()

    def _facts(self) -> Facts:
        exchange, assets = self._exchange, self._settings.assets
        last = exchange.trades()[-1].trade_id
        mine = takewhile(lambda number: number > self._last_trade, (t.trade_id for t in reversed(self._own_trades())))
        return Facts(
            books={asset: exchange.book(asset) for asset in assets},
            candles={asset: self._candles(asset) for asset in assets},
            orders=list(exchange.orders(self._user)),
            last_trade=last,
            user_trades=list(mine)[::-1],
            published=self.published.total(),
            crashes=[repr(crash) for crash in exchange.crashes],
        )

    def _own_trades(self) -> Sequence[UserTrade]:
        return self._exchange.user_trades(self._user)

    def _candles(self, asset: AssetIdentifier) -> list[Timebar]:
        """Return the candles that changed since the last quiet moment, as REST lists them."""
        bars: list[Timebar] = []
        for page in count():
            request = Request("GET", f"/klines/{asset}?page={page}&limit={_PAGE}")
            answer = codec.decode(self._exchange.handle(request).body, KlinesPage)
            bars += [bar for bar in answer.items if bar.close_timestamp_ns > self._since_ns]
            if not answer.has_next_page or answer.items[-1].close_timestamp_ns <= self._since_ns:
                return bars[::-1]
        raise AssertionError

    async def forget(self) -> None:
        self._last_trade = self._exchange.trades()[-1].trade_id
        self._since_ns = self._exchange.now_ns()
        self.injector.forget()
        self._reference.forget()
        self._trim()
        await trio.lowlevel.checkpoint()

    def _trim(self) -> None:
        """Cut every history to its least length, so that quiet moments can be compared."""
        inside, least = self._exchange._market_state, trade_history.MIN_HISTORY
        listed = [listing.trades for listing in inside.listings.values()]
        for trades in (inside.trades, *listed):
            del trades[:-least]
        for mine in self._exchange._order_manager.trades.by_user.values():
            del mine[:-least]

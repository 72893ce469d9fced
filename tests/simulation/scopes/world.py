"""One world of scopes: bots of one user open scopes of orders; faults and other programs disturb them."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import trio

from tests.simulation.fates.faults import Injector
from tests.simulation.fates.world import FateOutcome, FateWorld, run_world
from tests.simulation.settings import sources
from tplus_trio import OrderBookClient, OrderHandle
from tplus_trio.scopes import ProtectedNursery, open_plain_nursery

from .bots import ScopeBot
from .judge import SETTLED, ScopeJudge
from .notes import Notes
from .restarts import start_again
from .settings import ScopeSettings

__all__ = ["FOREIGN", "ScopeWorld", "run_scopes"]

#: The ids of orders that another program of the user places begin so.
FOREIGN: Final = "foreign-"
#: Seconds that the service is reachable until the client may leave nothing in doubt.
_CALM: Final = 5.0
#: Seconds: longer than a world lasts.
_FOR_EVER: Final = 10_000.0
#: Seconds until a program starts again whose process was killed.
_STARTS_AGAIN: Final = 40.0
#: Seconds beyond its lease that an order may rest after its process was killed, if the service's clock is known.
_MORE: Final = 1.0


class ScopeWorld(FateWorld):
    """One world.

    Args:
        settings: Its settings.
        verbose: Whether to print what happens in it.
    """

    # More than ten attributes: those of the world that it extends.
    def __init__(self, settings: ScopeSettings, *, verbose: bool = False) -> None:
        super().__init__(settings, verbose=verbose)
        self.scope_settings: ScopeSettings = settings
        self.notes: Notes = Notes()
        #: The tasks that make calls beside the bodies of scopes; they end with the client's block.
        self.acts: ProtectedNursery
        self.killed_at: float | None = None
        #: How well the service's clock was known when the process was killed, in seconds.
        self.clock_bound: float = 0.0
        #: The orders of scopes that rested, and those that were named, at moments that the judge asks about.
        self.moments: list[tuple[str, frozenset[str], frozenset[str]]] = []
        #: The orders that were said to be over and rested, with what was said of them.
        self.said_falsely: list[tuple[str, str]] = []
        #: The folder of the journals; what the journal of the first run had when that was killed.
        self.folder: Path
        self.written: bytes = b""
        self.bot_of_second_run: ScopeBot = ScopeBot(self, self.settings.bots)
        #: The resting orders of the first run that the second one does not own, and those it owns that were never sent.
        self.unclaimed: frozenset[str] = frozenset()
        self.never_sent: frozenset[str] = frozenset()
        #: The orders that rested although their lease was over.
        self.outlasting: list[str] = []

    async def run(self) -> None:
        with TemporaryDirectory() as folder, self.notes.taken():
            self.folder = Path(folder)
            await super().run()

    def check_connections(self) -> None:
        if self.killed_at is None:  # the other side of a connection does not see that its process is gone
            super().check_connections()

    def judge(self, injector: Injector) -> None:
        ScopeJudge(self).judge()

    # For its parts.

    def resting(self) -> frozenset[str]:
        """Return the ids of the orders of scopes that rest, by the exchange's record."""
        return frozenset(order.order_id for order in self.exchange.resting(self.user)) & self.notes.placed.keys()

    def named_anywhere(self) -> frozenset[str]:
        """Return the ids of the orders that the client or a scope named."""
        return frozenset(self.named()).union(*(scope.named for scope in self.notes.scopes))

    def said_gone(self, what: str, handles: Iterable[OrderHandle]) -> None:
        """Note which of some orders rest although a call said that they are over."""
        resting = self.resting()
        for order in (order for handle in handles for order in handle._orders):
            if order.order.order_id in resting:
                self.said_falsely.append((what, order.order.order_id))

    def end_network_faults(self) -> None:
        if self.killed_at is None:
            super().end_network_faults()

    # Its run.

    async def run_client(self, injector: Injector) -> None:
        settings = self.scope_settings
        self.client = OrderBookClient("http://oms", **self.options())
        self.nursery.start_soon(self._act_from_elsewhere)
        with self.block:
            async with self.client, open_plain_nursery() as acts:
                self.acts = acts
                if settings.cut_off is not None:
                    self.nursery.start_soon(self._cut_off)
                if settings.killed_at is not None:
                    self.nursery.start_soon(self._kill, settings.killed_at)
                await self.run_bots(injector)
                acts.cancel_scope.cancel()
                await self._wait_calm()
                if settings.waits:
                    await self.record.wait_carried_out()
                    await trio.sleep(_CALM)
                    self._look("some seconds after the last request was carried out")
        injector.calm_down()
        if self.killed_at is not None and not settings.restarts:
            await self._wait_expired(self.killed_at)
        else:
            if self.killed_at is not None:
                await trio.sleep_until(self.killed_at + _STARTS_AGAIN)
                await start_again(self, self.written)
            await self.record.wait_carried_out()
            await trio.sleep(_CALM)
            self._look("after the client was left")

    async def _wait_calm(self) -> None:
        with trio.CancelScope() as scope:
            await trio.sleep(_CALM + 4 * self.settings.most_latency)
        if not scope.cancel_called:
            self._look(SETTLED)

    def _look(self, when: str) -> None:
        self.moments.append((when, self.resting(), self.named_anywhere()))

    async def run_bots(self, injector: Injector) -> None:
        """Let the bots open their scopes; faults happen for a part of that time."""
        await self.run_disturbed(injector, [ScopeBot(self, n).run for n in range(self.settings.bots)])

    async def _kill(self, at: float) -> None:
        """Stop the process: from now on it sends and receives nothing."""
        await trio.sleep(at)
        if self.is_partitioned:
            await trio.sleep_until(self._partitioned_until + 0.01)
        if self.block.cancel_called:
            return
        self.log("world", "the process is killed")
        self.killed_at = self.cut_off_at = trio.current_time()
        offset = self.client._service.clock_offset()
        self.clock_bound = 0.0 if offset is None else offset.bound_ns / 1e9
        journal = self.folder / "journal"
        self.written = journal.read_bytes() if journal.exists() else b""
        self.partition(_STARTS_AGAIN - 1.0 if self.scope_settings.restarts else _FOR_EVER, refuse=True)
        self.block.cancel()

    async def _wait_expired(self, killed_at: float) -> None:
        """Note what rests although the lease of its scope is over."""
        leased = [scope for scope in self.notes.scopes if scope.lease is not None]
        late = max(0.0, -self.settings.skew) + self.clock_bound + _MORE
        for scope in sorted(leased, key=lambda scope: scope.lease or 0.0):
            await trio.sleep_until(killed_at + (scope.lease or 0.0) + late)
            self.outlasting += [f"{order_id} of {scope}" for order_id in self.resting() & self.notes.of(scope)]

    async def _act_from_elsewhere(self) -> None:
        """Place and cancel orders of the user, as another program does."""
        rng = sources(self.settings.seed, "scopes/elsewhere")
        for number in range(20):
            await trio.sleep(rng.expovariate(1.0))
            asset = rng.choice(self.settings.assets)
            market = next(market for market in self.exchange.markets if market.asset_id == asset)
            tick = 10 ** (market.book_price_decimals - 2)
            side, price = rng.choice((("Buy", rng.randint(91, 96)), ("Sell", rng.randint(104, 109))))
            with suppress(ValueError):  # it may be refused
                self.exchange.place(self.user, asset, side, price * tick, 100, order_id=f"{FOREIGN}{number}")


def run_scopes(settings: ScopeSettings, *, verbose: bool = False) -> FateOutcome:
    """Run the world of some settings, and return its outcome. The arguments are those of `ScopeWorld`."""
    return run_world(partial(ScopeWorld, settings, verbose=verbose)).outcome

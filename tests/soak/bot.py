"""The client's side of a soak: its readers and orders, and what is checked and measured meanwhile."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from math import inf
from random import Random
from typing import Any, Final

import attrs
import trio

from tests.simulation.callers import Callers
from tests.simulation.consumers import BookReader, Reader, StreamReader
from tests.simulation.invariants import Checker, Violation, ensure
from tests.simulation.settings import Settings, sources
from tplus_trio import MarketDataClient, OrderBookClient, SlowConsumer, TplusError
from tplus_trio.errors import AuthError, HandshakeRejected
from tplus_trio.models import AssetIdentifier, Side
from tplus_trio.streams.stats import StreamState
from tplus_trio.users import User

from .checkers import Checkers
from .exchange import SoakExchange
from .samples import Sample, measured

__all__ = ["Plan", "Soak", "enter_clients"]

_PLACED: Final = 20
_MIDDLE: Final = 10_000


@attrs.frozen(kw_only=True)
class Plan:
    """Durations and intervals of a soak. Times are in seconds."""

    seconds: float
    #: From one quiet moment to the next.
    between_checks: float
    #: From one sample to the next; None takes samples at quiet moments.
    between_samples: float | None
    #: From one check of what must hold at any time to the next.
    between_looks: float
    #: How long a stream is read that is opened and dropped again and again.
    fickle: float
    #: From one order over REST to the next.
    between_orders: float
    #: The longest pause of a slow consumer.
    pause: float
    #: The longest time from the last fault until everything is live again.
    patience: float
    #: From one change to the next at a quiet moment.
    settle: float
    #: The most changes at a quiet moment until everything has arrived: a client needs some changes to notice that a
    #: service has started over.
    rounds: int
    #: From one order to `reconnect` or `resync` of a reader to the next; None if those are among the faults.
    between_nudges: float | None = None


class Soak:
    """The client's side of a soak. It is the `World` of its readers.

    Args:
        settings: The seed, the markets, and the clients' options.
        plan: The durations and intervals.
        checkers: The checker of each stream and book.
        user: The user who places orders.
        now_ns: Returns the present time.
        verbose: Whether to print what happens.
    """

    def __init__(
        self,
        settings: Settings,
        plan: Plan,
        checkers: Checkers,
        user: User,
        now_ns: Callable[[], int],
        *,
        verbose: bool = False,
    ) -> None:
        self.settings = settings
        self.plan = plan
        self.user = user
        self.now_ns = now_ns
        self.faults: Counter[str] = Counter()
        #: The process of the exchange, if that is another one.
        self.remote_faults: Counter[str] = Counter()
        self.auth_trouble: list[float] = []
        self.readers: list[Reader] = []
        self.samples: list[Sample] = []
        self.items = self.checks = self.published = 0
        #: Seconds from the last fault until the slowest stream was live.
        self.slowest = 0.0
        self._checkers = checkers
        self._verbose = verbose
        self._start = 0.0
        self._began = 0.0

    # As a world.

    def log(self, who: str, what: str) -> None:
        """Log an event."""
        self.items += 1
        if self._verbose:
            print(f"{trio.current_time() - self._start:12.3f} {who}: {what}", file=sys.stderr)

    def count(self, fault: str) -> None:
        """Count a fault."""
        self.faults[fault] += 1

    @property
    def troubles(self) -> int:
        """Return how many events have happened that may lead to a snapshot request."""
        return self.faults.total() + self.remote_faults.total()

    def failed(self, who: str, failure: TplusError) -> None:
        """Accept the failure of a stream if a fault accounts for it.

        Raises:
            Violation: no fault accounts for it.
        """
        if isinstance(failure, SlowConsumer):
            self.count("slow consumer given up")
            return
        refused = isinstance(failure, AuthError) or (
            isinstance(failure, HandshakeRejected) and failure.status in {401, 403}
        )
        if not refused:
            raise Violation(f"{who} ended: {failure!r}")
        # Faults that refuse a user never coincide. A token that expires by itself may still meet one of them.
        self.count("refused twice")
        ensure(self.faults["refused twice"] <= 2 + self.checks // 5, f"{who} ended: {failure!r}, as others before it")

    # The readers.

    def open(self, md: MarketDataClient, oms: OrderBookClient) -> None:
        """Make the readers: in each market a live book and a depth stream of each kind, and one of every other."""
        overflows: tuple[tuple[str, float], ...] = (
            ("block", 0.0),
            ("drop_oldest", self.plan.pause),
            ("conflate", self.plan.pause),
            ("error", 0.0),
        )
        for index, asset in enumerate(self.settings.assets):
            self._book(f"book{index}", partial(md.open_book, asset), asset)
            overflow, pause = overflows[index % len(overflows)]
            self._depth(md, asset, overflow, pause)
        first, *_ = self.settings.assets
        for overflow, pause in overflows[len(self.settings.assets) :]:
            self._depth(md, first, overflow, pause)
        self._book("book-fickle", partial(md.open_book, first), first, fickle=self.plan.fickle)
        self._depth(md, first, "conflate", self.plan.pause, fickle=self.plan.fickle)
        self._depth(md, first, "block", 0.0, fickle=self.plan.fickle)
        trades, checkers = md.stream_finalized_trades, self._checkers
        self._stream("trades", trades, checkers.trades)
        self._stream("trades-slow", partial(trades, overflow="drop_oldest"), checkers.trades, pause=self.plan.pause)
        self._stream("trades-fickle", trades, checkers.trades, fickle=self.plan.fickle)
        self._stream("klines", partial(md.stream_klines, first), partial(checkers.candles, first))
        self._stream(
            "klines-conflate",
            partial(md.stream_klines, first, overflow="conflate"),
            partial(checkers.candles, first),
            pause=self.plan.pause,
        )
        self._stream("orders", oms.stream_orders, checkers.orders)
        self._stream("orders-fickle", oms.stream_orders, checkers.orders, fickle=self.plan.fickle)
        self._stream("user-trades", oms.stream_user_finalized_trades, partial(checkers.user_trades, 1))
        self._stream("user-events", oms.stream_user_trade_events, partial(checkers.user_trades, 2))
        self._stream(
            "user-fickle", oms.stream_user_finalized_trades, partial(checkers.user_trades, 1), fickle=self.plan.fickle
        )

    def _source(self, name: str) -> Random:
        return sources(self.settings.seed, name)

    def _book(self, name: str, opened: Callable[[], Any], asset: AssetIdentifier, *, fickle: float = inf) -> None:
        checker = self._checkers.book(asset)
        self.readers.append(BookReader(self, name, self._source(name), opened=opened, checker=checker, fickle=fickle))

    def _depth(
        self, md: MarketDataClient, asset: AssetIdentifier, overflow: Any, pause: float, *, fickle: float = inf
    ) -> None:
        name = f"depth{self.settings.assets.index(asset)}-{overflow}{'' if fickle == inf else '-fickle'}"
        checker = partial(self._checkers.depth, asset, merged=overflow == "conflate", gaps=overflow == "drop_oldest")
        self._stream(name, partial(md.stream_depth, asset, overflow=overflow), checker, pause=pause, fickle=fickle)

    def _stream(
        self,
        name: str,
        opened: Callable[..., Any],
        checker: Callable[[], Checker],
        *,
        pause: float = 0.0,
        fickle: float = inf,
    ) -> None:
        self.readers.append(
            StreamReader(
                self,
                name,
                self._source(name),
                opened=opened,
                checker=checker,
                fickle=fickle,
                pause=pause,
                impatient=0.02,
            )
        )

    # The run.

    async def run(self, soak_exchange: SoakExchange, callers: Callers, oms: OrderBookClient) -> None:
        """Run the soak, and check it.

        Raises:
            Violation: a promise was broken.
        """
        self._start = trio.current_time()
        end = self._start + self.plan.seconds
        async with trio.open_nursery() as nursery:
            for reader in self.readers:
                nursery.start_soon(reader.run)
            nursery.start_soon(self._look)
            if self.plan.between_samples is not None:
                nursery.start_soon(self._sample, self.plan.between_samples)
            while trio.current_time() < end:
                await soak_exchange.begin()
                with trio.move_on_after(min(self.plan.between_checks, end - trio.current_time())):
                    async with trio.open_nursery() as busy:
                        busy.start_soon(callers.run)
                        busy.start_soon(self._order, oms)
                        if self.plan.between_nudges is not None:
                            busy.start_soon(self._nudge, self.plan.between_nudges)
                await soak_exchange.hush()
                await self._check(soak_exchange, callers)
            for reader in self.readers:
                reader.stop()
            for reader in self.readers:
                await reader.ended.wait()
            nursery.cancel_scope.cancel()

    async def _check(self, soak_exchange: SoakExchange, callers: Callers) -> None:
        """Check at a quiet moment that everything becomes live and right."""
        for reader in self.readers:
            reader.calm_down()
        began = trio.current_time()
        while late := [reader.describe() for reader in self.readers if reader.state is not StreamState.LIVE]:
            if trio.current_time() > began + self.plan.patience:
                raise Violation(f"not live {self.plan.patience:.0f} s after the last fault: {late}")
            await trio.sleep(0.25)
        self.slowest = max(self.slowest, trio.current_time() - began)
        await self._settle(soak_exchange)
        self._checkers.records.settle()
        await callers.check(self._checkers.records.known.orders)
        await soak_exchange.forget()
        for reader in self.readers:
            reader.forget()
        self._checkers.records.facts = None
        self.checks += 1
        if self.plan.between_samples is None:
            self.samples.append(self.measure())
        for reader in self.readers:
            reader.stir_up()

    async def _settle(self, soak_exchange: SoakExchange) -> None:
        records = self._checkers.records
        found: list[str] = []
        for _ in range(self.plan.rounds):
            facts = await soak_exchange.touch()
            await trio.sleep(self.plan.settle)
            records.facts = facts
            self.published, self.remote_faults = facts.published, Counter(facts.faults)
            ensure(not facts.crashes, f"the exchange failed: {facts.crashes}")
            found = [f"{reader.name}: {text}" for reader in self.readers if (text := reader.missing())]
            if not found:
                return
            records.facts = None
        raise Violation("; ".join(found))

    async def _look(self) -> None:
        while True:
            await trio.sleep(self.plan.between_looks)
            for reader in self.readers:
                reader.check()

    async def _sample(self, between: float) -> None:
        while True:
            await trio.sleep(between)
            self.samples.append(self.measure())

    async def _nudge(self, between: float) -> None:
        """Now and then call a method of a reader that its user may call."""
        rng = self._source("nudges")
        orders = {
            "reconnect ordered": "reconnect",
            "resync ordered": "resync",
            "consumer interrupted": "interrupt",
            "consumer cut off": "cut_off",
        }
        while True:
            await trio.sleep(rng.expovariate(1 / between))
            kind = rng.choice(list(orders))
            getattr(rng.choice(self.readers), orders[kind])()
            self.count(kind)

    def totals(self) -> Counter[str]:
        """Return the sums of the counts of all streams."""
        return sum((reader.totals for reader in self.readers), Counter[str]())

    def measure(self) -> Sample:
        """Take a sample."""
        totals = self.totals()
        return measured(
            trio.current_time() - self._start,
            messages=totals["messages"],
            connects=totals["connects"],
            gaps=totals["gaps"],
            resyncs=totals["resyncs"],
            faults=self.troubles,
        )

    async def _order(self, oms: OrderBookClient) -> None:
        """Place orders over REST, and cancel those that remain open."""
        rng = self._source("orders over REST")
        placed: list[tuple[str, AssetIdentifier]] = []
        while True:
            await trio.sleep(rng.expovariate(1 / self.plan.between_orders))
            asset = rng.choice(self.settings.assets)
            side = rng.choice((Side.BUY, Side.SELL))
            try:
                if len(placed) < _PLACED:
                    price = _MIDDLE + 100 * rng.randrange(-2, 3)
                    answer = await oms.create_limit_order(1000, price, side, asset_id=asset)
                    placed.append((answer.order_id, asset))
                else:
                    await oms.cancel_order(*placed.pop(0))
            except TplusError as exc:
                self.log("order", f"{exc!r}")
                self.count("order not placed or cancelled")


async def enter_clients(
    stack: AsyncExitStack, url: str, settings: Settings, user: User, **more: Any
) -> tuple[MarketDataClient, OrderBookClient]:
    """Open both clients with the settings of a soak."""
    options: dict[str, Any] = {
        "timeout": settings.timeout,
        "ping_interval": settings.ping_interval,
        "ping_timeout": settings.ping_timeout,
        "restart": settings.restart,
        "jitter": sources(settings.seed, "jitter").random,
        **more,
    }
    public = user if settings.signed_in else None
    md = await stack.enter_async_context(MarketDataClient(url, default_user=public, **options))
    oms = await stack.enter_async_context(OrderBookClient(url, default_user=user, **options))
    return md, oms

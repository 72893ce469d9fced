"""Where the demonstration plays: an exchange, the clients that watch it, and two bots that trade on it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import partial
from typing import Any, Final, Protocol

import attrs
import trio

from tplus_trio.book.live import LiveBook
from tplus_trio.cli.book_view import BookMonitor
from tplus_trio.cli.checks import Check, MirrorCheck
from tplus_trio.cli.story.evidence import BookStates, OwnTradesCheck, TradesCheck
from tplus_trio.cli.story.maker import MAX_SILENCE, Maker
from tplus_trio.cli.watched import Watched, settle
from tplus_trio.clients.market_data import MarketDataClient
from tplus_trio.clients.order_book import OrderBookClient
from tplus_trio.models import AssetIdentifier, Side
from tplus_trio.testing import Exchange, MemoryNetwork, Population, serve
from tplus_trio.users import User

__all__ = ["Stage", "Victim", "open_stage"]

_MARKET: Final = AssetIdentifier(200)
#: Actions of the simulated traders per second.
_RATE: Final = 40.0
#: The quantities of the two bots' quotes, in base units.
_QUANTITY: Final = Decimal("0.500")
_VICTIMS_QUANTITY: Final = Decimal("0.300")
#: The second bot quotes behind so much of others, in base units, so that its quotes can be told apart.
_BEHIND: Final = Decimal("5.000")
#: Seconds within which the process of the second bot has to start.
_START: Final = 30.0


class Victim(Protocol):
    """The second bot, which is killed."""

    #: Its public key; empty before it has started.
    user: str
    is_killed: bool

    def kill(self) -> None:
        """End it without any cleanup."""
        ...


@attrs.define(eq=False)
class BotProcess:
    """The second bot as a process of its own, which nobody can ask to clean up."""

    user: str = ""
    is_killed: bool = False
    _process: trio.Process | None = None

    async def run(self, url: str) -> None:
        """Run the process until it is killed, or until cancelled.

        The process also ends with this one, however that ends: then its standard input is closed.
        """
        arguments = (url, _MARKET, str(_VICTIMS_QUANTITY), str(_BEHIND))
        async with trio.open_nursery(strict_exception_groups=True) as nursery:
            start = partial(
                trio.run_process,
                [sys.executable, "-m", "tplus_trio.cli.story.maker", *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                check=False,
                start_new_session=True,  # Ctrl-C is for the demonstration
                deliver_cancel=_kill,
            )
            self._process = await nursery.start(start)
            assert self._process is not None  # noqa: S101 - for the type checker
            assert self._process.stdout is not None  # noqa: S101 - likewise
            line = b""
            while not line.endswith(b"\n") and (more := await self._process.stdout.receive_some()):
                line += more
            self.user = line.decode("ascii", "replace").strip()

    def kill(self) -> None:
        """Send SIGKILL."""
        if self._process is not None:
            self._process.kill()
        self.is_killed = True


async def _kill(process: trio.Process) -> None:
    process.kill()
    await trio.lowlevel.checkpoint()


# Fourteen attributes: all that an act needs, made at one place.
@attrs.define(eq=False)
class Stage:
    """What the acts act on.

    Attributes:
        exchange: Its state and its record are what everything is compared with.
        network: Between the exchange and all clients but the second bot.
        url: Of the exchange, through the network.
        asset: The market.
        user: The user of the market maker.
        oms: The market maker's client.
        book: The live book that is shown.
        monitor: Reads the book for the screen.
        states: Compares the states of the book.
        feeds: The streams beside the book, and their checks.
        maker: The market maker.
        victim: The second bot.
        arrived: Woken with each event of a feed.
        market_maker_scope: Cancelled to end the market maker.
    """

    exchange: Exchange
    network: MemoryNetwork
    url: str
    asset: AssetIdentifier
    user: User
    oms: OrderBookClient
    book: LiveBook
    monitor: BookMonitor
    states: BookStates
    feeds: tuple[Watched, ...]
    maker: Maker
    victim: Victim
    arrived: trio.lowlevel.ParkingLot
    market_maker_scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    market_maker_left: trio.Event = attrs.field(factory=trio.Event)
    traders_scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)

    @property
    def checks(self) -> list[Check]:
        """The checks of the feeds."""
        return [feed.check for feed in self.feeds if feed.check is not None]

    def resting(self, user: User | str) -> dict[Side, tuple[Decimal, ...]]:
        """Return the prices at which a user's orders rest, by side, as the exchange's record shows them."""
        found: dict[Side, tuple[Decimal, ...]] = {Side.BUY: (), Side.SELL: ()}
        market = next(market for market in self.exchange.markets if market.asset_id == self.asset)
        for order in self.exchange.resting(user) if user else ():
            price = getattr(order.details, "limit_price", None)
            if price is not None:
                found[order.side] += (market.units_to_price(price),)
        return found

    async def end_trading(self) -> None:
        """Stop the traders, let the market maker leave, and wait for the last events."""
        self.traders_scope.cancel()
        self.market_maker_scope.cancel()
        await self.market_maker_left.wait()
        await settle(self.checks, self.arrived)

    async def trade(self, md: MarketDataClient) -> None:
        """Run the market maker until its scope is cancelled."""
        try:
            with self.market_maker_scope:
                await self.maker.run(md, self.oms)
        finally:
            self.market_maker_left.set()

    async def populate(self, population: Population) -> None:
        """Run the simulated traders until their scope is cancelled."""
        with self.traders_scope:
            await population.run()


@asynccontextmanager
async def open_stage(
    seed: int,
    *,
    victim: Victim | None = None,
    exchange: Exchange | None = None,
    in_memory: bool = False,
    **options: Any,
) -> AsyncGenerator[Stage]:
    """Start everything, and wait until the feeds are live and the book is in sync.

    Args:
        seed: The seed of the exchange, the traders and the network.
        victim: The second bot; None starts a process.
        exchange: The exchange; None makes one.
        in_memory: Whether the clients connect in memory, and not over TCP.
        options: Of the clients.

    Raises:
        TplusError: A feed failed for good.
    """
    exchange = Exchange(seed=seed) if exchange is None else exchange
    population = Population(exchange, [_MARKET], seed=seed, rate=_RATE)
    population.settle()
    user, arrived = User(), trio.lowlevel.ParkingLot()
    async with MemoryNetwork(exchange, seed=seed) as network, network.serve() as served:
        # A silent network is noticed within two seconds.
        limits: dict[str, Any] = {"ping_interval": MAX_SILENCE, "ping_timeout": MAX_SILENCE, **options}
        url = served
        if in_memory:
            limits["connector"], url = network, "http://exchange"
        async with (
            OrderBookClient(url, default_user=user, **limits) as oms,
            MarketDataClient(url, **limits) as md,
            md.open_book(_MARKET) as book,
            md.stream_finalized_trades() as shown_trades,
            trio.open_nursery(strict_exception_groups=True) as nursery,
        ):
            process = BotProcess()
            stage = Stage(
                exchange=exchange,
                network=network,
                url=url,
                asset=_MARKET,
                user=user,
                oms=oms,
                book=book,
                monitor=BookMonitor(book, shown_trades),
                states=BookStates(book, exchange),
                feeds=_feeds(exchange, md, oms, user),
                maker=Maker(_MARKET, _QUANTITY),
                victim=process if victim is None else victim,
                arrived=arrived,
            )
            await book.wait_synced()
            for feed in stage.feeds:
                await nursery.start(feed.run, arrived)
            nursery.start_soon(stage.monitor.follow)
            nursery.start_soon(stage.states.follow)
            nursery.start_soon(stage.populate, population)
            nursery.start_soon(stage.trade, md)
            if victim is None:
                nursery.start_soon(_run_process, exchange, process)
            yield stage
            nursery.cancel_scope.cancel()


async def _run_process(exchange: Exchange, process: BotProcess) -> None:
    async with serve(exchange) as url:  # the faults of the network are not for this bot
        await process.run(url)
        await trio.sleep_forever()


def _feeds(exchange: Exchange, md: MarketDataClient, oms: OrderBookClient, user: User) -> tuple[Watched, ...]:
    return (
        Watched("depth", md.stream_depth(_MARKET), _MARKET, MirrorCheck("depth", exchange, _MARKET)),
        Watched("trades", md.stream_finalized_trades(), check=TradesCheck("trades", exchange, _MARKET)),
        Watched("klines", md.stream_klines(_MARKET), _MARKET),
        Watched("orders", oms.stream_orders()),
        Watched("user-trades", oms.stream_user_trade_events(), check=OwnTradesCheck("user-trades", exchange, user)),
    )

"""Makes the readers of a world."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import inf
from random import Random
from typing import Final

import attrs

from tplus_trio import MarketDataClient, OrderBookClient
from tplus_trio.models import AssetIdentifier, UserTrade
from tplus_trio.models.trade import TradeStatus
from tplus_trio.streams.overflow import Overflow
from tplus_trio.users import User

from .consumers import BookReader, Reader, StreamReader, World
from .invariants import BookChecker, DepthChecker, OrdersChecker, SequenceChecker
from .invariants_trades import RetoldKlinesChecker, TradesChecker
from .reference import Reference
from .settings import MOST_REST_DELAY, Settings, sources

__all__ = ["make_actors"]

#: The number of trades on a page that a client requests to close a hole.
_PAGE = 100
#: The share of worlds in which more readers of the same feeds join, stall and leave.
_CROWDED: Final = 0.4
#: Seconds. With more latency, REST may answer after the hold of a live item has timed out.
_PROMPT = 0.1


def make_actors(
    world: World, settings: Settings, md: MarketDataClient, oms: OrderBookClient, reference: Reference, user: User
) -> list[Reader]:
    """Make the readers of a world: a live book of each market, and some of every other stream."""
    # A new key here would give each seed a different world.
    rng, crowd = sources(settings.seed, "cast"), sources(settings.seed, "crowd")
    is_crowded = crowd.random() < _CROWDED
    part = _ActorFactory(world, settings, md, oms, reference, user, rng, is_crowded)
    readers: list[Reader] = [part.book(asset) for asset in settings.assets[: rng.choice((1, 1, 2))]]
    if rng.random() < 0.7:
        readers.append(part.depth(rng.choice(settings.assets)))
    for likely, make in (
        (0.4, part.trades),
        (0.25, part.klines),
        (0.35, part.orders),
        (0.2, part.user_trades),
        (0.2, part.user_trade_events),
    ):
        if rng.random() < likely:
            readers.append(make())
    if is_crowded:
        readers += attrs.evolve(part, rng=crowd, is_crowd=True).crowd()
    return readers


@attrs.frozen
class _ActorFactory:
    world: World
    settings: Settings
    md: MarketDataClient
    oms: OrderBookClient
    reference: Reference
    user: User
    rng: Random
    #: Whether several readers may share a feed: then a slow one has losses of its own.
    is_crowded: bool
    #: Whether it makes those that join the others.
    is_crowd: bool = False

    def crowd(self) -> list[Reader]:
        """More readers of a few feeds, which share connections or do not."""
        rng, market = self.rng, self.settings.assets[0]
        book, depth = partial(self.book, market), partial(self.depth, market)
        readers: list[Reader] = []
        for number in range(rng.randint(2, 5)):
            reader = rng.choice((book, book, depth, depth, depth, self.trades, self.klines))()
            reader.name += f"+{number}"
            readers.append(reader)
        return readers

    def _share(self) -> bool:
        return not self.is_crowd or self.rng.random() < 0.85

    def _own(self, name: str) -> Random:
        return sources(self.settings.seed, name)

    def _fickle(self) -> float:
        return self.rng.choice((inf, 15.0, 5.0, 2.0) if self.is_crowd else (inf, inf, inf, 15.0))

    def _overflow(self, *policies: Overflow) -> tuple[Overflow, int, float]:
        """Draw what happens when a buffer is full, its size, and the longest pause of the consumer in seconds."""
        overflow = self.rng.choice(policies)
        # With this rule a full buffer ends the stream, so a burst has to fit.
        sizes = (64, 1024) if overflow == "error" else (1, 4, 16, 1024)
        return overflow, self.rng.choice(sizes), self.rng.choice((0.0, 0.0, 0.05, 2.0))

    def book(self, asset: AssetIdentifier) -> Reader:
        """A live book."""
        settings, share = self.settings, self._share()
        name = f"book{settings.assets.index(asset)}"
        return BookReader(
            self.world,
            name,
            self._own(f"{name}-{self.rng.random()}" if self.is_crowd else name),
            opened=lambda: self.md.open_book(asset, share=share),
            checker=BookChecker(self.reference, asset, 2 * settings.most_latency + 0.1, settings.notice),
            fickle=self._fickle(),
        )

    def depth(self, asset: AssetIdentifier) -> Reader:
        """A depth stream."""
        overflow, buffer, pause = self._overflow("block", "drop_oldest", "conflate", "conflate", "error")
        name = f"depth{self.settings.assets.index(asset)}-{overflow}-{buffer}-{self.rng.randrange(1000)}"
        share = self._share()
        return StreamReader(
            self.world,
            name,
            self._own(name),
            opened=lambda: self.md.stream_depth(asset, overflow=overflow, buffer=buffer, share=share),
            checker=lambda: DepthChecker(
                self.reference.books[asset],
                merged=overflow in {"conflate", "drop_oldest"},
                gaps=overflow == "drop_oldest",
            ),
            fickle=self._fickle(),
            pause=pause,
            impatient=self.rng.choice((0.0, 0.2)),
        )

    def trades(self) -> Reader:
        """The public trades."""
        overflow, buffer, pause = self._overflow("block", "block", "drop_oldest")
        pages = self.rng.choice((1, 10))

        def may_gap(missed: int, has_begun: bool) -> bool:
            slow = self.settings.most_latency > _PROMPT
            return self.is_crowded or overflow == "drop_oldest" or not has_begun or missed >= pages * _PAGE or slow

        return StreamReader(
            self.world,
            name := f"trades-{overflow}-{buffer}",
            self._own(name),
            opened=lambda: self.md.stream_finalized_trades(backfill_pages=pages, overflow=overflow, buffer=buffer),
            checker=lambda: TradesChecker(self.reference.trades, may_gap),
            fickle=self._fickle(),
            pause=pause,
            impatient=self.rng.choice((0.0, 0.2)),
        )

    def klines(self) -> Reader:
        """The candles of a market."""
        overflow, buffer, pause = self._overflow("block", "drop_oldest", "conflate")
        asset = self.rng.choice(self.settings.assets)
        return StreamReader(
            self.world,
            name := f"klines{self.settings.assets.index(asset)}-{overflow}-{buffer}",
            self._own(name),
            opened=lambda: self.md.stream_klines(asset, overflow=overflow, buffer=buffer),
            checker=lambda: RetoldKlinesChecker(self.reference.trades, asset),
            fickle=self._fickle(),
            pause=pause,
            impatient=self.rng.choice((0.0, 0.2)),
        )

    def orders(self) -> Reader:
        """The user's orders."""
        return StreamReader(
            self.world,
            "orders",
            self._own("orders"),
            opened=lambda: self.oms.stream_orders(buffer=self.rng.choice((1, 1024))),
            checker=lambda: OrdersChecker(
                partial(self.reference.exchange.orders, self.user.public_key), self.settings.timeout + MOST_REST_DELAY
            ),
            fickle=self._fickle(),
            pause=self.rng.choice((0.0, 0.0, 1.0)),
            impatient=self.rng.choice((0.0, 0.2)),
        )

    def user_trades(self) -> Reader:
        """The user's confirmed trades."""
        return self._user_trades("user-trades", self.oms.stream_user_finalized_trades, ("Confirmed",))

    def user_trade_events(self) -> Reader:
        """The user's trades at every status."""
        return self._user_trades("user-events", self.oms.stream_user_trade_events, ("Pending", "Confirmed"))

    def _user_trades(self, name: str, stream: Callable[..., object], statuses: tuple[TradeStatus, ...]) -> Reader:
        overflow, buffer, pause = self._overflow("block", "block", "drop_oldest")
        told: list[UserTrade] = []

        def expected() -> Sequence[UserTrade]:
            trades = self.reference.exchange.user_trades(self.user.public_key)
            for trade in trades[len(told) // len(statuses) :]:
                told.extend(attrs.evolve(trade, status=status) for status in statuses)
            return told

        return StreamReader(
            self.world,
            f"{name}-{overflow}-{buffer}",
            self._own(name),
            opened=partial(stream, overflow=overflow, buffer=buffer),  # type: ignore[arg-type]  # either of two
            checker=lambda: SequenceChecker(expected, lambda _missed, _begun: True),
            fickle=self._fickle(),
            pause=pause,
            impatient=self.rng.choice((0.0, 0.2)),
        )

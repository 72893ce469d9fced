"""Reads the client's streams and books, each with a task that may be slow or end its session early."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from math import inf
from typing import Any, Final, Protocol

import trio

from tplus_trio import BookLost, LiveBook, TplusError
from tplus_trio.book.changes import BookChange
from tplus_trio.scopes import open_plain_nursery
from tplus_trio.streams.stats import StreamState, StreamStats
from tplus_trio.streams.stream import Stream

from .invariants import Checker, Violation, ensure
from .sessions import SessionTrader

__all__ = ["BookReader", "BookWatch", "Reader", "StreamReader", "World"]

#: Seconds after which an ended stream is opened again.
_AGAIN: Final = 1.0


class World(Protocol):
    """What readers need to know of their world."""

    #: The times at which tokens were made useless, or a user was refused.
    auth_trouble: list[float]

    @property
    def troubles(self) -> int:
        """Return how many events have happened that may lead to a snapshot request."""
        ...

    def log(self, who: str, what: str) -> None:
        """Log an event."""

    def count(self, fault: str) -> None:
        """Count a fault."""

    def failed(self, who: str, failure: TplusError) -> None:
        """Accept the failure of a stream if a fault accounts for it.

        Raises:
            Violation: no fault accounts for the failure.
        """

    def now_ns(self) -> int:
        """Return the present time."""
        ...


class BookWatch(Protocol):
    """Checks a live book."""

    def check(self, book: LiveBook) -> bool:
        """Read the book, and return whether it is in sync and up to date."""
        ...

    def check_change(self, change: BookChange) -> None:
        """Check a change that the book delivered."""


class Reader(ABC):
    """Reads a stream or book in sessions. Most worlds have one reader for each feed, some have many.

    Args:
        world: The world of the reader.
        name: Its name in the log.
        rng: Draws when and how a session ends.
        fickle: The average seconds of a session.
    """

    #: Whether requests to REST recover a loss.
    _resyncs = True

    def __init__(self, world: World, name: str, rng: random.Random, *, fickle: float = inf) -> None:
        self.world = world
        self.name = name
        self.rng = rng
        self._fickle = fickle
        self._calm = self._stopped = False
        self._scope = trio.CancelScope()
        #: The losses that were noticed and recovered when it was live last, in this session.
        self._seen: tuple[int, int] | None = None
        self._in_session = False
        self._past: Counter[str] = Counter()
        self.ended = trio.Event()

    async def run(self) -> None:
        """Read, session after session, until stopped."""
        try:
            while not self._stopped:
                # The outer scope cancels the stream's exit too. The inner one closes the stream in order.
                with trio.CancelScope() as outer:
                    inner = trio.CancelScope()
                    self._seen = None
                    self._scope = self.rng.choice((outer, inner))
                    if not self._calm and self._fickle < inf:
                        self._scope.deadline = trio.current_time() + self.rng.expovariate(1 / self._fickle)
                    self._in_session = True
                    try:
                        try:
                            await self._session(inner)
                        finally:
                            self._in_session = False
                            self._past.update(_counts(self.stats))
                    except TplusError as exc:
                        self.world.log(self.name, f"ended: {exc!r}")
                        self.world.failed(self.name, exc)
                        await trio.sleep(_AGAIN)
                if not self._calm and self._scope.cancelled_caught:
                    self.world.count("consumer cancelled" if self._scope is outer else "consumer left")
        finally:
            self.ended.set()

    def calm_down(self) -> None:
        """Stay in the present session."""
        self._calm = True
        self._scope.deadline = inf

    def stir_up(self) -> None:
        """End sessions early and be slow again."""
        self._calm = False
        if self._fickle < inf:
            self._scope.deadline = trio.current_time() + self.rng.expovariate(1 / self._fickle)

    def stop(self) -> None:
        """End the session, and begin no other."""
        self._calm = self._stopped = True
        self._scope.cancel()

    def cut_off(self) -> None:
        """Cancel the session now."""
        if not self._calm:
            self._scope.cancel()

    @abstractmethod
    async def _session(self, inner: trio.CancelScope) -> None: ...

    # For faults and checks.

    @property
    @abstractmethod
    def state(self) -> StreamState:
        """Return the stream's state."""

    @property
    @abstractmethod
    def stats(self) -> StreamStats:
        """Return the stream's counts."""

    @property
    def totals(self) -> Counter[str]:
        """Return the sums of the counts of all sessions."""
        return self._past + _counts(self.stats) if self._in_session else self._past.copy()

    def interrupt(self) -> None:  # noqa: B027 - a book has nothing to interrupt
        """Cancel only the wait for an item."""

    @abstractmethod
    def reconnect(self) -> None:
        """Call `reconnect`."""

    def resync(self) -> None:
        """Call `resync`. From that moment on, the stream is not live."""
        self._order_resync()
        ensure(
            self.state is not StreamState.LIVE or not self._resyncs, f"{self.name} is live in the middle of a resync"
        )

    @abstractmethod
    def _order_resync(self) -> None: ...

    def check(self) -> None:
        """Check what must hold at any time: a loss that was noticed has been recovered if the stream is live.

        A feed of trades or candles that begins with a delivered item recovers a loss without a read.
        """
        asks = self._resyncs and not self.name.startswith(("trades", "klines"))
        if asks and self.state is StreamState.LIVE:
            stats, before = self.stats, self._seen
            self._seen = stats.gaps, stats.resyncs
            made_good = before is None or stats.gaps == before[0] or stats.resyncs > before[1]
            ensure(made_good, f"{self.name} is live after a loss that was not made good: {stats}")

    @abstractmethod
    def missing(self) -> str | None:
        """Return the expected items that have not arrived."""

    def forget(self) -> None:  # noqa: B027 - a book keeps no history
        """Drop the history that the next items do not need; nothing is missing."""

    @abstractmethod
    def describe(self) -> str:
        """Describe its position."""


def _counts(stats: StreamStats) -> Counter[str]:
    names = ("messages", "bytes", "connects", "gaps", "resyncs", "dropped", "malformed")
    return Counter({name: getattr(stats, name) for name in names})


class StreamReader(Reader):
    """Reads a stream.

    Args:
        world: The world of the reader.
        name: Its name in the log.
        rng: Draws everything that is random.
        opened: Makes the stream.
        checker: Makes a checker.
        fickle: The average seconds of a session.
        pause: The longest pause after an item, in seconds.
        impatient: The probability that a wait for an item is cancelled, to begin again.
    """

    def __init__(
        self,
        world: World,
        name: str,
        rng: random.Random,
        *,
        opened: Callable[[], Stream[Any]],
        checker: Callable[[], Checker],
        fickle: float = inf,
        pause: float = 0.0,
        impatient: float = 0.0,
    ) -> None:
        super().__init__(world, name, rng, fickle=fickle)
        self._opened = opened
        self._make_checker = checker
        self._pause = pause
        self._impatient = impatient
        self._resyncs = not name.startswith("user")
        self._waiting: trio.CancelScope | None = None
        self.stream = opened()
        self._checker = checker()

    async def _session(self, inner: trio.CancelScope) -> None:
        self.stream, self._checker = stream, checker = self._opened(), self._make_checker()
        entered = self.rng.random() < 0.6
        self.world.log(self.name, "begins, entered" if entered else "begins, bare")
        try:
            async with open_plain_nursery() as nursery:
                nursery.start_soon(self._watch, stream, checker)
                if entered:
                    async with stream:
                        with inner:
                            await self._read(stream.receive, checker)
                else:
                    with inner:
                        await self._read(aiter(stream).__anext__, checker)
        finally:
            stats = stream.stats
            self.world.log(self.name, f"ends: {stats}")
            ensure(stats.malformed <= stats.messages, f"{stats} do not add up")
        if not self._calm:
            found = checker.missing(complete=False)
            ensure(found is None, f"{self.name}: {found}")

    async def _watch(self, stream: Stream[Any], checker: Checker) -> None:
        with suppress(TplusError, trio.ClosedResourceError):
            await stream.wait_live()
            checker.live_at_ns = self.world.now_ns()
            self.world.log(self.name, "is live")

    async def _read(self, receive: Callable[[], Awaitable[Any]], checker: Checker) -> None:
        rng = self.rng
        while True:
            patience = inf
            if self._impatient and not self._calm and rng.random() < self._impatient:
                patience = rng.choice((0.0, rng.expovariate(2.0)))
            with trio.move_on_after(patience) as self._waiting:
                item = await receive()
            cancelled, self._waiting = self._waiting.cancelled_caught, None
            if cancelled:
                self.world.count("receive cancelled")
                continue
            try:
                self.world.log(self.name, checker.take(item))
            except Violation as exc:
                raise Violation(f"{self.name}: {exc}") from exc
            if self._pause and not self._calm:
                self.world.count("slow consumer")
                await trio.sleep(rng.uniform(0.0, self._pause))

    @property
    def state(self) -> StreamState:
        return self.stream.state

    def reconnect(self) -> None:
        self.stream.reconnect()

    def _order_resync(self) -> None:
        self.stream.resync()

    @property
    def stats(self) -> StreamStats:
        return self.stream.stats

    def interrupt(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()

    def missing(self) -> str | None:
        return self._checker.missing(complete=True)

    def forget(self) -> None:
        self._checker.forget()

    def describe(self) -> str:
        return f"{self.name} {self.stream.state.value} {self.stream.stats}"


class BookReader(Reader):
    """Keeps a live book open, and reads it at every change and at each check.

    Args:
        world: The world of the reader.
        name: Its name in the log.
        rng: Draws everything that is random.
        opened: Makes the book.
        checker: Compares it with the exchange's.
        fickle: The average seconds of a session.
    """

    def __init__(
        self,
        world: World,
        name: str,
        rng: random.Random,
        *,
        opened: Callable[[], LiveBook],
        checker: BookWatch,
        fickle: float = inf,
    ) -> None:
        super().__init__(world, name, rng, fickle=fickle)
        self._opened = opened
        self._checker = checker
        self.book = opened()
        self._trader = SessionTrader(name)
        self._up_to_date = False

    async def _session(self, inner: trio.CancelScope) -> None:
        self.book = book = self._opened()
        self.world.log(self.name, "begins")
        async with book, open_plain_nursery() as beside:
            beside.start_soon(self._trader.run, book)
            with inner:
                async for change in book.changes():
                    if isinstance(change, BookLost):
                        self.world.log(self.name, f"is lost: {change.reason}")
                        continue
                    self._checker.check_change(change)
                    self.check()
                    self.world.log(self.name, f"is at {change.sequence_number}")
        ensure(not book.is_synced, "a book that was left is in sync")
        self.world.log(self.name, f"ends: {book.stats}")

    @property
    def state(self) -> StreamState:
        return self.book.state

    def reconnect(self) -> None:
        self.book.reconnect()

    def _order_resync(self) -> None:
        self.book.resync()

    @property
    def stats(self) -> StreamStats:
        return self.book.stats

    def check(self) -> None:
        super().check()
        if self._trader.violation is not None:
            raise Violation(f"{self.name}: {self._trader.violation}")
        try:
            self._up_to_date = self._checker.check(self.book)
        except Violation as exc:
            raise Violation(f"{self.name}: {exc}") from exc

    def missing(self) -> str | None:
        self.check()
        return None if self._up_to_date else f"the book is not up to date: {self.book!r}"

    def describe(self) -> str:
        return f"{self.name} {self.book.state.value} {self.book.stats}"

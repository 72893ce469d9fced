"""Order books: one that changes are applied to by hand, and one that keeps itself in step with the exchange."""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from decimal import Context, Decimal, Inexact
from types import TracebackType
from typing import ClassVar, Final

import attrs
import trio

from tplus_trio.arguments import check_choice, check_count
from tplus_trio.errors import BookNotEntered, BookNotSynced, SequenceGap
from tplus_trio.levels import latest_levels, price_of
from tplus_trio.models import AssetIdentifier, OrderBook, OrderBookDiff, PriceLevel, Side
from tplus_trio.models.numbers import check_decimal
from tplus_trio.service import Service
from tplus_trio.streams.counts import ConnectionCounts
from tplus_trio.streams.feed import Feed
from tplus_trio.streams.policy import RestartPolicy
from tplus_trio.streams.recovery import Depth
from tplus_trio.streams.stats import ConsumerStatistics, StreamState
from tplus_trio.streams.stream import Home, Supervised
from tplus_trio.streams.supervisor import Supervisor
from tplus_trio.transport.websocket import WebSocketLimits

__all__ = ["BookChange", "LiveBook", "LocalBook"]

_log = logging.getLogger("tplus_trio.book")

_NOTHING: Final = Decimal(0)
#: A diff of more levels than this is merged with the book as a whole, unless the book has this many times as many: then
#: moving its levels for each one costs less than looking at all of them.
_FEW: Final = 64
_MERGED_AT_ONCE: Final = 64
#: Arithmetic that rounds no sum, difference, half or product of legal numbers, whatever the caller's context does.
_WIDE: Final = Context(prec=1000)
#: A quotient of up to so many digits is exact.
_EXACT: Final = Context(prec=100, traps=[Inexact])


class _Levels:
    """One side of a book: its levels by price, ascending.

    Prices are looked up by bisection. A dict would be the usual thing, but to hash a `Decimal` that has just been read
    takes as long as a dozen comparisons.
    """

    __slots__ = ("_prices", "levels")

    def __init__(self, levels: Iterable[PriceLevel]) -> None:
        self.levels: list[PriceLevel] = []
        self._prices: list[Decimal] = []
        self._set([level for level in levels if level[1]])

    def _set(self, levels: Iterable[PriceLevel]) -> None:
        """Take levels as the whole side; of two at one price, the last holds."""
        self.levels = [level for level in latest_levels(levels) if level[1]]
        self._prices = [*map(price_of, self.levels)]

    def update(self, changes: Sequence[PriceLevel]) -> None:
        """Set the levels of a diff; no quantity takes one away."""
        if len(changes) > _FEW and len(changes) * _MERGED_AT_ONCE > len(self.levels):
            # One by one, each level that is inserted moves those above it.
            self._set([*self.levels, *sorted(changes, key=price_of)])
            return
        prices, levels = self._prices, self.levels
        for level in changes:
            price, quantity = level
            index = bisect_left(prices, price)
            if index < len(prices) and prices[index] == price:
                if quantity:
                    levels[index] = level
                else:
                    del prices[index], levels[index]
            elif quantity:
                prices.insert(index, price)
                levels.insert(index, level)

    def quantity_at(self, price: Decimal) -> Decimal:
        """What rests at a price."""
        index = bisect_left(self._prices, price)
        return self.levels[index].quantity if self._prices[index : index + 1] == [price] else _NOTHING


class BookReader:
    """What can be read off a book. Prices and quantities are exact; levels come best first.

    Nothing here waits, so what several reads in a row say belongs together.
    """

    #: What a book has, and a book that is kept by a task says as long as it is right.
    _bids: _Levels
    _asks: _Levels
    _sequence_number: int

    @property
    def sequence_number(self) -> int:
        """The number of the last change in the book."""
        return self._sequence_number

    @property
    def best_bid(self) -> PriceLevel | None:
        """The highest bid, None if there is none."""
        levels = self._bids.levels
        return levels[-1] if levels else None

    @property
    def best_ask(self) -> PriceLevel | None:
        """The lowest ask, None if there is none."""
        levels = self._asks.levels
        return levels[0] if levels else None

    @property
    def spread(self) -> Decimal | None:
        """Best ask minus best bid, None if a side is empty."""
        bid, ask = self.best_bid, self.best_ask
        return None if bid is None or ask is None else _WIDE.subtract(ask.price, bid.price)

    @property
    def mid(self) -> Decimal | None:
        """The middle between best bid and best ask, None if a side is empty."""
        bid, ask = self.best_bid, self.best_ask
        return None if bid is None or ask is None else _WIDE.divide(_WIDE.add(bid.price, ask.price), 2)

    def bids(self, n: int | None = None) -> tuple[PriceLevel, ...]:
        """The ``n`` highest bids, or all of them."""
        levels = self._bids.levels
        return tuple(levels[::-1] if n is None else levels[: -check_count("n", n, least=0) - 1 : -1])

    def asks(self, n: int | None = None) -> tuple[PriceLevel, ...]:
        """The ``n`` lowest asks, or all of them."""
        levels = self._asks.levels
        return tuple(levels if n is None else levels[: check_count("n", n, least=0)])

    def quantity_at(self, side: Side | str, price: Decimal | int | str) -> Decimal:
        """What rests at a price; 0 if nothing does.

        Args:
            side: Whose orders: ``Side.BUY`` (or ``"bid"``) for the bids, ``Side.SELL`` (or ``"ask"``) for the asks.
            price: The price, exact: a float is refused.
        """
        levels = self._bids if check_choice("side", side, Side) is Side.BUY else self._asks
        return levels.quantity_at(_exact("price", price))

    def vwap(self, side: Side | str, quantity: Decimal | int | str) -> Decimal | None:
        """The average price at which an order of this size would trade now, weighted by quantity.

        Args:
            side: The order's side: a buy order takes asks, a sell order takes bids.
            quantity: The order's size, more than 0.

        Returns:
            The price, or None if the book does not hold that much. It is exact where it has at most 100 digits. Else it
            is rounded to 28, or to as many as the sum of prices times quantities has, if that is more. The caller's
            decimal context does not matter.
        """
        wanted = left = _exact("quantity", quantity)
        check_decimal(wanted, "quantity", signed=True)
        if wanted <= 0:
            msg = f"quantity is more than 0, not {wanted}"
            raise ValueError(msg)
        takes_asks = check_choice("side", side, Side) is Side.BUY
        cost = _NOTHING
        for price, there in self._asks.levels if takes_asks else reversed(self._bids.levels):
            taken = min(left, there)
            cost = _WIDE.fma(taken, price, cost)
            left = _WIDE.subtract(left, taken)
            if not left:
                return _quotient(cost, wanted)
        return None

    def snapshot(self) -> OrderBook:
        """The whole book, as it is now."""
        return OrderBook(asks=self.asks(), bids=self.bids(), sequence_number=self.sequence_number)


class LocalBook(BookReader):
    """A book in memory, and nothing more: it is made of a snapshot, and diffs are applied to it.

    Reading the best levels looks at nothing else, and a change of a level moves no others but by memory.

    Raises:
        TypeError: the snapshot is no `OrderBook`.
    """

    def __init__(self, snapshot: OrderBook) -> None:
        _check_kind("a snapshot", snapshot, OrderBook)
        self._bids = _Levels(snapshot.bids)
        self._asks = _Levels(snapshot.asks)
        self._sequence_number = snapshot.sequence_number

    def apply(self, diff: OrderBookDiff) -> None:
        """Apply the change that follows.

        Raises:
            SequenceGap: the diff does not follow. The book is as it was.
            TypeError: it is no `OrderBookDiff`.
        """
        # What a plain diff follows is known without asking, which is a call for each.
        if type(diff) is OrderBookDiff:
            follows = diff.sequence_number - 1
        else:
            _check_kind("a diff", diff, OrderBookDiff)
            follows = diff.previous_sequence_number
        number = diff.sequence_number
        if follows != self._sequence_number:
            raise SequenceGap(self._sequence_number + 1, number)
        self._bids.update(diff.bids)
        self._asks.update(diff.asks)
        self._sequence_number = number

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LocalBook):
            return NotImplemented
        return (self._sequence_number, self._bids.levels, self._asks.levels) == (
            other._sequence_number,
            other._bids.levels,
            other._asks.levels,
        )

    __hash__: ClassVar[None]  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"<LocalBook {self._sequence_number}: {self.best_bid} / {self.best_ask}>"


def _check_kind(what: str, value: object, kind: type) -> None:
    if not isinstance(value, kind):
        msg = f"{what} is an {kind.__name__}, not {type(value).__name__}"
        raise TypeError(msg)


def _quotient(total: Decimal, count: Decimal) -> Decimal:
    """A quotient, exact if it can be."""
    try:
        return _EXACT.divide(total, count)
    except Inexact:
        return Context(prec=max(28, len(total.as_tuple().digits))).divide(total, count)


def _exact(name: str, value: Decimal | int | str) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, Decimal | int | str):
        msg = f"{name} is a Decimal, an int or text, not {type(value).__name__}"
        raise TypeError(msg)
    try:
        number = Decimal(value)
    except ArithmeticError:
        number = Decimal("nan")
    if not number.is_finite():
        msg = f"{name} is a finite number, not {value!r}"
        raise ValueError(msg)
    return number


@attrs.frozen
class BookChange:
    """A book's best levels after a change."""

    sequence_number: int
    best_bid: PriceLevel | None
    best_ask: PriceLevel | None


class _Keeper:
    """Where a live book's task delivers: it applies what comes, at once."""

    def __init__(self, asset_id: AssetIdentifier) -> None:
        self._asset_id = asset_id
        self.book: LocalBook | None = None
        self.closed: Exception | None = None
        self.trace: TracebackType | None = None
        self.changed: trio.lowlevel.ParkingLot = trio.lowlevel.ParkingLot()
        self._applied = 0

    async def put(self, items: Sequence[Depth]) -> None:
        self.put_nowait(items)

    def put_nowait(self, items: Sequence[Depth]) -> None:
        book = self.book
        for item in items:
            if isinstance(item, OrderBookDiff):
                assert book is not None  # noqa: S101 - for the type checker: a snapshot comes first
                book.apply(item)
            elif isinstance(item, OrderBook):
                self.book = book = LocalBook(item)
        self._applied += len(items)
        self.changed.unpark_all()

    def close(self, error: Exception) -> None:
        self.closed, self.trace = error, error.__traceback__
        self.changed.unpark_all()

    def statistics(self) -> ConsumerStatistics:
        """Return the counts as they are now: items are applied at once, and ``changes()`` conflates."""
        return ConsumerStatistics(
            delivered=self._applied,
            dropped=0,
            merged=0,
            overflow="conflate",
            max_buffer_size=0,
            current_buffer_used=0,
            peak_buffer_used=0,
            tasks_waiting_send=0,
            tasks_waiting_receive=len(self.changed),
        )


class LiveBook(Supervised, BookReader):
    """A market's order book, kept in step with the exchange while its context lasts.

    Every read is of a book that is in sync. Where it is not (before the first snapshot, from the moment that a loss is
    noticed until it is made good, and after the end), every read raises `BookNotSynced`.
    """

    def __init__(self, asset_id: AssetIdentifier, keeper: _Keeper, supervisor: Supervisor[Depth], home: Home) -> None:
        super().__init__(supervisor, home)
        self.asset_id = asset_id
        self._keeper = keeper

    @asynccontextmanager
    async def _scope(self) -> AsyncGenerator[None]:
        async with self._home.running(self._supervisor):
            yield

    def _current(self) -> LocalBook:
        book = self._keeper.book
        if self._supervisor.state is not StreamState.LIVE or book is None:
            self._check_entered()
            error = self._supervisor.last_error
            raise BookNotSynced(self.asset_id, self._supervisor.state.value, str(error or "")) from error
        return book

    @property
    def _bids(self) -> _Levels:  # type: ignore[override]  # which may raise
        return self._current()._bids

    @property
    def _asks(self) -> _Levels:  # type: ignore[override]  # likewise
        return self._current()._asks

    @property
    def _sequence_number(self) -> int:  # type: ignore[override]  # likewise
        return self._current()._sequence_number

    @property
    def is_synced(self) -> bool:
        """Whether the book can be read."""
        return self._supervisor.state is StreamState.LIVE

    async def wait_synced(self) -> None:
        """Wait until the book can be read.

        Raises:
            TplusError: its stream failed for good.
            trio.ClosedResourceError: it was closed.
        """
        await trio.lowlevel.checkpoint()
        self._check_entered()
        await self._supervisor.wait_for(StreamState.LIVE)

    def _check_entered(self) -> None:
        if self._entered is None and self._supervisor.state is not StreamState.CLOSED:
            raise BookNotEntered(self.asset_id)

    def changes(self) -> AsyncIterator[BookChange]:
        """Iterate over the book's states: the one now, and then the newest whenever there is a newer one.

        A slow consumer misses states in between, never the latest; while the book is out of sync, nothing comes. The
        iteration raises what ended the book's stream.
        """
        self._check_entered()
        return _Changes(self, self._keeper)


class _Changes(AsyncIterator[BookChange]):
    def __init__(self, book: LiveBook, keeper: _Keeper) -> None:
        self._book = book
        self._keeper = keeper
        self._shown: tuple[LocalBook, int] | None = None

    def _has_news(self) -> bool:
        keeper, shown = self._keeper, self._shown
        if keeper.closed is not None:
            return True
        book = keeper.book if self._book.is_synced else None
        return book is not None and (shown is None or shown[0] is not book or shown[1] != book.sequence_number)

    async def __anext__(self) -> BookChange:
        keeper = self._keeper
        if self._has_news():
            # Where there is none, waiting is the checkpoint.
            await trio.lowlevel.checkpoint()
        while not self._has_news():
            await keeper.changed.park()
        if keeper.closed is not None:
            raise keeper.closed.with_traceback(keeper.trace)
        book = keeper.book
        assert book is not None  # noqa: S101 - for the type checker: it was just seen
        self._shown = (book, book.sequence_number)
        return BookChange(book.sequence_number, book.best_bid, book.best_ask)


def open_live_book(
    asset_id: AssetIdentifier,
    feed: Feed[Depth],
    service: Service,
    home: Home,
    *,
    restart: RestartPolicy | None,
    limits: WebSocketLimits,
    draw: Callable[[], float],
) -> LiveBook:
    """Put a live book together. Nothing is started."""
    keeper = _Keeper(asset_id)
    supervisor: Supervisor[Depth] = Supervisor(
        feed, service, keeper, home.decode_limiter, restart=restart, limits=limits, stats=ConnectionCounts(), draw=draw
    )
    return LiveBook(asset_id, keeper, supervisor, home)

"""Records every state of every book of the exchange, and when its change was sent."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from typing import Final

import attrs
import trio

from tplus_trio.models import AssetIdentifier, OrderBook
from tplus_trio.testing import Exchange

from .reference_trades import TradeReference

__all__ = ["BookHistory", "Moment", "Reference"]

_NUMBER: Final = re.compile(rb'"sequence_number":(\d+)')
#: A client that requests more snapshots than this never stops.
_RUNAWAY: Final = 3000
#: The number of states of a book that are kept.
_KEPT: Final = 100


@attrs.define(eq=False)
class Moment:
    """A book after one change."""

    index: int
    #: How often the numbers had started over before it.
    epoch: int
    book: OrderBook
    #: The time at which the change was first sent to a subscriber; None before that.
    sent_at: float | None = None


class BookHistory:
    """All states of one market's book, in order."""

    def __init__(self, book: OrderBook) -> None:
        self.moments = [Moment(0, 0, book, trio.current_time())]
        self._by_number: dict[int, list[Moment]] = {book.sequence_number: [self.moments[0]]}
        self._epoch = 0
        #: The time of the last answer with an old snapshot.
        self.stale_at = -1.0

    @property
    def latest(self) -> Moment:
        """Return the present book."""
        return self.moments[-1]

    def restarted(self) -> None:
        """Record that the numbers start over with the next change."""
        self._epoch += 1

    def add(self, book: OrderBook) -> None:
        """Record the book after another change."""
        moment = Moment(self.latest.index + 1, self._epoch, book)
        self.moments.append(moment)
        self._by_number.setdefault(book.sequence_number, []).append(moment)

    def sent(self, number: int) -> None:
        """Record that the change of this number is sent."""
        moment = self._by_number[number][-1]
        if moment.sent_at is None:
            moment.sent_at = trio.current_time()

    def after(self, moment: Moment) -> list[Moment]:
        """Return the states since this one, oldest first."""
        return self.moments[moment.index + 1 - self.moments[0].index :]

    def restarts_before(self, moment: Moment) -> int:
        """Return how often the numbers had started over, as far as is recorded."""
        return moment.epoch - self.moments[0].epoch

    def forget(self) -> None:
        """Drop the states that are older than any stale snapshot. No client may have them."""
        del self.moments[:-_KEPT]
        self._by_number.clear()
        for moment in self.moments:
            self._by_number.setdefault(moment.book.sequence_number, []).append(moment)

    def having(self, number: int) -> list[Moment]:
        """Return the states of this number, oldest first."""
        return self._by_number.get(number, [])

    def equal(self, book: OrderBook) -> list[Moment]:
        """Return the states that equal this book, including its number."""
        return [moment for moment in self.having(book.sequence_number) if moment.book == book]


class Reference:
    """Records an exchange before its faults apply: it sees also what a client never receives."""

    def __init__(self, exchange: Exchange, *, follows_trades: bool = False) -> None:
        self.exchange = exchange
        self.books: dict[AssetIdentifier, BookHistory] = {}
        self.trades = TradeReference(exchange, follows=follows_trades)
        #: The number of snapshots that were answered in each market.
        self.snapshots: dict[str, int] = defaultdict(int)
        #: The time until which the network may delay anything.
        self.disturbed_until = 0.0
        #: Set once a client requests snapshots without end.
        self.runaway = trio.Event()
        for market in exchange.markets:
            self.books[market.asset_id] = BookHistory(exchange.book(market.asset_id))
        self._wrap("on_diff", self._on_diff)
        self._wrap("take_staleness", self._take_staleness)

    def _wrap(self, name: str, hook: Callable[..., object]) -> None:
        setattr(self.exchange.faults, name, _Wrapped(getattr(self.exchange.faults, name), hook))

    def _on_diff(self, messages: list[bytes], asset: AssetIdentifier, _: bytes) -> None:
        history = self.books[asset]
        history.add(self.exchange.book(asset))
        for message in messages:
            found = _NUMBER.search(message)
            assert found is not None
            history.sent(int(found[1]))

    def _take_staleness(self, behind: int, asset: str, _: int = 0) -> None:
        if behind:
            self.books[AssetIdentifier(asset)].stale_at = trio.current_time()
        self.snapshots[asset] += 1
        if self.snapshots[asset] > _RUNAWAY:
            self.runaway.set()

    def disturbed(self, seconds: float) -> None:
        """Note that messages may be lost for this many seconds."""
        self.disturbed_until = max(self.disturbed_until, trio.current_time() + seconds)

    def forget(self) -> None:
        """Drop the old history: every client is up to date."""
        self.snapshots.clear()
        for history in self.books.values():
            history.forget()

    def restarted(self, asset: AssetIdentifier) -> None:
        """Record that a market's numbers start over: a snapshot has number 0 from now on."""
        history = self.books[asset]
        history.restarted()
        history.add(self.exchange.book(asset))


class _Wrapped:
    """Calls a function, and gives its result to a hook."""

    def __init__(self, function: Callable[..., object], hook: Callable[..., object]) -> None:
        self._function = function
        self._hook = hook

    def __call__(self, *args: object) -> object:
        result = self._function(*args)
        self._hook(result, *args)
        return result

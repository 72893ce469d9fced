"""What really happened on the exchange: every state of every book, and when it was told."""

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
#: A client that asks for more snapshots than this will never stop.
_RUNAWAY: Final = 3000
#: States of a book that are not forgotten.
_KEPT: Final = 100


@attrs.define(eq=False)
class Moment:
    """A book after one change."""

    index: int
    #: How often the numbers had started over.
    epoch: int
    book: OrderBook
    #: When the change was first sent to whoever listened; None while it was not.
    sent_at: float | None = None


class BookHistory:
    """All states of one market's book, in order."""

    def __init__(self, book: OrderBook) -> None:
        self.moments = [Moment(0, 0, book, trio.current_time())]
        self._by_number: dict[int, list[Moment]] = {book.sequence_number: [self.moments[0]]}
        self._epoch = 0
        #: When a snapshot older than the book was last answered.
        self.stale_at = -1.0

    @property
    def latest(self) -> Moment:
        """The book as it is now."""
        return self.moments[-1]

    def restarted(self) -> None:
        """The next change is number 1 (or whatever comes first)."""
        self._epoch += 1

    def add(self, book: OrderBook) -> None:
        """The book after another change."""
        moment = Moment(self.latest.index + 1, self._epoch, book)
        self.moments.append(moment)
        self._by_number.setdefault(book.sequence_number, []).append(moment)

    def sent(self, number: int) -> None:
        """The change of this number goes out."""
        moment = self._by_number[number][-1]
        if moment.sent_at is None:
            moment.sent_at = trio.current_time()

    def after(self, moment: Moment) -> list[Moment]:
        """The states since this one, oldest first."""
        return self.moments[moment.index + 1 - self.moments[0].index :]

    def restarts_before(self, moment: Moment) -> int:
        """How often the numbers had started over, as far as is remembered."""
        return moment.epoch - self.moments[0].epoch

    def forget(self) -> None:
        """Remember no more than a stale snapshot may show. Nobody may have anything older."""
        del self.moments[:-_KEPT]
        self._by_number.clear()
        for moment in self.moments:
            self._by_number.setdefault(moment.book.sequence_number, []).append(moment)

    def having(self, number: int) -> list[Moment]:
        """The states that had this number, oldest first."""
        return self._by_number.get(number, [])

    def equal(self, book: OrderBook) -> list[Moment]:
        """The states that are this book, number and all."""
        return [moment for moment in self.having(book.sequence_number) if moment.book == book]


class Reference:
    """Listens in on an exchange, behind its faults: what is lost on the way to a client is not lost here."""

    def __init__(self, exchange: Exchange, *, follows_trades: bool = False) -> None:
        self.exchange = exchange
        self.books: dict[AssetIdentifier, BookHistory] = {}
        self.trades = TradeReference(exchange, follows=follows_trades)
        #: How many snapshots each market's clients were given.
        self.snapshots: dict[str, int] = defaultdict(int)
        #: Until when the network may keep something back, and nobody can know.
        self.disturbed_until = 0.0
        #: Set once a client asks without end.
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
        """For so long, what is sent may not arrive."""
        self.disturbed_until = max(self.disturbed_until, trio.current_time() + seconds)

    def forget(self) -> None:
        """Everybody is up to date: forget what was before."""
        self.snapshots.clear()
        for history in self.books.values():
            history.forget()

    def restarted(self, asset: AssetIdentifier) -> None:
        """A market's numbers start over: a snapshot already says 0."""
        history = self.books[asset]
        history.restarted()
        history.add(self.exchange.book(asset))


class _Wrapped:
    """Calls a function, and shows a hook what came of it."""

    def __init__(self, function: Callable[..., object], hook: Callable[..., object]) -> None:
        self._function = function
        self._hook = hook

    def __call__(self, *args: object) -> object:
        result = self._function(*args)
        self._hook(result, *args)
        return result

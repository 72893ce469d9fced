"""Models a market's depth and the connection that carries it, and checks every item that a consumer gets."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType
from typing import TypeAlias

import attrs

from tplus_trio import Depth, Gap, OrderBook, OrderBookDiff, PriceLevel, Sequencing
from tplus_trio.streams.counts import ConnectionCounts
from tplus_trio.streams.recovery import DepthRecovery

__all__ = ["Checker", "DepthModel", "State", "books_of"]

#: The quantity at each price of each side.
State: TypeAlias = Mapping[tuple[str, Decimal], Decimal]


def books_of(book: OrderBook) -> State:
    """Return a book as a dict, independent of `LocalBook`."""
    bids = {("bid", price): quantity for price, quantity in book.bids}
    return {**bids, **{("ask", price): quantity for price, quantity in book.asks}}


def changed(state: State, diff: OrderBookDiff) -> State:
    """Return the state after a change."""
    new = dict(state)
    for side, levels in (("bid", diff.bids), ("ask", diff.asks)):
        for price, quantity in levels:
            new.pop((side, price), None)
            if quantity:
                new[side, price] = quantity
    return MappingProxyType(new)


@attrs.define
class Checker:
    """A consumer that builds its own book, and fails at the first item that does not chain."""

    state: State = attrs.field(factory=dict[tuple[str, Decimal], Decimal])
    number: int | None = None
    snapshots: int = 0
    diffs: list[OrderBookDiff] = attrs.field(factory=list[OrderBookDiff])

    def take(self, items: Sequence[Depth]) -> None:
        for item in items:
            assert not isinstance(item, Gap)
            if isinstance(item, OrderBook):
                self.state = books_of(item)
                self.snapshots += 1
            else:
                assert self.number is not None, "a change before any book"
                assert item.previous_sequence_number == self.number, f"{item} does not follow {self.number}"
                self.state = changed(self.state, item)
                self.diffs.append(item)
            self.number = item.sequence_number


class DepthModel:
    """An exchange, a connection and a `DepthRecovery`, moved step by step.

    Each step is a method that takes a small number. After each step, the delivered items have been checked: they chain,
    each change is one that the exchange made, and while the recovery is in sync, the consumer's book is the exchange's
    book of that number.
    """

    def __init__(self, *, sequence: Sequencing = "contiguous", first: int = 5000) -> None:
        self.stats = ConnectionCounts()
        self.recovery = DepthRecovery(lambda: 0, self.stats, sequence=sequence)
        self.consumer = Checker()
        self.number = first
        self.step = 1
        self._state: State = {}
        #: All states so far, the present one last.
        self._past: list[tuple[int, State]] = [(first, {})]
        self._known: set[tuple[int, frozenset[tuple[tuple[str, Decimal], Decimal]]]] = set()
        self._made: dict[int, list[OrderBookDiff]] = {}
        self._wire: deque[OrderBookDiff] = deque()
        self._connected = False
        self._subscribed = False
        #: The open request: its generation and whether it is early, and its answer once that is made.
        self._asked: tuple[int, bool] | None = None
        self._answer: OrderBook | None = None
        self._stale = 0
        self.requests = 0
        self._remember()

    def _remember(self) -> None:
        self._past.append((self.number, self._state))
        self._known.add((self.number, frozenset(self._state.items())))

    @property
    def current(self) -> tuple[int, State]:
        return self.number, self._state

    # The exchange.

    def change(self, n: int) -> None:
        """Change the book; the feed sends the change."""
        self._change(n)

    def lose(self, n: int) -> None:
        """Change the book; the feed does not send the change."""
        self._change(n, is_sent=False)

    def _change(self, n: int, *, is_sent: bool = True) -> None:
        self.number += self.step
        price = Decimal(100 + n % 5)
        # The quantity depends on the number, so that all states differ. One change in three removes a level.
        quantity = Decimal(0) if n % 3 == 2 else Decimal(self.number) + len(self._past) * 100_000
        level = (PriceLevel(price, quantity),)
        diff = OrderBookDiff(level if n % 2 else (), () if n % 2 else level, self.number)
        self._state = changed(self._state, diff)
        self._made.setdefault(self.number, []).append(diff)
        self._remember()
        if is_sent and self._connected:
            self._wire.append(diff)

    def skip(self, n: int) -> None:
        """Let the feed leave out numbers, although nothing is missing."""
        self.number += n + 1
        self._change(n)

    def restart(self, n: int) -> None:
        """Let the service start over with its numbers."""
        if self.number > 2500:
            self.number = 0
            self._change(n)

    def repeat(self, n: int) -> None:
        """Repeat a message on its way."""
        if self._wire:
            self._wire.insert(n % len(self._wire), self._wire[n % len(self._wire)])

    def swap(self, n: int) -> None:
        """Swap two messages on their way."""
        if len(self._wire) > 1:
            at = n % (len(self._wire) - 1)
            self._wire[at], self._wire[at + 1] = self._wire[at + 1], self._wire[at]

    # The network.

    def connect(self, n: int) -> None:
        """Let the exchange begin to send."""
        self._connected = True

    def subscribe(self, n: int) -> None:
        """Let the client learn that it is subscribed."""
        if self._connected and not self._subscribed:
            self._subscribed = True
            self._deliver(self.recovery.subscribed())

    def lost(self, n: int) -> None:
        """Lose the connection, with its messages and the request."""
        if self._subscribed or n > 2:
            self._connected = self._subscribed = False
            self._wire.clear()
            self._asked = self._answer = None
            self.recovery.lost("the connection was lost")

    def hole(self, n: int) -> None:
        """Let a frame arrive that cannot be decoded."""
        if self._subscribed and self._wire:
            self._wire.popleft()
            self.recovery.lost("a frame could not be decoded")
            self._deliver(self.recovery.subscribed())

    def receive(self, n: int) -> None:
        """Let some messages arrive."""
        if self._subscribed:
            batch = [self._wire.popleft() for _ in range(min(n + 1, len(self._wire)))]
            self._deliver(self.recovery.receive(batch))

    def ask(self, n: int) -> None:
        """Let the client request a snapshot, if it wants one."""
        if (
            self.recovery.pending_request is not None
            and self._asked is None
            and (self._subscribed or self.recovery.eager)
        ):
            self._asked = (self.recovery.generation, not self._subscribed)
            self.requests += 1

    def be_stale(self, n: int) -> None:
        """Let the next answer be older than the exchange's book."""
        self._stale = n + 1

    def make_answer(self, n: int) -> None:
        """Let the exchange make its answer."""
        if self._asked is not None and self._answer is None:
            number, state = self._past[-1 - min(self._stale, len(self._past) - 1)]
            self._stale = 0
            self._answer = OrderBook(
                asks=[(price, quantity) for (side, price), quantity in state.items() if side == "ask"],
                bids=[(price, quantity) for (side, price), quantity in state.items() if side == "bid"],
                sequence_number=number,
            )

    def get_answer(self, n: int) -> None:
        """Let the answer arrive."""
        if self._asked is not None and self._answer is not None:
            (generation, early), answer = self._asked, self._answer
            self._asked = self._answer = None
            if generation == self.recovery.generation:
                self._deliver(self.recovery.answer(0, answer, early=early))

    STEPS = (
        *("change", "receive", "ask", "make_answer", "get_answer") * 3,
        *("connect", "subscribe") * 4,
        *("lose", "skip", "repeat", "swap", "be_stale", "hole", "lost", "restart"),
    )

    # The checks.

    def _deliver(self, items: Sequence[Depth]) -> None:
        self.consumer.take(items)
        for diff in self.consumer.diffs:
            assert any((diff.bids, diff.asks) == (made.bids, made.asks) for made in self._made[diff.sequence_number])
        self.consumer.diffs.clear()
        if self.recovery.synced:
            number = self.consumer.number
            assert number is not None
            assert (number, frozenset(self.consumer.state.items())) in self._known

    def settle(self, rounds: int = 200) -> None:
        """Let the network work, and check that the book becomes equal to the exchange's and stays so."""
        self._stale = 0
        requests = self.requests
        for n in range(rounds):
            self.connect(n)
            self.subscribe(n)
            self.change(n)
            self.receive(50)
            self.ask(n)
            self.make_answer(n)
            self.get_answer(n)
        assert self.recovery.synced
        assert (self.consumer.number, self.consumer.state) == self.current
        assert self.requests - requests <= 12, "an endless resynchronisation"

"""Each trade once or a gap, against a model of a feed and of a history that lags."""

from __future__ import annotations

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.trade_recovery import trade
from tplus_trio import Gap, Trade
from tplus_trio.streams.counts import ConnectionCounts
from tplus_trio.streams.recovery import TradesBackfill

STEPS = [
    *["make", "receive", "ask", "answer"] * 3,
    *["lost", "replay", "hole", "lag", "late", "undo", "shuffle", "expire", "remove", "shift"],
]


class Model:
    """A feed that loses its connection, a history that lags and comes in pages, and a recovery between the two."""

    def __init__(self, page_size: int, max_pages: int) -> None:
        self.recovery = TradesBackfill(lambda: self.made * 10, ConnectionCounts(), max_pages=max_pages)
        self.page_size = page_size
        self.made = 0
        self.history: list[Trade] = []
        #: The trades that REST lists.
        self.listed: list[Trade] = []
        self.removed: set[int] = set()
        self.undone: set[int] = set()
        self.late_ones: set[int] = set()
        self.out: list[Trade | Gap] = [*self.recovery.subscribed()]
        self.is_shuffled = False
        self._lag = self._next_lag = 0
        self._wire: list[Trade] = []
        self._asked: tuple[int, int, list[Trade]] | None = None

    def make(self, n: int) -> None:
        self.made += 1
        self.history.append(trade(self.made))
        self.listed.append(self.history[-1])
        self._wire.append(self.history[-1])

    def receive(self, n: int) -> None:
        self.out += self.recovery.receive(self._wire)
        self._wire.clear()

    def lost(self, n: int) -> None:
        """Lose the connection with its messages, and miss some more."""
        for _ in range(n):
            self.make(0)
        self._wire.clear()
        self._asked = None
        self.recovery.lost("lost")
        self.out += self.recovery.subscribed()

    def replay(self, n: int) -> None:
        """Open another connection, which begins with the trades before."""
        self.lost(n)
        self._wire += self.history[-1 - n :]

    def hole(self, n: int) -> None:
        """Let a frame arrive that cannot be decoded."""
        if self._wire:
            self.out += self.recovery.receive(self._wire[:-1])
            self._wire.clear()
            self.out += self.recovery.hole("hole")

    def lag(self, n: int) -> None:
        """From the next read on, let REST be behind by ``n`` trades."""
        self._next_lag = n

    def late(self, n: int) -> None:
        """Confirm a trade late; the feed does not send it."""
        at = len(self.history) - n
        if at > 0:
            number = 1_000_000 + len(self.history)
            self.late_ones.add(number)
            before = self.history[at - 1]
            self.history.insert(at, trade(number, timestamp_ns=before.timestamp_ns))
            if before in self.listed:
                self.listed.insert(self.listed.index(before) + 1, self.history[at])

    def undo(self, n: int) -> None:
        """Roll a trade back; the feed sends it."""
        # Only once: a feed that begins with a delivered item proves that nothing is missing before it.
        if len(self.history) > n and (undone := self.history[-1 - n]).trade_id not in self.undone:
            self.undone.add(undone.trade_id)
            self._wire.append(attrs.evolve(undone, status="Rollbacked"))

    def remove(self, n: int) -> None:
        """Remove one of the newest trades from REST's list."""
        is_first_seam = self.recovery._reader._joiner.page <= 1 and self.recovery.pending_request in {None, 0, 1}
        if len(self.listed) > n and is_first_seam:
            self.removed.add(self.listed.pop(-1 - n).trade_id)

    def shift(self, n: int) -> None:
        """Remove a trade after the first page of a read was answered."""
        self.lost(self.page_size)
        for step in (self.make, self.receive, self.ask, self.answer):
            step(0)
        self.remove(n)

    def shuffle(self, n: int) -> None:
        """List the rows of the next pages oldest first."""
        self.is_shuffled = not self.is_shuffled

    def expire(self, n: int) -> None:
        self.out += self.recovery.expire()

    def ask(self, n: int) -> None:
        page = self.recovery.pending_request
        if page is not None and self._asked is None:
            # If rows moved up and back between two requests, nothing could show it, so REST lags by the same number.
            if page == 0 == self.recovery._reader._joiner.page:
                self._lag = self._next_lag
            newest_first = self.listed[: max(0, len(self.listed) - self._lag)][::-1]
            found = newest_first[page * self.page_size :][: self.page_size]
            self._asked = (self.recovery.generation, page, found[::-1] if self.is_shuffled else found)

    def answer(self, n: int) -> None:
        if self._asked is not None:
            (generation, page, found), self._asked = self._asked, None
            if generation == self.recovery.generation:
                self.out += self.recovery.answer(page, found, early=False)

    def settle(self) -> None:
        """Let the connection last, and REST be up to date."""
        self._next_lag = 0
        for _ in range(2):
            for _ in range(40):
                self.receive(0)
                self.ask(0)
                self.answer(0)
            self.make(0)
        self.receive(0)
        # If all known trades were removed, no read meets one before the hold times out.
        self.expire(0)
        assert self.recovery.synced
        assert self.recovery.held == 0


@settings(deadline=None, max_examples=300)
@given(
    steps=st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 5)), max_size=60),
    page_size=st.integers(1, 6),
    max_pages=st.integers(1, 6),
)
def test_each_trade_is_delivered_once_or_lies_within_a_gap(
    steps: list[tuple[str, int]], page_size: int, max_pages: int
) -> None:
    model = Model(page_size, max_pages)
    # One trade comes before all else, so that a read has a trade to meet.
    for name, n in [("make", 0), ("receive", 0), *steps]:
        getattr(model, name)(n)
    model.settle()
    delivered = [(item.trade_id, item.status) for item in model.out if isinstance(item, Trade)]
    assert len(delivered) == len(set(delivered))
    gaps = [item for item in model.out if isinstance(item, Gap)]
    for made in model.history:
        covered = any(gap.since_ns <= made.timestamp_ns <= gap.until_ns for gap in gaps)
        may_miss = model.late_ones | model.removed
        assert covered or made.trade_id in may_miss or (made.trade_id, made.status) in delivered, made
    if not gaps and not any(name in {"late", "undo", "remove", "shift"} for name, _ in steps):
        assert [number for number, _ in delivered] == list(range(1, model.made + 1))

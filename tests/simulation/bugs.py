"""Bugs to plant, one at a time, to show that the simulation finds them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final
from unittest import mock
from weakref import WeakKeyDictionary

import attrs
import trio

from tplus_trio import auth
from tplus_trio.clients import market_feeds
from tplus_trio.models import Gap, OrderBook, OrderBookDiff, Trade
from tplus_trio.streams.losses import LossWatchers
from tplus_trio.streams.recovery import Depth, DepthRecovery, GapMarking, TradesBackfill, conflate_depth
from tplus_trio.streams.recovery.repeats import Source
from tplus_trio.streams.recovery.sequencing import SequencingRule

from .bugs_data import DATA_BUGS
from .bugs_network import NETWORK_BUGS
from .bugs_sharing import SHARING_BUGS

__all__ = ["BUGS"]

# The functions below read private attributes of what they break.


@contextmanager
def _snapshot_before_subscribing() -> Generator[None]:
    """The snapshot is requested before the subscription and trusted, although changes may happen in between."""
    proper = DepthRecovery.answer

    def answer(self: DepthRecovery, page: int, answer: Any, *, early: bool) -> Sequence[Depth]:
        return proper(self, page, answer, early=False)

    with mock.patch.object(DepthRecovery, "answer", answer):
        yield


@contextmanager
def _gap_ignored() -> Generator[None]:
    """A jump of sequence numbers is accepted as the next change."""
    with mock.patch.object(SequencingRule, "accepts_jump", return_value=True):
        yield


@contextmanager
def _stale_snapshot_accepted() -> Generator[None]:
    """Any snapshot is accepted as the one that the held changes follow."""
    proper = DepthRecovery.answer

    def answer(self: DepthRecovery, page: int, answer: OrderBook, *, early: bool) -> Sequence[Depth]:
        if not early and self._held and answer.sequence_number + 1 < self._held[0].sequence_number:
            answer = attrs.evolve(answer, sequence_number=self._held[0].sequence_number - 1)
        return proper(self, page, answer, early=early)

    with mock.patch.object(DepthRecovery, "answer", answer):
        yield


@contextmanager
def _buffer_dropped_on_resync() -> Generator[None]:
    """Changes that arrive before the snapshot are dropped with the old book."""
    proper = DepthRecovery._begin

    def begin(self: DepthRecovery, snapshot: OrderBook) -> Sequence[Depth]:
        self._held.clear()
        return proper(self, snapshot)

    with mock.patch.object(DepthRecovery, "_begin", begin):
        yield


@contextmanager
def _duplicate_applied_twice() -> Generator[None]:
    """A trade that both REST and the feed deliver is delivered twice."""
    proper = TradesBackfill._accept_live

    def live(self: TradesBackfill, items: Sequence[Trade]) -> Sequence[Trade]:
        proper(self, items)
        return items

    with mock.patch.object(TradesBackfill, "_accept_live", live):
        yield


@contextmanager
def _repeated_change_delivered() -> Generator[None]:
    """A repeated change is delivered twice."""
    proper = DepthRecovery._chain

    def chain(self: DepthRecovery, diffs: Sequence[OrderBookDiff], sources: Sequence[Source]) -> Sequence[Depth]:
        out: list[Depth] = []
        for diff, source in zip(diffs, sources, strict=True):
            out += [diff] if diff.sequence_number == self._last else proper(self, [diff], [source])
        return out

    with mock.patch.object(DepthRecovery, "_chain", chain):
        yield


@contextmanager
def _backfill_off_by_one() -> Generator[None]:
    """The oldest missed trade is taken for the last one that was delivered."""
    proper = TradesBackfill._merge

    def join(self: TradesBackfill, rows: Sequence[Trade | None], held: Sequence[Trade]) -> Sequence[Trade | Gap]:
        return proper(self, [*rows[:-2], *rows[-1:]], held)

    with mock.patch.object(TradesBackfill, "_merge", join):
        yield


@contextmanager
def _token_refresh_lost_by_cancellation() -> Generator[None]:
    """Tasks wait for the task that signs in; if that one is cancelled, it does not wake them."""
    proper = auth.Session.credentials
    under_way: WeakKeyDictionary[auth.Session, trio.Event] = WeakKeyDictionary()

    async def credentials(self: auth.Session, refused: auth.Credentials | None = None) -> auth.Credentials:
        if self._usable(refused) is None:
            if (done := under_way.get(self)) is not None:
                await done.wait()
            else:
                done = under_way[self] = trio.Event()
                try:
                    await proper(self, refused)
                except trio.Cancelled:
                    raise
                except Exception:
                    under_way.pop(self).set()
                    raise
                under_way.pop(self).set()
        return await proper(self, refused)

    with mock.patch.object(auth.Session, "credentials", credentials):
        yield


@contextmanager
def _conflation_loses_removals() -> Generator[None]:
    """A merged change holds only the remaining levels, without the removals."""

    def conflate(waiting: deque[Depth]) -> int:
        before = len(waiting)
        levels = conflate_depth(waiting)
        if len(waiting) == before:
            return levels
        for index, item in enumerate(waiting):
            if isinstance(item, OrderBookDiff):
                bids, asks = ([level for level in side if level.quantity] for side in (item.bids, item.asks))
                waiting[index] = attrs.evolve(item, bids=bids, asks=asks)
        return levels

    with mock.patch.object(market_feeds, "conflate_depth", conflate):
        yield


@contextmanager
def _gap_unsaid() -> Generator[None]:
    """A stream continues without a gap after a loss of events that cannot be recovered."""
    proper = GapMarking.subscribed

    def subscribed(self: GapMarking[Any]) -> Sequence[Any]:
        proper(self)
        return ()

    with mock.patch.object(GapMarking, "subscribed", subscribed):
        yield


@contextmanager
def _loss_announced_late() -> Generator[None]:
    """Blocks that depend on a book are cancelled in the scheduler step after its loss, not in the same one."""
    proper = LossWatchers.notify

    def notify(self: LossWatchers[Any], loss: Any) -> None:
        trio.lowlevel.current_trio_token().run_sync_soon(proper, self, loss)

    with mock.patch.object(LossWatchers, "notify", notify):
        yield


@contextmanager
def _loss_of_holes_unsaid() -> Generator[None]:
    """Only a lost connection ends a block of ``while_synced``, not a hole over an open connection."""
    proper = LossWatchers.notify

    def notify(self: LossWatchers[Any], loss: Any) -> None:
        if "sequence number" not in loss.reason:
            proper(self, loss)

    with mock.patch.object(LossWatchers, "notify", notify):
        yield


#: The bugs by name.
BUGS: Final[dict[str, Callable[[], AbstractContextManager[None]]]] = {
    "snapshot-before-subscribing": _snapshot_before_subscribing,
    "gap-ignored": _gap_ignored,
    "stale-snapshot-accepted": _stale_snapshot_accepted,
    "buffer-dropped-on-resync": _buffer_dropped_on_resync,
    "duplicate-applied-twice": _duplicate_applied_twice,
    "repeated-change-delivered": _repeated_change_delivered,
    "backfill-off-by-one": _backfill_off_by_one,
    "token-refresh-lost-by-cancellation": _token_refresh_lost_by_cancellation,
    "conflation-loses-removals": _conflation_loses_removals,
    "gap-unsaid": _gap_unsaid,
    "loss-announced-late": _loss_announced_late,
    "loss-of-holes-unsaid": _loss_of_holes_unsaid,
    **DATA_BUGS,
    **NETWORK_BUGS,
    **SHARING_BUGS,
}

"""What a tape holds further on: the answers with which its recorder recovered what it had lost. Pure.

The recorder of a tape subscribes first and asks REST afterwards, so an answer stands on the tape behind the frames that
it belongs to. A client of the replay asks when it likes. So the answer is served from the loss on, and not only from
its own place on the tape.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Final

from tplus_trio.testing.exchange.http_messages import clean_path
from tplus_trio.testing.replay.tape import Tape, TapeAnswer, TapeEntry, TapeFrame, TapeLoss

__all__ = ["DEPTH", "DEPTH_FEED", "KLINES_FEED", "TRADES", "TapeOutlook", "feed_of"]

DEPTH: Final = "/marketdepth/"
DEPTH_FEED: Final = "/marketdepth/diff/"
KLINES_FEED: Final = "/klines/diff/"
TRADES: Final = "/trades"
_NUMBER: Final = re.compile(r'"sequence_number"\s*:\s*"?(\d+)')


class TapeOutlook:
    """The answers that stand further on, on a tape that is played from its beginning.

    Args:
        tape: The tape.
    """

    def __init__(self, tape: Tape) -> None:
        #: The snapshots that were not played yet, by the path of their feed, each with its sequence number.
        self._snapshots: dict[str, deque[tuple[int, TapeAnswer]]] = {}
        #: The sequence numbers of each depth feed, in order.
        numbers: dict[str, list[int]] = {}
        #: For each loss, by its id: the answers of its feed from there to the next loss.
        self._after_loss: dict[int, list[TapeAnswer]] = {}
        last_loss: dict[str, list[TapeAnswer]] = {}
        for entry in tape:
            match entry:
                case TapeLoss():
                    self._after_loss[id(entry)] = last_loss[entry.path] = []
                case TapeFrame() if entry.path.startswith(DEPTH_FEED):
                    if (number := sequence_number(entry.frame)) is not None:
                        numbers.setdefault(entry.path, []).append(number)
                case TapeAnswer():
                    feed = feed_of(entry.path)
                    last_loss.get(feed, []).append(entry)
                    if feed.startswith(DEPTH_FEED) and (number := sequence_number(entry.body)) is not None:
                        self._snapshots.setdefault(feed, deque()).append((number, entry))
                case _:
                    pass
        self._first_numbers: Mapping[str, int] = {path: found[0] for path, found in numbers.items()}
        self._contiguous: Mapping[str, bool] = {path: _is_contiguous(found) for path, found in numbers.items()}

    def first_answers(self, tape: Tape) -> Iterable[TapeAnswer]:
        """Return the answer of each path that is served before the tape plays.

        That is the first one, unless it stands behind a loss of its feed; of snapshots, the first one that the first
        frame may follow.
        """
        first: dict[str, TapeAnswer] = {}
        lost: set[str] = set()
        for entry in tape:
            if isinstance(entry, TapeLoss):
                lost.add(entry.path)
            elif isinstance(entry, TapeAnswer) and feed_of(entry.path) not in lost:
                first.setdefault(entry.path, entry)
        for feed, number in self._first_numbers.items():
            if (snapshot := self.snapshot(feed, number - 1)) is not None:
                first[snapshot.path] = snapshot
        return first.values()

    def is_contiguous(self, feed: str) -> bool:
        """Return whether a jump of a depth feed's sequence numbers shows a loss: most of them rise by one."""
        return self._contiguous.get(feed, True)

    def snapshot(self, feed: str, least: int) -> TapeAnswer | None:
        """Return the next snapshot of a depth feed that has at least this sequence number; None if there is none."""
        return next((answer for number, answer in self._snapshots.get(feed, ()) if number >= least), None)

    def answers(self, loss: TapeLoss) -> Sequence[TapeAnswer]:
        """Return the answers for a feed between a loss and its next one, in order."""
        return self._after_loss.get(id(loss), ())

    def passed(self, entry: TapeEntry) -> None:
        """Note that an entry was played: a snapshot is no longer further on."""
        if isinstance(entry, TapeAnswer):
            waiting = self._snapshots.get(feed_of(entry.path), deque())
            if any(answer is entry for _, answer in waiting):
                while waiting.popleft()[1] is not entry:
                    pass


def sequence_number(text: str) -> int | None:
    """Return the sequence number in the text of a diff or a snapshot; None if there is none."""
    found = _NUMBER.search(text)
    return None if found is None else int(found[1])


def feed_of(target: str) -> str:
    """Return the feed whose losses the answer to this request recovers; the path itself if there is none."""
    path = clean_path(target)
    if path.startswith(DEPTH):
        return DEPTH_FEED + path.removeprefix(DEPTH)
    if path.startswith("/klines/"):
        return KLINES_FEED + path.removeprefix("/klines/")
    return TRADES if path.startswith(f"{TRADES}/") else path


def _is_contiguous(numbers: Sequence[int]) -> bool:
    rises = [after - before for before, after in pairwise(numbers) if after > before]
    return 2 * rises.count(1) >= len(rises)

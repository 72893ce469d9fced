"""The state of a depth feed: the book after its last item, for those who read it and those who come later."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any, Final, TypeAlias, cast

from tplus_trio.book.float_book import FloatBook
from tplus_trio.book.local import LocalBook
from tplus_trio.book.packed import PackedBook
from tplus_trio.book.upkeep import Upkeep
from tplus_trio.codec import (
    BatchDecoder,
    FloatDiff,
    decode_depth_batch,
    decode_depth_frame,
    decode_float_depth_batch,
)
from tplus_trio.errors import DecodeError
from tplus_trio.models import Gap, OrderBook, OrderBookDiff
from tplus_trio.streams.feed_state import FeedState, Needs
from tplus_trio.streams.recovery import Depth
from tplus_trio.transport.text_frame_parser import BATCH_SIZE

__all__ = ["DepthState"]

#: Changes that are kept: the messages that brought them, which take a tenth of their memory; or the changes, where they
#: are not those of messages.
_Kept: TypeAlias = tuple[Sequence[bytes | str], Sequence[Depth | FloatDiff]]

#: Bytes of messages that are decoded exactly at a time. A larger batch makes so many objects that each batch would
#: start the garbage collector. That costs more than the task switches that larger batches save.
_EXACT_BATCH: Final = 8 * 1024
#: What a batch of changes for a book of floats consists of.
_KIND: Final = frozenset({FloatDiff})
#: Changes that are kept for a packed book before it is unpacked. A feed that brings as many in so many seconds is busy:
#: its book is not packed meanwhile.
_FEW_KEPT: Final = 64
_WINDOW: Final = 1.0
#: Changes that are applied at once to the book of a busy feed: one at a time would delay each message.
_AT_ONCE: Final = 8
#: Changes that are kept while there is no time to apply them. With more, the book is forgotten, and read from REST if
#: somebody needs it. Otherwise a flood would cost half as much again, for a book that perhaps nobody will ask for.
_MOST_KEPT: Final = 128
#: One for all feeds: a hundred of them may be a flood only together.
_UPKEEP: Final = Upkeep()


class DepthState(FeedState[Depth]):
    """Keeps a book in step with the items of a depth feed.

    Unless a stream needs each change exactly, the book compares its prices as floats if all of them allow that; the
    first change that does not turns it into a `LocalBook`, until the next snapshot. As long as no live book reads the
    feed, the book is packed, and the changes since are kept, for who joins later.

    Args:
        upkeep: Says whether there is time to keep a book that nobody reads.
    """

    # A change of five levels a side is thirteen objects.
    is_bulky: bool = True

    # Twelve attributes: two are the book, and the others what is kept since, for whom, and how busy the feed is.
    def __init__(self, upkeep: Upkeep = _UPKEEP) -> None:
        #: The book, as long as a live book reads it; None before the first snapshot.
        self.book: FloatBook | LocalBook | None = None
        self.needs_upkeep: bool = False
        self._upkeep = upkeep
        self._consumers: dict[Needs, int] = {"state": 0, "items": 0, "merged": 0}
        #: The book some changes ago, while no live book reads it; and the changes since, and how many they are.
        self._behind: PackedBook | FloatBook | LocalBook | None = None
        self._kept: list[_Kept] = []
        self._kept_count = 0
        #: What was decoded last, and from which messages, until it arrives.
        self._decoded: tuple[Sequence[object] | None, Sequence[bytes | str]] = (None, ())
        #: When the last look at the rate was, and the changes since.
        self._window_began = 0.0
        self._window_count = 0
        #: Whether the recovery may hold changes that were decoded for a book of floats, although a stream has come.
        self._may_have_floats = False

    @property
    def is_known(self) -> bool:
        """Whether the book is there."""
        return self.book is not None or self._behind is not None

    def add_consumer(self, needs: Needs) -> None:
        """See `FeedState`."""
        consumers = self._consumers
        if needs == "state" and not consumers["state"]:
            self.book = self._catch_up()
            self._restart(None)
        elif needs == "items" and not consumers["items"]:
            self._may_have_floats = any(consumers.values())
        consumers[needs] += 1

    def remove_consumer(self, needs: Needs) -> None:
        """See `FeedState`."""
        self._consumers[needs] -= 1
        if needs == "state" and not self._consumers["state"] and any(self._consumers.values()):
            self._behind, self.book = self.book, None

    @property
    def decoder(self) -> BatchDecoder[Any]:
        """See `FeedState`."""
        return self.decode_batch

    def decode_batch(self, frames: Sequence[bytes | str]) -> Sequence[FloatDiff | OrderBookDiff] | None:
        """Decode frames in the way that those who read the feed take them; as `decode_depth_batch`."""
        found = _decode_exactly(frames) if self._is_exact else decode_float_depth_batch(frames)
        if self._behind is not None:
            self._decoded = (found, frames)
        return found

    @property
    def _is_exact(self) -> bool:
        return bool(self._consumers["items"]) or isinstance(self.book, LocalBook)

    def batch_size(self) -> int:
        """See `FeedState`."""
        return _EXACT_BATCH if self._is_exact else BATCH_SIZE

    # To the feed, a `FloatDiff` is an `OrderBookDiff`. Streams that need each change exactly get none.
    def apply(self, items: Sequence[Depth | FloatDiff]) -> Sequence[Depth]:
        """See `FeedState`."""
        is_snapshot = isinstance(items[0], OrderBook)  # it is always the first item of a batch
        if self._may_have_floats:
            self._may_have_floats = is_snapshot or any(isinstance(item, FloatDiff) for item in items)
            items = [item.exact if isinstance(item, FloatDiff) else item for item in items]
        if self._consumers["state"]:
            if is_snapshot or self.book is not None:
                self.book = self._applied(self.book, items)
        elif not self.is_kept:
            pass
        elif isinstance(snapshot := items[0], OrderBook):
            self._restart(PackedBook(snapshot))
            self._kept.append(((), items[1:]))
            self._kept_count = len(items) - 1
        elif self._behind is not None:
            decoded, frames = self._decoded
            self._kept.append((frames, ()) if items is decoded else ((), items))
            self._decoded = (None, ())
            self._kept_count += len(items)
            self._window_count += len(items)
            if self._kept_count > (_FEW_KEPT if isinstance(self._behind, PackedBook) else _AT_ONCE):
                self.needs_upkeep = self._upkeep.is_affordable()
                if not self.needs_upkeep and self._kept_count > _MOST_KEPT:
                    self._restart(None)
        return cast("Sequence[Depth]", items)

    def _restart(self, book: PackedBook | FloatBook | LocalBook | None) -> None:
        """Keep the changes after this book, or nothing if there is none."""
        self._behind, self._kept, self._kept_count = book, [], 0
        self.needs_upkeep = False

    def keep_up(self) -> None:
        """Apply the changes that are kept.

        The book of a feed that is not busy is packed afterwards. The changes of a busy feed are applied a few at a
        time: many at once would delay the message that comes next.
        """
        if not self.needs_upkeep:
            return  # somebody came meanwhile, and all of them were applied
        upkeep = self._upkeep
        begin = upkeep.clock()
        book = self._catch_up()
        self._restart(book)
        if begin - self._window_began >= _WINDOW:
            if self._window_count < 2 * _FEW_KEPT and book is not None:
                self._behind = PackedBook(book.snapshot())
            self._window_began, self._window_count = begin, 0
        upkeep.spend(upkeep.clock() - begin)

    def _catch_up(self) -> FloatBook | LocalBook | None:
        """Return the book with the changes that are kept; None if it is not known."""
        behind = self._behind
        book = _book_of(behind.unpack()) if isinstance(behind, PackedBook) else behind
        for are_frames, kept in groupby(self._kept, key=lambda each: bool(each[0])):
            if are_frames:
                book = self._applied(book, _read([frame for frames, _ in kept for frame in frames]))
            else:
                for _, items in kept:
                    book = self._applied(book, items)
        return book

    def begin(self) -> Sequence[Depth] | None:
        """See `FeedState`."""
        book = self.book
        if book is None:
            book = self._catch_up()
            self._restart(book)
        return None if book is None else (book.snapshot(),)

    def begin_again(self, missed: Gap, *, is_live: bool) -> Sequence[Depth] | None:  # noqa: ARG002 - a book needs none
        """See `FeedState`."""
        return self.begin() if is_live else ()

    def restore(self, items: Sequence[Depth]) -> bool:
        """See `FeedState`."""
        if self.is_known:
            return False
        self.apply(items)
        return True

    def _applied(
        self, book: FloatBook | LocalBook | None, items: Sequence[Depth | FloatDiff]
    ) -> FloatBook | LocalBook | None:
        """Apply items to a book, a snapshot first, and return the book after them."""
        if type(book) is FloatBook and _KIND.issuperset(map(type, items)):
            book.apply(cast("Sequence[FloatDiff]", items))
            return book
        for item in items:
            if type(item) is FloatDiff and type(book) is FloatBook:
                book.apply([item])
            elif isinstance(item, OrderBook):
                book = LocalBook(item) if self._consumers["items"] else _book_of(item)
            elif isinstance(item, OrderBookDiff | FloatDiff):
                assert book is not None  # noqa: S101 - for the type checker: a snapshot comes first
                if isinstance(book, FloatBook):
                    book = LocalBook(book.snapshot())
                book.apply(item.exact if isinstance(item, FloatDiff) else item)
        return book


def _book_of(snapshot: OrderBook) -> FloatBook | LocalBook:
    return FloatBook(snapshot) if FloatBook.fits(snapshot) else LocalBook(snapshot)


def _decode_exactly(frames: Sequence[bytes | str]) -> Sequence[OrderBookDiff] | None:
    """Decode frames as `decode_depth_batch` does, also a single one."""
    if len(frames) != 1 or type(frames[0]) not in {bytes, str}:  # a bad message has a type of its own
        return decode_depth_batch(frames)
    try:
        return decode_depth_frame(frames[0])
    except DecodeError:
        return None  # the feed's frame decoder raises it again, and says why


def _read(frames: Sequence[bytes | str]) -> Sequence[FloatDiff | OrderBookDiff]:
    """Decode frames that have been decoded before."""
    found = decode_float_depth_batch(frames)
    return [diff for frame in frames for diff in decode_depth_frame(frame)] if found is None else found

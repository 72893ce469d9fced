"""Takes down what a client receives, as the entries of a tape: frames and answers as they came, and each loss."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar, Unpack

import attrs
import httpx
import trio

from tplus_trio.clients.base import CALL, BookOptions, ClientOptions
from tplus_trio.clients.market_data import MarketDataClient
from tplus_trio.codec import BatchDecoder
from tplus_trio.observer import Observer
from tplus_trio.streams.feed import Feed
from tplus_trio.streams.feed_state import FeedState
from tplus_trio.streams.opening import Opening
from tplus_trio.testing import TapeAnswer, TapeEntry, TapeFrame, TapeLoss
from tplus_trio.transport.pacing import Dispatch
from tplus_trio.transport.websocket import BadMessage

__all__ = ["Recorder", "RecordingClient"]

T = TypeVar("T")

#: Bytes that may wait to be written before the streams stop reading: more than a second of ten busy markets.
_MAX_WAITING: Final = 64 * 1024 * 1024


@attrs.define
class Counts:
    """What a recorder has taken down."""

    frames: int = 0
    answers: int = 0
    losses: int = 0


class Recorder(Observer):
    """Collects the entries of a tape until `take` hands them over. It observes the client that it records.

    Args:
        now_ns: Returns the time, in nanoseconds since the Unix epoch.
    """

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self.counts: Counts = Counts()
        self._now_ns = now_ns
        self._last_ns = 0
        self._lines: list[bytes] = []
        self._waiting = 0
        self._is_ordered = False
        self._taken = trio.lowlevel.ParkingLot()

    def take(self) -> bytes:
        """Return the lines that wait, and forget them."""
        lines = b"".join(self._lines)
        self._lines, self._waiting = [], 0
        self._taken.unpark_all()
        return lines

    async def wait_room(self) -> None:
        """Wait while more lines wait to be written than the memory should hold."""
        while self._waiting > _MAX_WAITING:
            await self._taken.park()

    @contextmanager
    def ordered(self) -> Generator[None]:
        """Take down no loss for a resync that is ordered within the context."""
        self._is_ordered = True
        try:
            yield
        finally:
            self._is_ordered = False

    def take_down(self, path: str, messages: Sequence[bytes | str]) -> None:
        """Take down messages of a feed as they were received. A binary or too long one has no text: it is a loss."""
        t_ns = self._time()
        for message in messages:
            if isinstance(message, BadMessage):
                self._lose(path, f"a message is {message.why}", connection=False)
                continue
            try:
                text = message if isinstance(message, str) else message.decode()
            except UnicodeDecodeError:
                self._lose(path, "a message is not UTF-8", connection=False)
                continue
            self.counts.frames += 1
            self._add(TapeFrame(t_ns, path, text))

    def take_down_answer(self, target: str, body: bytes) -> None:
        """Take down an answer to a GET request."""
        try:
            text = body.decode()
        except UnicodeDecodeError:
            return  # the client refuses it, and asks again
        self.counts.answers += 1
        self._add(TapeAnswer(self._time(), target, text))

    # What the client reports.

    def connection_lost(self, path: str, error: Exception | None) -> None:
        """Take down a lost connection, unless this program ended it."""
        if error is not None:
            self._lose(path, str(error), connection=True)

    def resync(self, path: str, reason: str) -> None:
        """Take down that something was missed over a connection that goes on."""
        if not self._is_ordered:
            self._lose(path, reason, connection=False)

    def _lose(self, path: str, reason: str, *, connection: bool) -> None:
        self.counts.losses += 1
        self._add(TapeLoss(self._time(), path, reason, connection))

    def _time(self) -> int:
        """The time now, or that of the last entry if the clock was set back: the times on a tape do not fall."""
        self._last_ns = max(self._last_ns, self._now_ns())
        return self._last_ns

    def _add(self, entry: TapeEntry) -> None:
        line = f"{entry.line()}\n".encode()
        self._lines.append(line)
        self._waiting += len(line)


class RecordingClient(MarketDataClient):
    """A client of the market data service whose streams and requests a recorder takes down, byte for byte.

    Args:
        recorder: The recorder.
        base_url: As for every client.
        options: As for every client, without ``observer``.
    """

    def __init__(self, recorder: Recorder, base_url: str, **options: Unpack[ClientOptions]) -> None:
        options["observer"] = recorder
        super().__init__(base_url, **options)
        self._recorder = recorder

    def _opening(self, feed: Feed[T], options: BookOptions, legal: type[BookOptions]) -> Opening[T]:
        opening = super()._opening(feed, options, legal)
        # Shared by nobody: what a consumer that joins late begins with is not needed, and would decode in its own way.
        decode = _recording(self._recorder, feed)
        return attrs.evolve(opening, feed=attrs.evolve(feed, decode_batch=decode, state=FeedState, sharing=None))

    async def _public(self, path: str, dispatch: Dispatch = CALL, /, **params: Any) -> bytes:
        body = await super()._public(path, dispatch, **params)
        given = {name: value for name, value in params.items() if value is not None}
        self._recorder.take_down_answer(f"{path}?{httpx.QueryParams(given)}" if given else path, body)
        return body


def _recording(recorder: Recorder, feed: Feed[Any]) -> BatchDecoder[Any]:
    """Return a decoder of batches that takes down each message first. A subscription passes it every message once."""

    def decode(messages: Sequence[bytes | str]) -> Sequence[Any] | None:
        recorder.take_down(feed.path, messages)
        return None if feed.decode_batch is None else feed.decode_batch(messages)

    return decode

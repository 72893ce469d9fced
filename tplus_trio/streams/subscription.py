"""A subscription: one feed over a session, made whole again by its recovery, and delivered to a sink."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Final, Generic, TypeVar

import attrs
import trio

from tplus_trio.codec import FrameDecoder
from tplus_trio.errors import DecodeError
from tplus_trio.log_events import LogEvent, log_event
from tplus_trio.models import Rows
from tplus_trio.scopes import ProtectedNursery
from tplus_trio.streams.counts import ConnectionCounts
from tplus_trio.streams.opening import Opening
from tplus_trio.streams.recovery import Recovery
from tplus_trio.streams.refetch import Refetcher, RefetchHost
from tplus_trio.streams.session import Session, SessionProtocol
from tplus_trio.streams.sink import Sink
from tplus_trio.streams.stats import ConsumerStatistics, FeedLag, StreamState, StreamStatistics
from tplus_trio.transport.silence import SilenceBound
from tplus_trio.transport.websocket import BadMessage, LongMessage, WebSocket

__all__ = ["MAX_HELD", "Subscription"]

_log = logging.getLogger("tplus_trio.streams")

T = TypeVar("T")

#: The fields of items in which the exchange says when it wrote them, in nanoseconds since the Unix epoch.
_TIMES: Final = ("timestamp_ns", "book_timestamp_ns", "update_timestamp_ns")

#: Items that a recovery may hold back before the subscription stops reading until REST has answered.
MAX_HELD: Final = 50_000
#: Bytes of the messages that brought these items, likewise.
_MAX_HELD_BYTES: Final = 16 * 1024 * 1024


class Subscription(SessionProtocol, Generic[T]):
    """Runs one feed from its first connection to its end.

    Items reach the sink in order, whichever task delivers them: every step that changes what the feed has delivered is
    synchronous.

    Args:
        opening: The feed, and how it is opened.
        sink: Takes the items.
    """

    # Twelve attributes: two are given, two are parts of the first, and eight are what it has to remember.
    def __init__(self, opening: Opening[T], sink: Sink[T]) -> None:
        feed, service = opening.feed, opening.service
        self.session: Session = Session(
            feed.path, restart=opening.restart, draw=opening.draw, observer=service.observer
        )
        #: Where connections, messages and losses are counted.
        self.stats: ConnectionCounts = ConnectionCounts()
        self._feed = feed
        self._service = service
        self._sink = sink
        # A user's own orders and trades do not wait for the floods of markets.
        turns = None if feed.private else opening.turns
        self._limits = attrs.evolve(opening.limits, silence=SilenceBound(), turns=turns)
        self._recovery = feed.recovery(service.now_ns, self.stats)
        self._recovery.on_gap = partial(service.observer.gap, feed.path)
        #: The nursery of the present attempt or connection.
        self._tasks: ProtectedNursery | None = None
        #: Asks REST for what the present attempt or connection needs.
        self._refetcher: Refetcher[T] | None = None
        self._logged_kinds: set[str] = set()
        #: The last item, and when it came, on trio's clock.
        self._latest: tuple[T, float] | None = None

    @property
    def silence(self) -> SilenceBound:
        """Where limits on the silence of the connection are set."""
        return self._limits.silence

    async def run(self) -> None:
        """Run until closed, cancelled, or failed for good. A failure is for the consumer and is not raised."""
        try:
            await self.session.run(self)
        finally:
            self._refetcher = self._tasks = None
            self._sink.close(self.session.failure or trio.ClosedResourceError("the stream was closed"))

    def resync(self, reason: str = "ordered") -> None:
        """Make the feed whole again over the connection that there is. Without one, the next one begins like that."""
        if self.session.may_resync() and self._refetcher is not None:
            self._refetcher.resync(reason)

    @property
    def tasks(self) -> ProtectedNursery:
        """The nursery of the connection. There is one as long as the session is live."""
        assert self._tasks is not None  # noqa: S101 - for the type checker
        return self._tasks

    def fork(self) -> Recovery[T] | None:
        """Copy the feed's recovery; None if what a resync delivers is of use to all consumers."""
        return self._recovery.fork(ConnectionCounts())

    def is_in_step(self, copy: Recovery[T]) -> bool:
        """Return whether a copy of the feed's recovery has delivered as much as the feed."""
        return self._recovery.is_in_step(copy)

    def refetcher(
        self, recovery: Recovery[T], sink: Sink[T], host: RefetchHost, start_soon: Callable[..., object]
    ) -> Refetcher[T]:
        """Make what asks REST for a recovery; see `Refetcher`."""
        return Refetcher(recovery, self._feed.fetch, self._service, sink, host, start_soon)

    def statistics(self, state: StreamState, consumer: ConsumerStatistics) -> StreamStatistics:
        """Return the counts of the connection as they are now, beside those of a consumer."""
        return StreamStatistics(
            path=self._feed.path,
            state=state,
            connection=self.stats.statistics(),
            consumer=consumer,
            lag=self._lag(),
        )

    def _lag(self) -> FeedLag | None:
        """Compare the time of the last item with its receipt."""
        if self._latest is None:
            return None
        item, received_at = self._latest
        time_ns = next((found for name in _TIMES if (found := getattr(item, name, None))), None)
        if time_ns is None:
            return None
        now_ns, offset = self._service.now_ns(), self._service.clock_offset()
        since = trio.current_time() - received_at
        lag = (now_ns - time_ns + (0 if offset is None else offset.offset_ns)) / 1e9 - since
        return FeedLag(seconds=lag, bound=None if offset is None else offset.bound_ns / 1e9)

    # What the session asks for.

    async def prepare(self, tasks: ProtectedNursery) -> None:
        """Ask REST in advance, if that helps."""
        if self.stats.connects:
            # The service may have moved, and the connections for REST may lead to its former address.
            await self._service.retire_connections()
        recovery = self._recovery
        self._tasks = tasks
        self._refetcher = self.refetcher(recovery, self._sink, self.session, tasks.start_soon)
        if recovery.eager and not self._service.is_scarce:
            self._refetcher.fetch_soon()

    def connect(self) -> AbstractAsyncContextManager[WebSocket]:
        """Open the feed's WebSocket."""
        feed = self._feed
        return self._service.websocket(feed.path, user=feed.user, required=feed.private, limits=self._limits)

    def lost(self, reason: str) -> None:
        """Let the recovery know that items may be missing."""
        self._refetcher = None
        self._recovery.lost(reason)

    async def wait_until_back(self) -> None:
        """Wait until another stream of the client has connected."""
        await self._service.wait_until_back()

    async def serve(self, websocket: WebSocket) -> None:
        """Deliver what a connection brings, for as long as it lasts."""
        stats, recovery, put = self.stats, self._recovery, self._sink.put
        decode, decode_batch, batch_size = self._feed.decode, self._feed.decode_batch, self._feed.batch_size
        refetcher = self._refetcher
        assert refetcher is not None  # noqa: S101 - for the type checker: `prepare` made it
        follow_up = refetcher.follow_up
        stats.connects += 1
        await self._deliver(recovery.subscribed(), refetcher)
        counted = 0
        held_from = stats.bytes
        while True:
            frames = await websocket.receive(batch_size())
            received = websocket.bytes_received
            stats.messages += len(frames)
            stats.bytes += received - counted
            counted = received
            stats.last_message_at = now = trio.current_time()
            batch = None if decode_batch is None else decode_batch(frames)
            decoded: list[T] = []
            for frame in frames if batch is None else ():
                try:
                    _decode_into(decoded, frame, decode)
                except DecodeError as exc:
                    await self._deliver(recovery.receive(decoded), refetcher)
                    decoded = []
                    websocket.reset_idle_timer()
                    self._count_malformed(exc)
                    if not isinstance(frame, LongMessage):  # over which the connection ends: that is a hole already
                        refetcher.hole("a frame could not be decoded")
            if latest := batch or decoded:
                self._latest = (latest[-1], now)
                websocket.reset_idle_timer()
            # As `_deliver`, without a coroutine for each batch.
            arrived = decoded if batch is None else batch
            if len(arrived) == len(frames):  # of a feed of changes, each message has one
                items = recovery.receive_frames(arrived, frames)
            else:
                items = recovery.receive(arrived)
            follow_up()
            if items:
                await put(items)
            if not (held := recovery.held):
                held_from = stats.bytes
            # While the next frames are awaited, these keep nothing alive.
            frames, batch, decoded, arrived, latest, items = (), None, [], (), (), ()
            while held > MAX_HELD or (held and stats.bytes - held_from > _MAX_HELD_BYTES):
                await refetcher.wait_answered()
                held = recovery.held

    async def _deliver(self, items: Sequence[T], refetcher: Refetcher[T]) -> None:
        """Deliver what a recovery returned, and do what it wants now.

        There is no checkpoint before the sink takes the items, so no other task can deliver between.
        """
        refetcher.follow_up()
        if items:
            await self._sink.put(items)

    def _count_malformed(self, error: DecodeError) -> None:
        """Count a frame that could not be decoded, and log the first one of its kind."""
        self.stats.malformed += 1
        kind = str(error).split(":", 1)[0]
        if kind not in self._logged_kinds:
            self._logged_kinds.add(kind)
            text = self._service.redactor.text(str(error))
            log_event(
                _log,
                logging.WARNING,
                LogEvent.FRAME_MALFORMED,
                "%s: a frame is %s (counted in stats.malformed; logged once)",
                self._feed.path,
                text,
                path=self._feed.path,
                error=text,
            )


def _decode_into(items: list[T], frame: bytes | str | BadMessage, decode: FrameDecoder[T]) -> None:
    """Add the items of a frame.

    Raises:
        DecodeError: the frame is bad, or some of its items are; the good items were added.
    """
    if isinstance(frame, BadMessage):
        raise DecodeError(frame.why)
    decoded = decode(frame)
    items += decoded
    if isinstance(decoded, Rows) and decoded.bad:
        raise DecodeError(decoded.bad[0].reason)

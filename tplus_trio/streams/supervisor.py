"""The task behind a stream: it connects, reads, recovers what was missed, and starts again after a failure."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Final, Generic, Protocol, TypeVar

import attrs
import trio

from tplus_trio.codec import FrameDecoder
from tplus_trio.errors import ConnectionFailed, DecodeError, TplusError
from tplus_trio.models import Rows
from tplus_trio.scopes import ProtectedNursery, open_plain_nursery
from tplus_trio.service import Service
from tplus_trio.streams.counts import ConnectionCounts
from tplus_trio.streams.decode_limiter import DecodeLimiter
from tplus_trio.streams.feed import Feed
from tplus_trio.streams.outage import Outage
from tplus_trio.streams.patience import PATIENT, Patience, Spacing
from tplus_trio.streams.policy import RestartPolicy, Restarts
from tplus_trio.streams.stats import ConsumerStatistics, StreamState, StreamStatistics
from tplus_trio.transport.pacing import Dispatch, Priority
from tplus_trio.transport.websocket import BadMessage, LongMessage, WebSocket, WebSocketLimits

__all__ = ["Sink", "Supervisor"]

_log = logging.getLogger("tplus_trio.streams")

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)

#: How many items a recovery may hold back before reading stops until REST has answered.
_MAX_HELD: Final = 50_000
#: And how many bytes may have brought them.
_MAX_HELD_BYTES: Final = 16 * 1024 * 1024


class Sink(Protocol[T_contra]):
    """Where a supervisor delivers: a stream's buffer, or a book."""

    async def put(self, items: Sequence[T_contra]) -> None:
        """Take items at once, and wait until there is room for more."""
        ...

    def put_nowait(self, items: Sequence[T_contra]) -> None:
        """Take items at once, however many there are already."""
        ...

    def close(self, error: Exception) -> None:
        """Take no more; ``error`` says why."""
        ...

    def statistics(self) -> ConsumerStatistics:
        """Return the consumer's counts as they are now."""
        ...


class Supervisor(Generic[T]):
    """Runs one feed from its first connection to its end, in one task of the stream's nursery.

    What comes is put into the sink in order: every step that changes what the feed has delivered (`_deliver`) is
    synchronous, however many tasks take part.
    """

    def __init__(
        self,
        feed: Feed[T],
        service: Service,
        sink: Sink[T],
        decode_limiter: DecodeLimiter,
        *,
        restart: RestartPolicy | None,
        limits: WebSocketLimits,
        stats: ConnectionCounts,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._feed = feed
        self._service = service
        self._sink = sink
        self._decode_limiter = decode_limiter
        self._limits = attrs.evolve(limits, batch_size=feed.batch_size)
        self._restarts = Restarts(restart, draw)
        self._outage = Outage(feed.path)
        self._recovery = feed.recovery(service.now_ns, stats)
        self._scope = trio.CancelScope()
        #: Around the reading of an open connection, or the wait before the next.
        self._step: trio.CancelScope | None = None
        self._connection: ProtectedNursery | None = None
        self._subscribed = False
        self._stopping = False
        self._fetching = False
        self._side_failure: Exception | None = None
        self._draw = draw
        self._spacing = Spacing()
        #: The recovery's generation for which `_expire` waits.
        self._holding: int | None = None
        self._answered = trio.lowlevel.ParkingLot()
        self._changed = trio.Event()
        self._complained: set[str] = set()
        self.state: StreamState = StreamState.CONNECTING
        self.stats: ConnectionCounts = stats
        self.failure: Exception | None = None
        self._trace: TracebackType | None = None
        self.done: trio.Event = trio.Event()

    @property
    def path(self) -> str:
        """The feed's path."""
        return self._feed.path

    @property
    def last_error(self) -> Exception | None:
        """The failure that the present outage began with, or the one that ended the stream; None if there is none."""
        return self.failure or self._outage.cause

    def statistics(self) -> StreamStatistics:
        """Return the counts of the connection and of the consumer as they are now."""
        return StreamStatistics(
            path=self.path, state=self.state, connection=self.stats.statistics(), consumer=self._sink.statistics()
        )

    # What an owner may order.

    def forgo(self) -> None:
        """Be closed without having run."""
        self._end(None)

    def abandon(self) -> None:
        """End at once."""
        self._scope.cancel()

    @property
    def _is_ending(self) -> bool:
        """Whether orders come too late."""
        return self._stopping or self._scope.cancel_called or self.state is StreamState.CLOSED

    async def close(self) -> None:
        """End in order, with a close frame where there is a connection. Cancelled, it ends at once."""
        self._stopping = True
        if self._step is not None:
            self._step.cancel()
        else:
            self._scope.cancel()
        try:
            await self.done.wait()
        except BaseException:  # cancelled, or interrupted
            self.abandon()
            raise

    def reconnect(self) -> None:
        """Connect anew, at once, whatever is under way. On a stream that ends or has ended, nothing happens."""
        if self._is_ending:
            return
        if self._step is not None:
            self._step.cancel()
            # Said now, so that whoever waits to be live again from here on waits for the new connection.
            self._subscribed = False
            self._set_state(StreamState.CONNECTING)
        elif self._connection is not None:
            # An attempt that is under way, perhaps to where nobody answers, or a connection that is being closed.
            self._connection.cancel_scope.cancel()

    def resync(self, reason: str = "ordered") -> None:
        """Make the feed whole again over the connection that there is; without one, that happens anyway."""
        if self._subscribed and not self._is_ending:
            self._spacing.reset()
            try:
                self._hole(reason)
            except TplusError as exc:
                # The buffer is full, for the gap too. That is for whoever iterates, and not for whoever gave the order.
                self._break_off(exc)

    async def wait_for(self, state: StreamState) -> None:
        """Wait for a state.

        Raises:
            TplusError: the stream failed for good.
            trio.ClosedResourceError: it was closed.
        """
        await trio.lowlevel.checkpoint()
        while self.state is not state:
            if self.state is StreamState.CLOSED:
                if self.failure is None:
                    msg = "the stream was closed"
                    raise trio.ClosedResourceError(msg)
                # Each time from the same point: it would grow by the frames of everyone who waited before.
                raise self.failure.with_traceback(self._trace)
            await self._changed.wait()

    # The life of the stream.

    async def run(self) -> None:
        """Run until closed, cancelled, or failed for good. The failure is for the consumer: nothing is raised."""
        try:
            with self._scope:
                await self._supervise()
        except Exception as exc:  # noqa: BLE001 - it is raised where the items are awaited
            self.failure, self._trace = exc, exc.__traceback__
            self._outage.ended_for_good(exc)
        finally:
            self._subscribed = False
            self._end(self.failure)

    def _end(self, failure: Exception | None) -> None:
        self._set_state(StreamState.CLOSED)
        self._sink.close(failure or trio.ClosedResourceError("the stream was closed"))
        self.done.set()

    async def _supervise(self) -> None:
        while not self._stopping:
            self._set_state(StreamState.CONNECTING)
            was_lost = False
            try:
                await self._connect()
                reason, delay = "a new connection was ordered", 0.0
            except Exception as exc:  # noqa: BLE001 - the policy raises it again unless it passes
                delay = self._restarts.failed(exc, trio.current_time())
                was_lost = isinstance(exc, ConnectionFailed) and exc.close_code is None
                reason = str(exc)
                self._outage.failed(exc, delay, trio.current_time())
            if self._stopping:
                return
            self._recovery.lost(reason)
            if delay:
                self._set_state(StreamState.BACKOFF)
                try:
                    with trio.CancelScope() as self._step:
                        await self._pause(delay, was_lost=was_lost)
                finally:
                    self._step = None

    async def _pause(self, delay: float, *, was_lost: bool) -> None:
        """Wait before the next attempt: less, where another stream shows that the service is back."""
        with trio.move_on_after(delay) as scope:
            if not was_lost:
                await trio.sleep_forever()
            await self._service.wait_until_back()
        if not scope.cancelled_caught:
            await trio.sleep(self._restarts.spread(scope.deadline - trio.current_time()))

    async def _connect(self) -> None:
        """Connect, and deliver until ordered to stop.

        Raises:
            TplusError: the connection, or what was asked of REST, failed.
        """
        feed, recovery = self._feed, self._recovery
        self._side_failure = None
        if self.stats.connects:
            # The service may have moved, and the connections for REST may lead to where it was.
            await self._service.retire_connections()
        self._holding = None
        self._spacing.reset()
        try:
            async with open_plain_nursery() as self._connection:
                if recovery.eager and not self._service.is_scarce:
                    self._fetch_soon()
                async with self._service.websocket(
                    feed.path, user=feed.user, required=feed.private, limits=self._limits
                ) as websocket:
                    self.stats.connects += 1
                    try:
                        with trio.CancelScope() as self._step:
                            self._subscribed = True
                            await self._deliver(recovery.subscribed())
                            await self._read(websocket)
                    finally:
                        # Said before the connection is closed, which may take its time.
                        self._step = None
                        self._subscribed = False
                        self._set_state(StreamState.CONNECTING)
        finally:
            self._connection = None
        if self._side_failure is not None:
            raise self._side_failure

    async def _read(self, websocket: WebSocket) -> None:
        """Deliver what a connection brings, for as long as it lasts."""
        stats, recovery, limiter = self.stats, self._recovery, self._decode_limiter
        decode, decode_batch = self._feed.decode, self._feed.decode_batch
        counted = 0
        held_from = stats.bytes
        while True:
            frames = await websocket.receive()
            if limiter.is_saturated:
                await limiter.wait()
            received = websocket.bytes_received
            stats.messages += len(frames)
            stats.bytes += received - counted
            counted = received
            stats.last_message_at = trio.current_time()
            batch = None if decode_batch is None else decode_batch(frames)
            items: list[T] = []
            for frame in frames if batch is None else ():
                try:
                    _decode_into(items, frame, decode)
                except DecodeError as exc:
                    await self._deliver(recovery.receive(items))
                    items = []
                    websocket.reset_idle_timer()
                    self._malformed(exc)
                    if not isinstance(frame, LongMessage):  # over which the connection ends: that is a hole already
                        self._hole("a frame could not be decoded")
            if batch or items:
                websocket.reset_idle_timer()
            await self._deliver(recovery.receive(items if batch is None else batch))
            if not (held := recovery.held):
                held_from = stats.bytes
            while held > _MAX_HELD or (held and stats.bytes - held_from > _MAX_HELD_BYTES):
                await self._answered.park()
                held = recovery.held

    async def _deliver(self, items: Sequence[T]) -> None:
        """Hand over items, and see to what the recovery wants now."""
        self._after_step()
        if items:
            await self._sink.put(items)

    def _after_step(self) -> None:
        if not self._subscribed:
            return
        if self._recovery.pending_request is not None:
            self._fetch_soon()
        if self._recovery.hold_timeout is not None:
            self._expire_soon(self._recovery.hold_timeout)
        if not self._recovery.synced:
            self._set_state(StreamState.SYNCING)
        elif self.state is not StreamState.LIVE:
            self._restarts.live(trio.current_time())
            self._outage.over(trio.current_time())
            self._set_state(StreamState.LIVE)

    def _malformed(self, error: DecodeError) -> None:
        self.stats.malformed += 1
        kind = str(error).split(":", 1)[0]
        if kind not in self._complained:
            self._complained.add(kind)
            said = self._service.redactor.text(str(error))
            _log.warning("%s: a frame is %s (counted in stats.malformed; logged once)", self._feed.path, said)

    def _hole(self, reason: str) -> None:
        """Something was missed over a connection that goes on."""
        self._sink.put_nowait(self._recovery.hole(reason))
        self._after_step()

    def _break_off(self, failure: Exception) -> None:
        """End the connection; the failure is raised where it is read."""
        self._side_failure = failure
        if self._connection is not None:
            self._connection.cancel_scope.cancel()

    def _set_state(self, state: StreamState) -> None:
        if state is not self.state and self.state is not StreamState.CLOSED:
            self.state = state
            changed, self._changed = self._changed, trio.Event()
            changed.set()

    # Asking REST.

    def _fetch_soon(self) -> None:
        if not self._fetching and self._connection is not None and self._recovery.pending_request is not None:
            self._fetching = True
            self._connection.start_soon(self._fetch)

    async def _fetch(self) -> None:
        """Ask REST until the recovery wants nothing more, or cannot be helped."""
        try:
            await self._ask()
        except Exception as exc:  # noqa: BLE001 - it is raised where the connection is read
            self._break_off(exc)
        finally:
            self._fetching = False

    async def _ask(self) -> None:
        recovery, patience = self._recovery, Patience()
        if self._subscribed and not recovery.urgent:
            await trio.sleep(self._spacing.begin(trio.current_time()) * self._jitter())
        while (page := recovery.pending_request) is not None:
            delay, early = await self._ask_for(page, patience)
            if early and not self._subscribed:
                return
            self._spacing.end(trio.current_time())
            await trio.sleep(delay)

    async def _ask_for(self, page: int, patience: Patience) -> tuple[float, bool]:
        """Ask for a page and use the answer.

        Returns:
            The seconds to wait before the next request, and whether this one was sent before the subscription stood.

        Raises:
            TplusError: the request failed for good, or no answer fits what the connection brought.
        """
        recovery, fetch = self._recovery, self._feed.fetch
        assert fetch is not None  # noqa: S101 - for the type checker: a recovery that asks comes with it
        # A request that had to wait for its turn may be sent when the subscription stands.
        early = True

        def sent() -> None:
            nonlocal early
            early = not self._subscribed

        generation = recovery.generation
        priority = Priority.CONFIRMATION if recovery.urgent else Priority.RECOVERY
        try:
            answer: Any = await fetch(page, Dispatch(priority, sent))
        except TplusError as exc:
            if recovery.is_optional:
                recovery.do_without()
                return 0.0, False
            # Of a service that is gone the attempt to connect tells as well, and it counts once.
            while not self._subscribed:
                await self._changed.wait()
            delay = self._restarts.failed(exc, trio.current_time())
            self._outage.failed(exc, delay, trio.current_time())
            return delay, False
        wanted = recovery.generation == generation
        items = recovery.answer(page, answer, early=early) if wanted else ()
        useful = wanted and (bool(items) or recovery.pending_request != page)
        if wanted:
            self._answered.unpark_all()
            self._after_step()
            # A consumer that is slow stops the reading, not this: a live item may be held for the next answer.
            self._sink.put_nowait(items)
        patience.count(useful=useful, rejected=wanted and not early and not recovery.counts_reads)
        if wanted and not useful and not early:
            # The connection may lead to where the service no longer is.
            await self._service.retire_connections()
        delay = 0.0
        if wanted and recovery.retry_after:
            delay = recovery.retry_after * self._jitter()
        elif patience.useless > PATIENT:
            delay = self._restarts.jitter(patience.useless - PATIENT)
        return delay, early

    def _jitter(self) -> float:
        """A factor for delays that must not come to nothing."""
        return 0.75 + 0.25 * self._draw()

    def _expire_soon(self, timeout: float) -> None:
        """See to it that the recovery holds items back no longer than it may."""
        if self._holding != self._recovery.generation and self._connection is not None:
            self._holding = self._recovery.generation
            self._connection.start_soon(self._expire, timeout, self._holding)

    async def _expire(self, timeout: float, generation: int) -> None:
        await trio.sleep(timeout)
        if self._recovery.generation == generation and self._subscribed:
            try:
                items = self._recovery.expire()
                self._answered.unpark_all()
                await self._deliver(items)
            except TplusError as exc:
                self._break_off(exc)  # the buffer is full: it is raised where the connection is read


def _decode_into(items: list[T], frame: bytes | str | BadMessage, decode: FrameDecoder[T]) -> None:
    """Add the items of a frame.

    Raises:
        DecodeError: the frame is bad, or some of its items are: those that are good were added.
    """
    if isinstance(frame, BadMessage):
        raise DecodeError(frame.why)
    decoded = decode(frame)
    items += decoded
    if isinstance(decoded, Rows) and decoded.bad:
        raise DecodeError(decoded.bad[0].reason)

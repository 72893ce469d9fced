"""What one connection of a feed asks of REST: the pages that its recovery needs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Generic, Protocol, TypeVar

import trio

from tplus_trio.errors import TplusError
from tplus_trio.service import Service
from tplus_trio.streams.lifecycle import Phase
from tplus_trio.streams.patience import PATIENT, Patience, Spacing
from tplus_trio.streams.policy import Restarts
from tplus_trio.streams.recovery import Recovery
from tplus_trio.streams.sink import Sink
from tplus_trio.transport.pacing import Dispatch, Priority

__all__ = ["RefetchHost", "Refetcher"]

T = TypeVar("T")


class RefetchHost(Protocol):
    """For whom a refetcher works: the session of a feed, or one consumer of it."""

    @property
    def restarts(self) -> Restarts:
        """Draws delays."""
        ...

    @property
    def phase(self) -> Phase:
        """Where it is in its life."""
        ...

    @property
    def is_open(self) -> bool:
        """Whether there is a connection."""
        ...

    async def wait_open(self) -> None:
        """Wait until there is a connection."""

    def report_caught_up(self) -> None:
        """Note that nothing is missing."""

    def report_hole(self, reason: str) -> None:
        """Note that something was missed."""

    def give_up_connection(self, failure: Exception) -> None:
        """Note that a request failed for good."""

    def count_failure(self, failure: Exception) -> float:
        """Count a failure; return the delay before the next request, in seconds, or raise it if there is none."""
        ...


class Refetcher(Generic[T]):
    """Does for a recovery, during one connection, what the recovery cannot do itself: ask REST, and watch the clock.

    Its tasks are those of the connection and end with it. Every step that changes what the feed has delivered is
    synchronous: the recovery takes an answer and the sink takes its items without a checkpoint between.

    Args:
        recovery: The feed's recovery.
        fetch: Asks REST for a page; None if the recovery never needs one.
        service: The service that is asked.
        sink: Takes the items.
        session: Learns whether the recovery has caught up, and of failures.
        start_soon: Starts a task that ends with the connection.
    """

    def __init__(
        self,
        recovery: Recovery[T],
        fetch: Callable[[int, Dispatch], Awaitable[Any]] | None,
        service: Service,
        sink: Sink[T],
        session: RefetchHost,
        start_soon: Callable[..., object],
    ) -> None:
        self._recovery = recovery
        self._fetch = fetch
        self._service = service
        self._sink = sink
        self._session = session
        self._start_soon = start_soon
        self._spacing = Spacing()
        self._is_fetching = False
        #: The recovery's generation for which `_expire` waits.
        self._expiring: int | None = None
        #: Where the reader waits for the next answer while too many items are held back.
        self._answered = trio.lowlevel.ParkingLot()

    async def wait_answered(self) -> None:
        """Wait until the recovery has taken an answer, or has stopped waiting for one."""
        await self._answered.park()

    def follow_up(self) -> None:
        """Do what the recovery wants after a step, and report whether it has caught up."""
        session, recovery = self._session, self._recovery
        phase = session.phase
        if phase is not Phase.LIVE and phase is not Phase.SYNCING:
            return
        if recovery.pending_request is not None:
            self.fetch_soon()
        if recovery.hold_timeout is not None:
            self._expire_soon(recovery.hold_timeout)
        if not recovery.synced:
            if phase is Phase.LIVE:
                session.report_hole(recovery.loss_reason)
        elif phase is not Phase.LIVE:
            session.report_caught_up()

    def hole(self, reason: str) -> None:
        """Something was missed over a connection that lasts."""
        self._sink.put_nowait(self._recovery.hole(reason))
        self.follow_up()

    def resync(self, reason: str) -> None:
        """Make the feed whole again, by order of the user or of a full buffer: the next request is not delayed."""
        self._spacing.reset()
        try:
            self.hole(reason)
        except TplusError as exc:
            # The buffer is full, for the gap too. The iteration raises that, not the call of `resync`.
            self._session.give_up_connection(exc)

    def fetch_soon(self) -> None:
        """Ask REST for what the recovery needs, unless that is under way."""
        if not self._is_fetching and self._recovery.pending_request is not None:
            self._is_fetching = True
            self._start_soon(self._run)

    async def _run(self) -> None:
        """Ask REST until the recovery needs nothing more, or cannot be helped."""
        try:
            await self._ask()
        except Exception as exc:  # noqa: BLE001 - it is raised where the connection is read
            self._session.give_up_connection(exc)
        finally:
            self._is_fetching = False

    async def _ask(self) -> None:
        recovery, session, patience = self._recovery, self._session, Patience()
        if session.is_open and not recovery.urgent:
            await trio.sleep(self._spacing.begin(trio.current_time()) * session.restarts.shortened())
        while (page := recovery.pending_request) is not None:
            delay, early = await self._ask_for(page, patience)
            if early and not session.is_open:
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
        recovery, session, fetch = self._recovery, self._session, self._fetch
        assert fetch is not None  # noqa: S101 - for the type checker: a recovery that asks comes with it
        # A request that waits in a queue may be sent only when the subscription stands.
        early = True

        def sent() -> None:
            nonlocal early
            early = not session.is_open

        generation = recovery.generation
        priority = Priority.CONFIRMATION if recovery.urgent else Priority.RECOVERY
        try:
            answer: Any = await fetch(page, Dispatch(priority, sent))
        except TplusError as exc:
            if recovery.is_optional:
                recovery.do_without()
                return 0.0, False
            # If the service is gone, the attempt to connect fails too. That failure is the one that counts.
            await session.wait_open()
            return session.count_failure(exc), False
        wanted = recovery.generation == generation
        items = recovery.answer(page, answer, early=early) if wanted else ()
        useful = wanted and (bool(items) or recovery.pending_request != page)
        if wanted:
            self._answered.unpark_all()
            self.follow_up()
            # A slow consumer stops the reading, not this: a live item may be held back for the next answer.
            self._sink.put_nowait(items)
        patience.count(useful=useful, rejected=wanted and not early and not recovery.counts_reads)
        if wanted and not useful and not early:
            # The connection for REST may lead to an address that the service has left.
            await self._service.retire_connections()
        delay = 0.0
        if wanted and recovery.retry_after:
            delay = recovery.retry_after * session.restarts.shortened()
        elif patience.useless > PATIENT:
            delay = session.restarts.jitter(patience.useless - PATIENT)
        return delay, early

    def _expire_soon(self, timeout: float) -> None:
        """Bound the time, in seconds, for which the recovery holds items back."""
        if self._expiring != self._recovery.generation:
            self._expiring = self._recovery.generation
            self._start_soon(self._expire, timeout, self._expiring)

    async def _expire(self, timeout: float, generation: int) -> None:
        await trio.sleep(timeout)
        if self._recovery.generation == generation and self._session.is_open:
            try:
                items = self._recovery.expire()
                self._answered.unpark_all()
                self.follow_up()
                if items:
                    await self._sink.put(items)
            except TplusError as exc:
                self._session.give_up_connection(exc)  # the buffer is full: it is raised where the connection is read

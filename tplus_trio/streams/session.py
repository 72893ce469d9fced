"""A WebSocket session: it connects, serves each connection with a protocol, and connects again after a failure.

It is for any protocol over a WebSocket. A feed is one (`streams.subscription`); a channel of requests and answers is
another. What a session does in which phase is the table in `streams.lifecycle`.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Final

import trio

from tplus_trio.errors import ConnectionFailed
from tplus_trio.observer import Observer
from tplus_trio.scopes import ProtectedNursery, open_plain_nursery
from tplus_trio.streams.lifecycle import Action, Phase, Trigger, transition
from tplus_trio.streams.outage import Outage
from tplus_trio.streams.phased import Phased
from tplus_trio.streams.policy import RestartPolicy, Restarts
from tplus_trio.transport.websocket import WebSocket

__all__ = ["Session", "SessionProtocol"]


#: Why a session is no longer live if no failure ended that.
_STOPPED: Final = "the stream was closed"


class SessionProtocol(ABC):
    """What a session does with its connections. One connection after the other, never two at once."""

    @abstractmethod
    def connect(self) -> AbstractAsyncContextManager[WebSocket]:
        """Open a connection, which is closed when the context is left.

        Raises:
            TplusError: on entering, if it could not be opened.
        """

    @abstractmethod
    async def serve(self, websocket: WebSocket) -> None:
        """Do the protocol's work on a connection until it is lost.

        The session's phase is SYNCING at first; call `Session.report_caught_up` when nothing is missing. A protocol
        without such a thing calls it at once. The session cancels `serve` when it closes or reconnects. If `serve`
        returns by itself, that counts as a failure that passes.

        Raises:
            TplusError: the connection was lost, or failed. The restart policy decides what follows.
        """

    async def prepare(self, tasks: ProtectedNursery) -> None:  # noqa: B027 - few protocols need it
        """Prepare an attempt to connect. By default, nothing.

        Args:
            tasks: For tasks beside `serve`. They are cancelled when the attempt or its connection ends.
        """

    def lost(self, reason: str) -> None:  # noqa: B027 - few protocols need it
        """Note that a connection or an attempt is over and another one follows. By default, nothing."""

    async def wait_until_back(self) -> None:
        """Wait for a sign that the service can be reached again, after a connection was lost. By default, forever.

        It ends a backoff early.
        """
        await trio.sleep_forever()


class Session(Phased):
    """Keeps one WebSocket connection for a protocol, from `start` to `close`.

    `run` is the session's task. All other methods may be called by any task, in any phase.

    Args:
        name: The name of the session in log lines: its path.
        restart: When to connect again after a failure; None means never.
        draw: Draws from [0, 1) for delays.
        observer: Its methods are called for connections, restarts and resynchronisations.
    """

    # Twelve attributes: three are scopes that the table's actions cancel, and four are those of `Phased`.
    def __init__(
        self,
        name: str,
        *,
        restart: RestartPolicy | None,
        draw: Callable[[], float] = random.random,
        observer: Observer | None = None,
    ) -> None:
        super().__init__()
        self._observer = observer or Observer()
        self.restarts: Restarts = Restarts(restart, draw)
        #: Called in the step in which the phase changes, with the reason for a loss.
        self.on_change: Callable[[str], object] | None = None
        self._outage = Outage(name)
        # What the table's actions cancel: everything, a connection with its tasks, and serving it or waiting.
        self._run_scope = trio.CancelScope()
        self._connection: ProtectedNursery | None = None
        self._step: trio.CancelScope | None = None
        #: The failure of a task beside `serve`, over which the connection was given up.
        self._task_failure: Exception | None = None

    # What there is to see.

    @property
    def name(self) -> str:
        """The name of the session in log lines."""
        return self._outage.name

    @property
    def _is_closing(self) -> bool:
        return self.phase is Phase.CLOSING or self.phase is Phase.CANCELLING

    @property
    def last_error(self) -> Exception | None:
        """The failure that the present outage began with, or the one that ended the session; None if there is none."""
        return self.failure or self._outage.cause

    # Orders of the owner.

    def start(self) -> None:
        """Note that a task for `run` has been scheduled: from now on `close` waits for that task."""
        self._apply(Trigger.START)

    def close_unstarted(self) -> bool:
        """Close a session that was not started; return whether that closed it."""
        return self._apply(Trigger.CLOSE_UNSTARTED) is Action.END

    def cancel(self) -> None:
        """End at once, without a close frame."""
        self._apply(Trigger.CANCEL)

    async def close(self) -> None:
        """End in order, with a close frame if there is a connection, and wait for the end.

        If this is cancelled, the session ends at once.
        """
        self._apply(Trigger.CLOSE)
        try:
            await self.wait_closed()
        except BaseException:  # cancelled, or interrupted
            self.cancel()
            raise

    def reconnect(self) -> None:
        """Connect again at once. Nothing happens before `start`, and after `close`, `cancel` or the end."""
        self._apply(Trigger.RECONNECT, "a new connection was ordered")

    def may_resync(self) -> bool:
        """Return whether an order to resynchronise has an effect now."""
        return self._apply(Trigger.RESYNC) is Action.RESYNC

    # Reports of the protocol.

    def report_caught_up(self) -> None:
        """The protocol has caught up: nothing is missing over this connection."""
        self._apply(Trigger.CAUGHT_UP)
        if self.phase is Phase.LIVE:
            now = trio.current_time()
            self.restarts.live(now)
            self._outage.over(now)

    def report_hole(self, reason: str) -> None:
        """Something was missed over a connection that lasts."""
        self._observer.resync(self.name, reason)
        self._apply(Trigger.HOLE, reason)

    def give_up_connection(self, failure: Exception) -> None:
        """End the connection because a task beside `serve` failed. The restart policy decides what follows."""
        self._task_failure = failure
        self._apply(Trigger.TASK_FAILED, str(failure))

    def count_failure(self, failure: Exception) -> float:
        """Count and log a failure; return the delay before the next attempt, in seconds.

        Raises:
            Exception: ``failure`` itself, if it will not pass or the policy allows no restart.
            RestartLimitExceeded: the policy allows no more attempts.
        """
        now = trio.current_time()
        delay = self.restarts.failed(failure, now)
        self._outage.failed(failure, delay, now)
        return delay

    # The life.

    async def run(self, protocol: SessionProtocol) -> None:
        """Run until closed, cancelled, or failed for good. A failure is kept for the consumer and not raised.

        The session does not keep the protocol, which may hold the session.
        """
        self.start()
        try:
            with self._run_scope:
                await self._keep_connected(protocol)
        except Exception as exc:  # noqa: BLE001 - it is raised where the items are awaited
            self._fail(exc)
            self._outage.ended_for_good(exc)
            self._apply(Trigger.FAILED_FOR_GOOD)
        finally:
            self._apply(Trigger.FINISHED)

    async def _keep_connected(self, protocol: SessionProtocol) -> None:
        while self.phase is Phase.CONNECTING:
            was_lost = False
            try:
                await self._connect(protocol)
                reason, delay = "a new connection was ordered", 0.0
            except Exception as exc:  # noqa: BLE001 - the policy raises it again unless it passes
                delay = self.count_failure(exc)
                self._observer.restart(self.name, exc, delay)
                was_lost = isinstance(exc, ConnectionFailed) and exc.close_code is None
                reason = str(exc)
            if self._is_closing:
                return
            protocol.lost(reason)
            if delay:
                self._apply(Trigger.RETRY_LATER)
                await self._back_off(protocol, delay, was_lost=was_lost)
            else:
                self._apply(Trigger.RETRY_NOW)

    async def _connect(self, protocol: SessionProtocol) -> None:
        """Connect, and let the protocol serve the connection until it is lost or serving is stopped.

        Raises:
            TplusError: the connection, or a task beside it, failed.
        """
        self._task_failure = None
        began = trio.current_time()
        try:
            async with open_plain_nursery() as self._connection:
                await protocol.prepare(self._connection)
                async with protocol.connect() as websocket:
                    self._observer.connection_opened(self.name, trio.current_time() - began)
                    reason, failure = _STOPPED, None
                    try:
                        with trio.CancelScope() as self._step:
                            self._apply(Trigger.CONNECTED)
                            await protocol.serve(websocket)
                            self._check_stopped()
                    except Exception as exc:
                        reason, failure = str(exc), exc
                        raise
                    finally:
                        self._observer.connection_lost(self.name, failure or self._task_failure)
                        failure = None  # whose traceback leads to this frame
                        # Before the connection is closed, which may take until the close timeout.
                        self._step = None
                        self._apply(Trigger.CONNECTION_LOST, reason)
        finally:
            self._connection = None
        if self._task_failure is not None:
            failure, self._task_failure = self._task_failure, None
            try:
                raise failure
            finally:
                del failure  # whose traceback leads to this frame

    def _check_stopped(self) -> None:
        """Raise ConnectionFailed if the protocol stopped serving by itself."""
        if self.is_open:
            msg = "the connection was given up by its protocol"
            raise ConnectionFailed(msg)

    async def _back_off(self, protocol: SessionProtocol, delay: float, *, was_lost: bool) -> None:
        """Wait before the next attempt; less than ``delay`` if the service proves to be back."""
        try:
            with trio.CancelScope() as self._step:
                with trio.move_on_after(delay) as scope:
                    if not was_lost:
                        await trio.sleep_forever()
                    await protocol.wait_until_back()
                if not scope.cancelled_caught:
                    await trio.sleep(self.restarts.spread(scope.deadline - trio.current_time()))
        finally:
            self._step = None
        self._apply(Trigger.BACKOFF_OVER)

    def _apply(self, trigger: Trigger, reason: str = _STOPPED) -> Action:
        """Go from one phase to the next as the table says, and take its action.

        Args:
            trigger: What happens.
            reason: Why the session leaves LIVE, if it does.
        """
        phase, action = transition(self.phase, trigger)
        if phase is not self.phase:
            self._enter(phase)
            if self.on_change is not None:
                self.on_change(reason)
        match action:
            case Action.STOP_STEP if self._step is not None:
                self._step.cancel()
            case Action.ABORT_CONNECTION if self._connection is not None:
                self._connection.cancel_scope.cancel()
            case Action.CANCEL_RUN:
                self._run_scope.cancel()
            case _:
                pass
        return action

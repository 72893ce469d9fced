"""The control channel: order requests over one WebSocket for each user, which stays open between them.

The channel is a protocol over the session machinery of streams: the session connects, waits between attempts and
connects again. `ControlRequests` decides which request is written next, and to which one an answer belongs.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Final

import attrs
import trio

from tplus_trio.errors import ConnectionFailed, DecodeError, HandshakeRejected, RateLimitError, TplusError
from tplus_trio.log_events import LogEvent, log_event
from tplus_trio.orders.control_deadlines import ControlDeadlines
from tplus_trio.orders.control_frames import (
    PATH,
    SUBPROTOCOL,
    Refusal,
    decode_control_frame,
)
from tplus_trio.orders.control_requests import ControlRequest, ControlRequests
from tplus_trio.orders.control_statistics import ControlStatistics
from tplus_trio.orders.control_writer import ControlWriter
from tplus_trio.orders.sending import Delivery, OrderAnswers
from tplus_trio.scopes import open_plain_nursery
from tplus_trio.service import Service
from tplus_trio.streams.lifecycle import Phase
from tplus_trio.streams.outage import without_traceback
from tplus_trio.streams.session import Session, SessionProtocol
from tplus_trio.transport.pacing import Priority
from tplus_trio.transport.silence import SilenceBound
from tplus_trio.transport.websocket import BadMessage, WebSocket, WebSocketLimits
from tplus_trio.users import User

__all__ = ["ControlChannel"]

_log = logging.getLogger("tplus_trio.orders")

#: Characters of a frame in a log line.
_EXCERPT: Final = 200


class _TokenRefused(ConnectionFailed):
    """The service refused the token of a connection in an answer.

    The code is that of services that close the connection over it: whoever opened the connection signs in afresh.
    """

    close_code = 4401


class ControlChannel(SessionProtocol):
    """One user's control channel, from its first request to its end.

    Args:
        service: The order book service.
        user: Whom to sign in as.
        session: Keeps the connection.
        limits: Of the connection.
        timeout: Seconds for each request, from its call to its last answer.
        max_in_flight: How many requests may be in flight.
    """

    # Thirteen attributes: six are given, and seven are what the channel has to remember.
    def __init__(
        self,
        service: Service,
        user: User,
        session: Session,
        *,
        limits: WebSocketLimits,
        timeout: float,
        max_in_flight: int,
    ) -> None:
        self.session: Session = session
        self._service = service
        self._user = user
        # A channel without requests is silent. Pings tell whether its peer is there.
        self._limits = attrs.evolve(limits, idle_timeout=None, silence=SilenceBound())
        self._timeout = timeout
        self._requests = ControlRequests(max_in_flight)
        self._writer = ControlWriter(self._requests)
        self._deadlines = ControlDeadlines()
        self._connects = 0
        self._malformed = 0
        self._logged_kinds: set[str] = set()
        #: The failure of the latest attempt to connect; None if it succeeded.
        self._refusal: TplusError | None = None

    def statistics(self) -> ControlStatistics:
        """Return the counts as they are now."""
        requests = self._requests
        return ControlStatistics(
            user=self._user.public_key,
            state=self.session.state,
            connects=self._connects,
            waiting=requests.waiting,
            in_flight=requests.in_flight,
            peak_in_flight=requests.peak_in_flight,
            answered=requests.answered,
            repeats=requests.repeats,
            strays=requests.strays,
            malformed=self._malformed,
        )

    # The senders' side.

    @property
    def is_signed_in(self) -> bool:
        """Whether there is a connection that the service signed in, and has not refused since."""
        return self._writer.connection is not None and not self._writer.is_refused

    async def send(self, delivery: Delivery) -> OrderAnswers:
        """Send a request and wait for its answers; see `ControlSender.send`."""
        await trio.lowlevel.checkpoint_if_cancelled()
        if delivery.only_on not in (None, self._writer.connection):
            await trio.lowlevel.checkpoint()
            raise _gone()
        request = ControlRequest(delivery)
        self._requests.add(request)
        self._writer.write_now()
        delivery.begun()
        if self.session.phase is Phase.BACKOFF and not _asks_to_wait(self._refusal):
            # A backoff delays no call of an application: it is tried at once, as over REST.
            self.session.reconnect()
        self._deadlines.add(request, trio.current_time() + self._timeout)
        try:
            await request.done.wait()
        except trio.Cancelled:
            if request.was_sent:
                with trio.CancelScope(shield=True, deadline=delivery.patience(delivery)):
                    await request.done.wait()
                if not request.is_late:
                    delivery.late = request.outcome()
            raise
        finally:
            self._deadlines.discard(request)
            if request.is_late or not request.done.is_set():
                self._requests.leave(request)
                self._writer.wake()
        if request.is_late:
            request.failure = request.failure or self._too_late(request)
        return request.result()

    def _too_late(self, request: ControlRequest) -> TplusError:
        """Make the error for a request that timed out."""
        seconds = f"{self._timeout:g} s"
        if request.was_sent:
            return ConnectionFailed(f"no answer over {PATH} within {seconds}")
        if self.session.is_open:
            why = f"the request was not sent over {PATH} within {seconds}: {self._requests.in_flight} are in flight"
        else:
            why = f"no connection to {PATH} within {seconds}"
        refusal = self._refusal
        if isinstance(refusal, HandshakeRejected) and refusal.status == 429:
            failure: TplusError = RateLimitError("RATE_LIMITED", why, 429, retry_after=refusal.retry_after)
        else:
            failure = ConnectionFailed(why if refusal is None else f"{why}: {refusal}")
            failure.nothing_sent = True
        failure.__cause__ = refusal
        return failure

    # The session's side.

    async def run(self) -> None:
        """Run until the client is left, or until the channel failed for good. The waiting senders get the failure."""
        try:
            async with open_plain_nursery() as tasks:
                tasks.start_soon(self._deadlines.run)
                await self.session.run(self)
        finally:
            self._requests.end(self._ended)

    def _ended(self) -> Exception:
        known = self.session.failure or ConnectionFailed("the control channel was closed: the client has been left")
        failure = without_traceback(known)
        if isinstance(failure, ConnectionFailed):
            failure.nothing_sent = True
        return failure

    @asynccontextmanager
    async def _open(self) -> AsyncGenerator[WebSocket]:
        try:
            async with self._service.websocket(
                PATH,
                user=self._user,
                required=True,
                limits=self._limits,
                subprotocols=(SUBPROTOCOL,),
                priority=Priority.ORDER,
            ) as websocket:
                yield websocket
        except TplusError as exc:
            failure = without_traceback(exc)
            self._refusal = failure if isinstance(failure, TplusError) else None
            raise

    def connect(self) -> AbstractAsyncContextManager[WebSocket]:
        """Sign in and open the channel's WebSocket."""
        return self._open()

    async def wait_until_back(self) -> None:
        """Wait until another connection to the service could be made."""
        await self._service.wait_until_back()

    async def serve(self, websocket: WebSocket) -> None:
        """Write requests and receive answers, for as long as the connection lasts."""
        self._connects += 1
        self._refusal = None
        self.session.report_caught_up()
        reason, close_code = "the control channel was closed", None
        try:
            async with open_plain_nursery() as tasks:
                with trio.CancelScope() as reading:
                    tasks.start_soon(self._writer.run, websocket.writer(), self._connects, reading)
                    await self._read(websocket)
            msg = "the service refused the token of the control channel"
            raise _TokenRefused(msg)
        except ConnectionFailed as exc:
            reason, close_code = str(exc), exc.close_code
            raise
        finally:
            self._requests.lose_connection(partial(_lost, reason, close_code))

    async def _read(self, websocket: WebSocket) -> None:
        named = websocket.subprotocol == SUBPROTOCOL
        while True:
            self._receive(await websocket.receive_answers(), named)
            if self._writer.is_refused or self._requests.waiting:  # an answer makes room
                self._writer.wake()
            if self._requests.has_too_many_unanswered:
                raise ConnectionFailed("the service left too many requests unanswered")

    def _receive(self, messages: Sequence[bytes], named: bool) -> None:
        """Give the messages of the service to the requests that they belong to."""
        for message in messages:
            try:
                if isinstance(message, BadMessage):
                    raise DecodeError(message.why)  # noqa: TRY301 - counted as every bad frame is
                frame = decode_control_frame(message, self._service.redactor.tree)
            except DecodeError as exc:
                self._malformed += 1
                self._log_once(str(exc))
                continue
            if frame is None:
                continue
            if isinstance(frame, Refusal) and frame.error.status == 401:
                self._writer.is_refused = True
            if not self._requests.receive(frame, named=named):
                self._log_once(f"an answer to no request: {repr(frame)[:_EXCERPT]}")

    def _log_once(self, text: str) -> None:
        """Log a bad frame, if it is the first of its kind."""
        kind = text.split(":", 1)[0]
        if kind not in self._logged_kinds:
            self._logged_kinds.add(kind)
            text = self._service.redactor.text(text)
            log_event(
                _log,
                logging.WARNING,
                LogEvent.FRAME_MALFORMED,
                "%s: a frame is %s (counted; logged once)",
                PATH,
                text,
                path=PATH,
                error=text,
            )


def _lost(reason: str, close_code: int | None) -> ConnectionFailed:
    failure = ConnectionFailed(f"{reason}, before the request was answered")
    failure.close_code = close_code
    return failure


def _gone() -> ConnectionFailed:
    failure = ConnectionFailed("the connection that the request was for has ended")
    failure.nothing_sent = True
    return failure


def _asks_to_wait(failure: TplusError | None) -> bool:
    """Return whether the service named a time to wait before the next attempt."""
    return bool(getattr(failure, "retry_after", None))

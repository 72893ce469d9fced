"""Decides when a request or a handshake is sent: after more urgent ones, and no faster than the service accepts.

A service that limits its clients answers 429. Until the first 429, only the number of requests under way is bounded.
After it, the queue waits for as long as ``Retry-After`` asks. Then it sends at the rate at which the service accepted
requests before the 429, and raises the rate while the service refuses nothing.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable, Mapping
from itertools import count
from math import inf
from typing import Final

import attrs
import trio

from tplus_trio.errors import ConnectionFailed, RateLimitError
from tplus_trio.transport.waiting_line import WaitingLine

__all__ = ["Dispatch", "Pacer", "Priority", "RateLimit", "RequestQueue"]

#: Seconds. Accepted requests are counted over this span.
_SPAN: Final = 1.0
#: The part of the accepted rate that is used: the service may count over other windows.
_MARGIN: Final = 0.9
#: Requests a second if nothing was accepted. A rate that is a guess is doubled each second until the service refuses.
_FIRST_RATE: Final = 8.0
#: A known rate grows by this factor after so many seconds, and requests, without a refusal.
_GROWTH: Final = 1.1
_GROWS_AFTER: Final = 10.0
_GROWS_AFTER_REQUESTS: Final = 10.0
#: A limit is forgotten after so many seconds without a refusal.
_FORGOTTEN_AFTER: Final = 300.0
#: Seconds to wait after a 429 without ``Retry-After``: drawn up to the first value, which doubles up to the second.
_FIRST_WAIT: Final = 0.25
_MOST_WAIT: Final = 30.0
#: Seconds to wait after a 429 whose ``Retry-After`` is shorter, 0 included: the next request would be refused as well.
_LEAST_WAIT: Final = 0.1
#: Seconds. A longer ``Retry-After`` is taken for a mistake, and cut to this.
_LONGEST_WAIT: Final = 3600.0
#: Streams wait longer by up to this part of the wait, and up to this many seconds, because other clients wait as well.
_SPREAD: Final = 0.05
_MOST_SPREAD: Final = 0.4
#: Seconds for which a request occupies a slot. After that it goes on without one, so that requests that hang do not
#: delay those of other streams.
_SLOT_TIME: Final = 1.0


class Priority(enum.IntEnum):
    """How urgent a request is. More urgent ones are sent first."""

    #: A sign-in. Orders may wait for it.
    SIGN_IN = 0
    #: A cancel.
    CANCEL = 1
    #: Another request about orders: it creates or changes them.
    ORDER = 2
    #: A read that an order waits for, or a query for the fate of one.
    ORDER_READ = 3
    #: A call of the client's user.
    CALL = 4
    #: A read of a stream that holds a live item until the answer comes.
    CONFIRMATION = 5
    #: A snapshot or a backfill of a stream, or the handshake of one.
    RECOVERY = 6


@attrs.frozen
class Dispatch:
    """How a request is sent."""

    priority: Priority = Priority.CALL
    #: Called in the step before the request's first byte may leave; again if the request is repeated.
    on_sent: Callable[[], object] | None = None
    #: Called when the service answers 401 or 403, before the request is repeated with a new token. It returns whether
    #: the request may be repeated; None repeats it.
    on_refused: Callable[[], bool] | None = None


class RateLimit:
    """An estimate of the service's rate limit. Pure: times are arguments, in seconds on one clock.

    Args:
        draw: Draws from [0, 1), to spread the ends of waits.
        learns: Whether a rate is estimated. If not, only ``Retry-After`` and the growing waits are kept.
        is_rare: Whether the requests are so few that those that were accepted say little about the limit.
    """

    # Fourteen attributes: one estimate, of which each answer updates most parts together.

    def __init__(self, draw: Callable[[], float], *, learns: bool = True, is_rare: bool = False) -> None:
        self._draw = draw
        self._learns = learns
        self._is_rare = is_rare
        #: Nothing is sent before this time. Streams wait ``_spread`` seconds longer.
        self.held_until: float = -inf
        self._spread = 0.0
        #: Requests a second; None while no limit is known.
        self.rate: float | None = None
        #: When the last request was sent, by the schedule of the rate.
        self._last_at = -inf
        #: When requests were accepted within the last `_SPAN`, and how many since the rate was set.
        self._accepted: deque[float] = deque()
        self._accepted_since = 0
        self._adjusted_at = -inf
        self._grown_at = -inf
        self._is_guess = False
        #: Whether a request had to wait for the rate since it was set.
        self._was_paced = False
        self._wait = _FIRST_WAIT

    def ready_at(self, now: float, *, by_stream: bool) -> float:
        """The earliest time at which the next request may be sent."""
        self._grow(now)
        held_until = self.held_until + self._spread if by_stream else self.held_until
        if self.rate is None:
            return held_until
        # By the present rate: it may have grown since the last request.
        next_at = self._last_at + 1 / self.rate
        self._was_paced = self._was_paced or next_at > now
        return max(held_until, next_at)

    def sent(self, now: float) -> None:
        """Count a request that is sent now."""
        if self.rate is not None:
            self._last_at = max(self._last_at + 1 / self.rate, now)

    def accepted(self, now: float) -> None:
        """Count an answer with another status than 429."""
        self._forget(now)
        self._accepted.append(now)
        self._accepted_since += 1
        self._wait = _FIRST_WAIT

    def refused(self, sent_at: float, now: float, retry_after: float | None) -> None:
        """Count a 429 for a request that was sent at ``sent_at``."""
        is_first = self.rate is None
        is_news = is_first or sent_at >= max(self._adjusted_at, self.held_until)
        if retry_after is None:
            self.hold(now + self._draw() * self._wait, 0.0)
            if is_news:
                self._wait = min(2 * self._wait, _MOST_WAIT)
        else:
            wait = min(max(retry_after, _LEAST_WAIT), _LONGEST_WAIT)
            self.hold(now + wait, self._draw() * min(_SPREAD * wait, _MOST_SPREAD))
        if is_news:
            self._forget(now)
            # The second term covers limits of less than one request a span.
            seen = max(len(self._accepted) / _SPAN, self._accepted_since / max(now - self._adjusted_at, _SPAN))
            # In a first burst, requests and handshakes share the limit: a low count of one kind says nothing about it.
            self._is_guess = not seen or ((is_first or self._is_rare) and seen < _FIRST_RATE)
            rate = _MARGIN * seen or _FIRST_RATE
            if self.rate is not None and not self._was_paced and len(self._accepted) <= 1:
                # Few were accepted because few were sent: that says little about the limit.
                rate = max(rate, self.rate / 2)
            self.rate, self._was_paced = rate if self._learns else None, False
            self._adjusted_at, self._accepted_since = now, 0
        # Refusals of earlier requests bring no news, but the rate must not grow while they come.
        self._grown_at, self._last_at = self.held_until, -inf

    def hold(self, until: float, spread: float) -> None:
        """Send nothing before ``until``, and nothing of streams for ``spread`` seconds more."""
        if until > self.held_until:
            self.held_until, self._spread = until, spread

    def hold_like(self, other: RateLimit) -> None:
        """Send nothing before another limit allows it."""
        self.hold(other.held_until, other._spread)

    def _forget(self, now: float) -> None:
        while self._accepted and self._accepted[0] <= now - _SPAN:
            self._accepted.popleft()

    def _grow(self, now: float) -> None:
        if self.rate is None:
            return
        if now - self.held_until > _FORGOTTEN_AFTER:
            self.rate = None
            return
        while True:
            factor, after = _GROWTH, max(_GROWS_AFTER, _GROWS_AFTER_REQUESTS / self.rate)
            if self._is_guess:
                factor, after = 2.0, _SPAN
            if now - self._grown_at < after:
                return
            self._grown_at += after
            self.rate *= factor


class RequestQueue:
    """Sends requests in their order, the most urgent first. A queue belongs to one ``trio.run``.

    Args:
        slots: The most requests under way, by priority. A request counts for its first second only.
        draw: Draws from [0, 1).
        learns: Whether a rate is estimated from refusals.
        is_rare: Whether the requests are so few that an estimate from them says little.
    """

    def __init__(
        self, slots: Mapping[Priority, int], draw: Callable[[], float], *, learns: bool = True, is_rare: bool = False
    ) -> None:
        self.limit: RateLimit = RateLimit(draw, learns=learns, is_rare=is_rare)
        self._slots = slots
        self._line = WaitingLine()
        self._tickets = count()
        #: The requests under way, by ticket, with the time each was sent, oldest first.
        self._under_way: dict[int, float] = {}

    @property
    def waiting(self) -> int:
        """How many requests wait for their turn."""
        return self._line.waiting

    @property
    def under_way(self) -> int:
        """How many requests occupy a slot: they are under way and were sent within the last second."""
        return len(self._under_way)

    async def acquire(self, priority: Priority, *, deadline: float = inf) -> int:
        """Wait until a request may be sent. Cancelled, it has taken no slot.

        Args:
            priority: How urgent it is.
            deadline: When the wait has to end, in seconds on trio's clock.

        Returns:
            A ticket for `release`.

        Raises:
            RateLimitError: the service asked for a pause that lasts beyond the deadline. Nothing was sent.
            ConnectionFailed: too many requests were under way until the deadline. Nothing was sent.
        """

        def check(_number: int) -> float:
            self._raise_if_late(deadline)
            return deadline

        await self._line.wait(priority, lambda: self._ready_at(priority), check)
        ticket, now = next(self._tickets), trio.current_time()
        self.limit.sent(now)
        self._under_way[ticket] = now
        return ticket

    def release(self, ticket: int) -> None:
        """Free the slot of a request that has ended."""
        self._under_way.pop(ticket, None)
        self._line.wake_first()

    def _ready_at(self, priority: Priority) -> float:
        """When the first in line may be sent, in seconds on trio's clock."""
        now = trio.current_time()
        ready_at = self.limit.ready_at(now, by_stream=priority >= Priority.CONFIRMATION)
        while self._under_way:
            oldest = next(iter(self._under_way))
            if self._under_way[oldest] > now - _SLOT_TIME:
                break
            del self._under_way[oldest]
        if len(self._under_way) >= self._slots[priority]:
            ready_at = max(ready_at, self._under_way[next(iter(self._under_way))] + _SLOT_TIME)
        return ready_at

    def _raise_if_late(self, deadline: float) -> None:
        now = trio.current_time()
        ready_at = self.limit.ready_at(now, by_stream=False)
        if self.limit.held_until > max(deadline, now) or (now >= deadline and self.limit.rate is not None):
            msg = "the service asked for a pause, so nothing was sent"
            raise RateLimitError("RATE_LIMITED", msg, 429, retryable=True, retry_after=max(ready_at - now, 0.0))
        if now >= deadline:
            msg = f"{len(self._under_way)} requests of this client were under way for too long, so nothing was sent"
            raise ConnectionFailed(msg)


class Pacer:
    """The queues of one service: sign-ins, orders, reads that orders wait for, other requests, and handshakes.

    A 429 holds its own queue, the queue of other requests, and handshakes. Orders are held only by a 429 for an order.
    Sign-ins, handshakes of control channels, and the reads that orders wait for are held only by a 429 for one of their
    own kind.

    Args:
        draw: Draws from [0, 1).
    """

    def __init__(self, draw: Callable[[], float]) -> None:
        # Sign-ins are rare, and take two requests each. At a rate estimated from a few, the second request would
        # wait beyond the timeout each time.
        sign_ins = RequestQueue({Priority.SIGN_IN: 16}, draw, learns=False)
        # Other order requests cannot take all slots of cancels.
        orders = RequestQueue({Priority.CANCEL: 48, Priority.ORDER: 32}, draw)
        # Reads that settle orders come a few at a time. Where refusals let through one a second, the limit is hardly
        # one a second; at that rate, an order would be in doubt for long after the service is well again.
        order_reads = RequestQueue({Priority.ORDER_READ: 32}, draw, is_rare=True)
        # Recoveries cannot take all slots of calls.
        requests = RequestQueue({Priority.CALL: 48, Priority.CONFIRMATION: 40, Priority.RECOVERY: 32}, draw)
        self.handshakes: RequestQueue = RequestQueue({Priority.RECOVERY: 128}, draw)
        self._order_handshakes = RequestQueue({Priority.ORDER: 32}, draw, learns=False)
        self._queues: Final = {
            Priority.SIGN_IN: sign_ins,
            Priority.CANCEL: orders,
            Priority.ORDER: orders,
            Priority.ORDER_READ: order_reads,
            Priority.CALL: requests,
            Priority.CONFIRMATION: requests,
            Priority.RECOVERY: requests,
        }
        self._shared = (requests, self.handshakes)

    @property
    def is_limited(self) -> bool:
        """Whether the service is known to limit requests or handshakes."""
        return any(queue.limit.rate is not None for queue in self._shared)

    def queue(self, priority: Priority) -> RequestQueue:
        """The queue of requests with this priority."""
        return self._queues[priority]

    def handshake_queue(self, priority: Priority) -> RequestQueue:
        """The queue of handshakes with this priority: ``ORDER`` for a control channel, ``RECOVERY`` for a stream."""
        return self._order_handshakes if priority is Priority.ORDER else self.handshakes

    def answered(self, queue: RequestQueue, status: int, sent_at: float, retry_after: float | None) -> None:
        """Update the limits after an answer.

        Args:
            queue: The queue in which the request waited.
            status: The HTTP status code.
            sent_at: When the request was sent, in seconds on trio's clock.
            retry_after: The seconds that ``Retry-After`` asks for; None without the header.
        """
        now = trio.current_time()
        if status != 429:
            queue.limit.accepted(now)
            return
        queue.limit.refused(sent_at, now, retry_after)
        for other in self._shared:
            other.limit.hold_like(queue.limit)

"""A limit on order requests that the client keeps by itself: requests wait for their turn instead of being refused."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import attrs
import trio

from tplus_trio.arguments import check_count, check_number
from tplus_trio.errors import RateLimitError
from tplus_trio.orders.sending import Delivery, OrderAnswers, OrderRequest, OrderSender, UnsentOrders
from tplus_trio.runs import RunLocal
from tplus_trio.transport.waiting_line import WaitingLine
from tplus_trio.users import User

__all__ = ["OrderRateLimit"]

#: Units. The time at which units are there is computed, and floats round: so much may be missing when it comes.
_ROUNDING: Final = 1e-9


@attrs.frozen(kw_only=True)
class OrderRateLimit:
    """How many order requests a client sends: at most ``burst`` at once, and ``rate`` a second in the long run.

    A create, cancel, replace or amend counts as one; a batch counts as one for each of its orders. A batch of more than
    ``burst`` orders is sent when nothing was sent for long enough to allow a full burst; the next request then waits
    for the rest as well.

    Raises:
        TypeError: an argument is not a number.
        ValueError: a number is out of its range.
    """

    #: Orders a second, more than 0.
    rate: float
    #: Orders that may be sent at once after a pause, at least 1.
    burst: int = 1

    def __attrs_post_init__(self) -> None:
        check_number("rate", self.rate, more=True, finite=True)
        check_count("burst", self.burst)


class TokenBucket:
    """A limit's units: ``burst`` at first, and ``rate`` a second more up to that. Pure: times are arguments.

    Args:
        limit: The limit.
        now: The time, in seconds on the clock of every later call.
    """

    def __init__(self, limit: OrderRateLimit, now: float) -> None:
        self._limit = limit
        #: The units that were there at ``_at``; negative after a request larger than the burst.
        self._units = float(limit.burst)
        self._at = now

    def ready_at(self, count: int, now: float, ahead: int = 0) -> float:
        """The earliest time at which a request may go, in seconds.

        Args:
            count: The request's units.
            now: The time, in seconds.
            ahead: The units of the requests that go before it.
        """
        missing = ahead + min(count, self._limit.burst) - self._units_at(now)
        return now if missing <= _ROUNDING else now + missing / self._limit.rate

    def take(self, count: int, now: float) -> None:
        """Use up units, also those that are not there yet."""
        self._units, self._at = self._units_at(now) - count, now

    def give_back(self, count: int, now: float) -> None:
        """Undo a `take` whose request was not sent."""
        self.take(-count, now)

    def _units_at(self, now: float) -> float:
        return min(self._units + (now - self._at) * self._limit.rate, float(self._limit.burst))


class _Turn(IntEnum):
    """Who goes first."""

    CANCEL = 0
    OTHER = 1


class _Run:
    """What a limiter knows in one ``trio.run``."""

    def __init__(self, limit: OrderRateLimit) -> None:
        self.bucket: TokenBucket = TokenBucket(limit, trio.current_time())
        self.line: WaitingLine = WaitingLine()
        self.unsent: UnsentOrders = UnsentOrders()


class OrderLimiter:
    """Lets order requests wait until a limit allows them: cancels first, and equals in the order of their calls.

    A cancel does not go before a waiting request about the same order: a create that came after its cancel would leave
    the order resting.

    Args:
        limit: The limit. It counts for each ``trio.run`` by itself.
        timeout: Seconds, more than 0. A request that would wait longer is refused.
    """

    def __init__(self, limit: OrderRateLimit, timeout: float) -> None:
        self._timeout = timeout
        self._run: RunLocal[_Run] = RunLocal(lambda: _Run(limit))

    async def acquire(self, request: OrderRequest) -> None:
        """Wait until a request may be sent, and count it. Cancelled, it is not counted.

        Args:
            request: The request. A batch counts as one for each of its orders.

        Raises:
            RateLimitError: the limit would delay the request by more than the timeout. ``retry_after`` says for how
                many seconds it would have had to wait still. Nothing was sent.
        """
        run, count = self._run.get(), len(request.orders)
        deadline = trio.current_time() + self._timeout
        turn = _Turn.CANCEL if run.unsent.goes_first(request) else _Turn.OTHER

        def on_wait(number: int) -> float:
            now = trio.current_time()
            ready_at = run.bucket.ready_at(count, now, run.line.amount(turn, number))
            if ready_at > deadline or now >= deadline:
                raise _refusal(ready_at - now)
            return deadline

        run.unsent.add(request)
        try:
            await run.line.wait(turn, lambda: run.bucket.ready_at(count, trio.current_time()), on_wait, count)
            run.bucket.take(count, trio.current_time())
        finally:
            run.unsent.remove(request)

    def repeat(self, request: OrderRequest) -> None:
        """Count a request again that is sent a second time. It does not wait: later requests wait longer."""
        self._run.get().bucket.take(len(request.orders), trio.current_time())

    def give_back(self, request: OrderRequest) -> None:
        """Take back the count of a request that was not sent."""
        run = self._run.get()
        run.bucket.give_back(len(request.orders), trio.current_time())
        run.line.wake_first()


class LimitedSender:
    """Sends order requests in another way, no faster than a limiter allows. It is an `OrderSender`.

    The wait for the limiter comes before the timeout of the other sender: together they last up to twice the timeout.

    Args:
        sender: The way to send.
        limiter: Says when a request may be sent.
    """

    def __init__(self, sender: OrderSender, limiter: OrderLimiter) -> None:
        self._sender = sender
        self._limiter = limiter

    async def prepare(self, owner: User) -> None:
        """Sign in; see `OrderSender`."""
        await self._sender.prepare(owner)

    async def send(self, delivery: Delivery) -> OrderAnswers:
        """Wait until the limit allows the request, send it, and wait for the answers; see `OrderSender`.

        Raises:
            RateLimitError: the limit would delay the request by more than the timeout; nothing was sent.
        """
        delivery.begun()
        request, on_sent = delivery.request, delivery.on_sent

        def sent() -> None:
            if delivery.sends > 1:
                self._limiter.repeat(request)
            if on_sent is not None:
                on_sent()

        await self._limiter.acquire(request)
        delivery.on_sent = sent
        try:
            return await self._sender.send(delivery)
        finally:
            if not delivery.sends:
                self._limiter.give_back(request)


def _refusal(seconds: float) -> RateLimitError:
    msg = f"order_rate_limit would delay the request by {seconds:.3g} s, longer than the timeout, so nothing was sent"
    return RateLimitError("RATE_LIMITED", msg, 429, retryable=True, retry_after=max(seconds, 0.0))

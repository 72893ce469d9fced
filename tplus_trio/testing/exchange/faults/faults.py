"""What can be made to go wrong on the exchange."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs

from tplus_trio.arguments import check_count, check_instance, check_number
from tplus_trio.models import AssetIdentifier
from tplus_trio.testing.exchange.accounts import Accounts
from tplus_trio.testing.exchange.depth_book import DepthBook
from tplus_trio.testing.exchange.faults.data_faults import DataFaults
from tplus_trio.testing.exchange.faults.pending import PendingFaults, feed_path, path_prefix
from tplus_trio.testing.exchange.feeds import Hub
from tplus_trio.testing.exchange.http_messages import Rejection, Response, error
from tplus_trio.testing.exchange.trade_history import TradeIds
from tplus_trio.testing.wire_frames import WireBytes, fragmented

__all__ = ["Faults"]

GARBAGE: Final = '{"sequence_number": \x07 nonsense'
_CODES: Final = {
    401: "UNAUTHORIZED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    429: "RATE_LIMITED",
    503: "SERVER_BUSY",
}


#: The methods whose orders wait for something, and can be withdrawn until then.
_WITHDRAWN: Final = frozenset(
    {
        "answer_handshakes",
        "answer_requests",
        "delay_requests",
        "fail_requests",
        "fragment",
        "garble",
        "lag_requests",
        "limit_rate",
        "lose_diffs",
        "reject_handshakes",
        "repeat_diffs",
        "replace_answers",
        "replay_trades",
        "reverse_pages",
        "shift_pages",
        "skip_sequence",
        "spoil_messages",
        "spoil_rows",
        "stale_snapshots",
        "stall_feed",
        "swap_diffs",
        "withhold_trades",
    }
)


@attrs.define
class _RateLimit:
    """A token bucket that requests and handshakes share."""

    path: str
    per_second: float
    burst: float
    refusal: Response
    tokens: float
    at_ns: int

    def admits(self, path: str, now_ns: int) -> bool:
        """Take a token for a request on ``path``; False if there is none left."""
        if not path.startswith(self.path):
            return True
        self.tokens = min(self.burst, self.tokens + (now_ns - self.at_ns) * 1e-9 * self.per_second)
        self.at_ns = now_ns
        if self.tokens < 1.0 - 1e-9:
            return False
        self.tokens -= 1.0
        return True


@attrs.define
class _Numbering:
    """What is to happen to the next diffs of one market."""

    step: int = 1
    skip: int = 0
    lose: int = 0
    repeat: int = 0
    swap: bool = False
    held: bytes | None = None

    def withdraw(self, method: str | None) -> None:
        """Forget what one method has ordered, or every method; a diff that is held still follows the next one."""
        if method in (None, "lose_diffs"):
            self.lose = 0
        if method in (None, "skip_sequence"):
            self.skip = 0
        if method in (None, "repeat_diffs"):
            self.repeat = 0
        if method in (None, "swap_diffs"):
            self.swap = False


class Faults(DataFaults):
    """Orders for trouble: ``exchange.faults``.

    A method says what happens, and most say to how many of the next things. Paths are those of requests and
    feeds, ``/marketdepth/200`` and ``/marketdepth/diff/200``. Where a method says "begin with", a prefix stands for
    all such paths, and ``""`` for all there are; elsewhere the path is that of one feed.

    Every method raises ValueError or TypeError for what could never happen, such as a fault of a market that is not
    listed: a test must not pass because its fault never came.
    """

    def __init__(
        self, hub: Hub, accounts: Accounts, depth_of: Callable[[str | int], DepthBook], trade_ids: TradeIds
    ) -> None:
        super().__init__(hub, accounts.now_ns, trade_ids)
        self._hub = hub
        self._accounts = accounts
        self._depth_of = depth_of
        self._handshakes: PendingFaults[Response] = PendingFaults(accounts.now_ns)
        self._requests: PendingFaults[Response] = PendingFaults(accounts.now_ns)
        self._delays: PendingFaults[float] = PendingFaults(accounts.now_ns)
        self._stale: PendingFaults[int] = PendingFaults(accounts.now_ns)
        self._fragments: PendingFaults[int] = PendingFaults(accounts.now_ns)
        self._garbled: PendingFaults[bytes] = PendingFaults(accounts.now_ns)
        self._numbering: dict[str, _Numbering] = {}
        self._limit: _RateLimit | None = None
        #: How many requests and handshakes :meth:`limit_rate` refused.
        self.refused: int = 0

    def clear(self, method: str | None = None) -> None:
        """Withdraw what was ordered and has not happened yet.

        What has happened stays: tokens that expired, numbers that started over. :meth:`number_by` is the market's way
        of counting, and is ended by ``number_by(asset, 1)``. Trades that are withheld are never told of then.

        Args:
            method: The method that ordered it, ``"fail_requests"``; None is every method.

        Raises:
            ValueError: There is no such method, or nothing of it can be withdrawn.
        """
        if method is not None and method not in _WITHDRAWN:
            raise ValueError(f"method is None or one of {', '.join(sorted(_WITHDRAWN))}, not {method!r}")
        armed = (self._handshakes, self._requests, self._delays, self._stale, self._fragments, self._garbled)
        for orders in armed:
            orders.withdraw(method)
        self._withdraw_data(method)
        for order in self._numbering.values():
            order.withdraw(method)
        if method in (None, "limit_rate"):
            self._limit = None
        if method in (None, "stall_feed"):
            self._hub.end_stalls()

    # Requests and handshakes

    def reject_handshakes(
        self,
        n: int = 1,
        status: int = 503,
        *,
        path: str = "",
        retry_after: float | None = None,
        seconds: float | None = None,
    ) -> None:
        """Refuse the next ``n`` WebSocket handshakes on paths that begin with ``path``.

        Args:
            n: How many.
            status: The HTTP status code.
            path: The paths' prefix.
            retry_after: Seconds for a ``Retry-After`` header.
            seconds: For so long, in place of ``n`` times.
        """
        failure = _failure(status, retry_after)
        self._handshakes.add("reject_handshakes", path_prefix(path), n, failure, seconds)

    def fail_requests(
        self,
        path: str = "",
        status: int = 500,
        n: int = 1,
        *,
        retry_after: float | None = None,
        seconds: float | None = None,
    ) -> None:
        """Answer the next ``n`` REST requests on paths that begin with ``path`` with an error.

        Args:
            path: The paths' prefix.
            status: The HTTP status code.
            n: How many.
            retry_after: Seconds for a ``Retry-After`` header.
            seconds: For so long, in place of ``n`` times: ``fail_requests(status=503, seconds=1800)``.
        """
        self._requests.add("fail_requests", path_prefix(path), n, _failure(status, retry_after), seconds)

    def answer_requests(self, path: str, response: Response, n: int = 1, *, seconds: float | None = None) -> None:
        """Answer the next ``n`` REST requests on paths that begin with ``path`` with this ``response``.

        They are not carried out; :meth:`replace_answers` carries them out first.

        Args:
            path: The paths' prefix.
            response: The answer: a proxy's page, ``Response(404, b"<html>", (("content-type", "text/html"),))``.
            n: How many.
            seconds: For so long, in place of ``n`` times.
        """
        check_instance("response", response, Response)
        self._requests.add("answer_requests", path_prefix(path), n, response, seconds)

    def answer_handshakes(self, path: str, response: Response, n: int = 1, *, seconds: float | None = None) -> None:
        """Answer the next ``n`` handshakes on paths that begin with ``path`` with ``response``, as a proxy does.

        Args:
            path: The paths' prefix.
            response: The answer.
            n: How many.
            seconds: For so long, in place of ``n`` times.
        """
        check_instance("response", response, Response)
        self._handshakes.add("answer_handshakes", path_prefix(path), n, response, seconds)

    def delay_requests(self, path: str, seconds: float, n: int = 1, *, lasting: float | None = None) -> None:
        """Hold back the answers of the next ``n`` REST requests on paths that begin with ``path``.

        The answer is made when the request comes, and is ``seconds`` out of date when it arrives.

        Args:
            path: The paths' prefix.
            seconds: How long each answer is held back.
            n: How many.
            lasting: All answers for so many seconds, in place of ``n`` of them.
        """
        check_number("seconds", seconds, finite=True)
        self._delays.add("delay_requests", path_prefix(path), n, seconds, lasting)

    def stale_snapshots(
        self, n: int = 1, behind: int = 10, *, asset: str | int | None = None, seconds: float | None = None
    ) -> None:
        """Let the next ``n`` depth snapshots be what the book was ``behind`` changes before.

        Args:
            n: How many.
            behind: How many changes; the oldest state known where there were not as many.
            asset: Of one market only.
            seconds: For so long, in place of ``n`` times.
        """
        market = "" if asset is None else self._listed(asset)
        self._stale.add("stale_snapshots", market, n, check_count("behind", behind, least=0), seconds)

    def expire_tokens(self) -> None:
        """Make every token worthless, now."""
        self._accounts.expire_all()

    def revoke_tokens(self, code: int = 1008) -> None:
        """Make every token worthless, now, and say so only in close frames.

        Feeds that were opened with a token are closed with ``code``. A later handshake with a revoked token is
        answered 101 and then closed with ``code``; a request with one is refused (401). A new sign-in helps.

        Raises:
            ValueError: ``code`` is no close code that a server may send, such as 1008, 3000, 4401 or 4403.
        """
        if not 1000 <= check_count("code", code) <= 4999:
            raise ValueError(f"code is a close code, from 1000 to 4999, not {code}")
        self._accounts.revoke_all(code)
        for subscription in self._hub.matching():
            if subscription.user is not None:
                subscription.close(code, "token revoked")

    def limit_rate(
        self,
        per_second: float | None,
        *,
        path: str = "",
        retry_after: float | None = None,
        burst: float | None = None,
    ) -> None:
        """Answer 429 to requests and handshakes beyond ``per_second``; all of them share the limit, as at a gateway.

        ``exchange.refused`` counts the refused ones. One limit is in force at a time.

        Args:
            per_second: How many are let through per second; None withdraws the limit.
            path: The paths' prefix.
            retry_after: Seconds for a ``Retry-After`` header.
            burst: How many may come at once after a pause, 1 or more; None is ``per_second``, at least 1.

        Raises:
            ValueError: ``per_second`` is not positive, or ``burst`` is less than 1.
        """
        if per_second is None:
            self._limit = None
            return
        check_number("per_second", per_second, more=True, finite=True)
        most = max(1.0, per_second) if burst is None else check_number("burst", burst, least=1.0, finite=True)
        self._limit = _RateLimit(
            path_prefix(path), per_second, most, _failure(429, retry_after), most, self._accounts.now_ns()
        )

    # Sequence numbers

    def lose_diffs(self, asset: str | int, n: int = 1) -> None:
        """Send the next ``n`` diffs of a market to nobody; the book has them and their numbers are used."""
        self._of(asset).lose += check_count("n", n, least=0)

    def skip_sequence(self, asset: str | int, n: int = 1) -> None:
        """Leave out ``n`` numbers before the next diff of a market, though nothing is missing."""
        self._of(asset).skip += check_count("n", n, least=0)

    def repeat_diffs(self, asset: str | int, n: int = 1) -> None:
        """Send each of the next ``n`` diffs of a market twice."""
        self._of(asset).repeat += check_count("n", n, least=0)

    def swap_diffs(self, asset: str | int) -> None:
        """Send the diff after the next one of a market first."""
        self._of(asset).swap = True

    def restart_sequence(self, asset: str | int) -> None:
        """Start over, as a service that was restarted: a market's next diff has number 1."""
        self._depth_of(asset).sequence_number = 0

    def number_by(self, asset: str | int, step: int) -> None:
        """Let a market's numbers go up by ``step`` from now on."""
        self._of(asset).step = check_count("step", step)

    # Frames

    def send_text(self, path: str, text: str) -> None:
        """Send everyone on ``path`` a text message."""
        self._hub.publish(feed_path(path), check_instance("text", text, str).encode())

    def send_garbage(self, path: str) -> None:
        """Send everyone on ``path`` a text message that is not JSON."""
        self.send_text(path, GARBAGE)

    def garble(self, path: str, n: int = 1, text: str = GARBAGE, *, seconds: float | None = None) -> None:
        """Send ``text`` in place of the next ``n`` messages on paths that begin with ``path``.

        With ``seconds``, it is every message for so long, in place of ``n`` of them.
        """
        self._garbled.add("garble", path_prefix(path), n, check_instance("text", text, str).encode(), seconds)

    def send_wire(self, path: str, data: bytes) -> None:
        """Write bytes into everyone's connection on ``path`` as they are, between two frames.

        :mod:`tplus_trio.testing.wire_frames` makes frames to send, legal or not.
        """
        self._hub.publish(feed_path(path), WireBytes(data))

    def send_fragmented(self, path: str, text: str, pieces: int = 3) -> None:
        """Send everyone on ``path`` a text message in ``pieces`` frames with pings between them."""
        self._hub.publish(feed_path(path), fragmented(text.encode(), check_count("pieces", pieces)))

    def fragment(self, path: str, n: int = 1, pieces: int = 3, *, seconds: float | None = None) -> None:
        """Send the next ``n`` messages on paths that begin with ``path`` in ``pieces`` frames, pings between them.

        With ``seconds``, it is every message for so long, in place of ``n`` of them.
        """
        self._fragments.add("fragment", path_prefix(path), n, check_count("pieces", pieces), seconds)

    def stall_feed(self, path: str, seconds: float) -> None:
        """Keep back everything on paths that begin with ``path``; afterwards it is sent, in order.

        Pings are still answered: nothing but the silence tells.

        Args:
            path: The paths' prefix.
            seconds: How long, on trio's clock, virtual ones included; 0 ends a stall.

        Raises:
            ValueError: ``seconds`` is negative or without end.
            RuntimeError: It was not called inside trio.
        """
        self._hub.stall(path_prefix(path), check_number("seconds", seconds, finite=True))

    def close_streams(self, path: str = "", code: int = 1012, reason: str = "") -> None:
        """End all feeds on paths that begin with ``path`` with a close frame, once what waits is sent."""
        if not 1000 <= check_count("code", code) <= 4999:
            raise ValueError(f"code is a close code, from 1000 to 4999, not {code}")
        for subscription in self._hub.matching(path_prefix(path)):
            subscription.close(code, reason)

    # What the exchange asks

    def on_handshake(self, path: str) -> None:
        """Raise the refusal that waits for a handshake, if any."""
        self._check_rate(path)
        if (refusal := self._handshakes.take(path)) is not None:
            raise Rejection(refusal)

    def on_request(self, path: str) -> None:
        """Raise the failure that waits for a request, if any."""
        self._check_rate(path)
        if (failure := self._requests.take(path)) is not None:
            raise Rejection(failure)

    def _check_rate(self, path: str) -> None:
        if self._limit is not None and not self._limit.admits(path, self._accounts.now_ns()):
            self.refused += 1
            raise Rejection(self._limit.refusal)

    def take_delay(self, path: str) -> float:
        """How long an answer is to be held back, in seconds."""
        return self._delays.take(path) or 0.0

    def take_staleness(self, asset: str, least: int = 0) -> int:
        """How many changes old a snapshot is to be, where its replica is ``least`` changes behind anyway."""
        return max(self._stale.take(asset) or 0, least)

    def next_number(self, asset: str, current: int) -> int:
        """The number of a market's next diff."""
        order = self._numbering.get(asset)
        if order is None:
            return current + 1
        number = current + order.skip + order.step
        order.skip = 0
        return number

    def on_diff(self, asset: str, message: bytes) -> list[bytes]:
        """What is to be sent in place of one diff."""
        order = self._numbering.get(asset)
        if order is None:
            return [message]
        if order.lose:
            order.lose -= 1
            return []
        if order.swap:
            order.swap, order.held = False, message
            return []
        messages = [message]
        if order.held is not None:
            messages.append(order.held)
            order.held = None
        if order.repeat:
            order.repeat -= 1
            messages.append(message)
        return messages

    def apply_faults(self, path: str, message: bytes) -> bytes:
        """A message as it is to be sent on a path: whole, in fragments, or garbage in its place."""
        garbage = self._garbled.take(path)
        message = self.on_message(path, message) if garbage is None else garbage
        pieces = self._fragments.take(path)
        return message if pieces is None else fragmented(message, pieces)

    def _of(self, asset: str | int) -> _Numbering:
        return self._numbering.setdefault(self._listed(asset), _Numbering())

    def _listed(self, asset: str | int) -> AssetIdentifier:
        """The asset of a market that is listed: nothing would ever happen to another."""
        self._depth_of(asset)
        return AssetIdentifier(asset)


def _failure(status: int, retry_after: float | None) -> Response:
    if not 200 <= check_count("status", status) <= 599:
        raise ValueError(f"status is an HTTP status code, from 200 to 599, not {status}")
    if retry_after is not None:
        check_number("retry_after", retry_after)
    return error(
        status,
        _CODES.get(status, "INTERNAL_ERROR" if status >= 500 else "REFUSED"),
        "ordered by the test",
        retryable=status in {429, 503},
        retry_after=retry_after,
    ).response

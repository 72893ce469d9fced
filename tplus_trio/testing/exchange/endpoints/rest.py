"""REST: the router of requests, and the endpoints of market data."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, TypeAlias, TypeVar, cast

import attrs

from tplus_trio.models import Interval
from tplus_trio.testing.exchange.candles import Candles, candle_json
from tplus_trio.testing.exchange.http_messages import Rejection, Request, Response, as_object, error, json_response
from tplus_trio.testing.exchange.market_state import MarketState, trade_json

__all__ = ["MAX_PAGE", "Call", "Handler", "MarketData", "Router", "integer", "page_of"]

T = TypeVar("T")

GATEWAY_PREFIX: Final = "/market-data"
DEFAULT_PAGE: Final = 100
MAX_PAGE: Final = 1000
_MAX_INTEGER: Final = 2**63 - 1


@attrs.frozen
class Call:
    """A request on its way to its handler.

    Attributes:
        request: The request.
        arguments: The segments of the path in the places of ``*``.
        user: The public key of the user whose token it carries; None without a token.
        behind: For market data, the lag in seconds of the replica that answers.
        shift: The number of rows that a page begins too early.
        listed_ns: For a listing of a user, the time whose state it shows, in nanoseconds since the Unix epoch; None is
            now.
        cut: The number of rows after which a listing ends; None lists all.
    """

    request: Request
    arguments: tuple[str, ...]
    user: str | None
    behind: float = 0.0
    shift: int = 0
    listed_ns: int | None = None
    cut: int | None = None

    @property
    def signed_in(self) -> str:
        """The public key of the user who is signed in.

        Raises:
            Rejection: (401) No user is signed in.
        """
        if self.user is None:
            raise error(401, "UNAUTHORIZED", "sign in first")
        return self.user

    def require_self(self, key: str) -> str:
        """Return the user, who must be the one that the path names.

        Raises:
            Rejection: (401) No user is signed in; (403) another user is.
        """
        if self.signed_in != key:
            raise error(403, "FORBIDDEN", "this belongs to another user")
        return key

    def body(self) -> dict[str, Any]:
        """Return the body, a JSON object.

        Raises:
            Rejection: (400) The body is not a JSON object.
        """
        try:
            value = json.loads(self.request.body)
        except (ValueError, RecursionError):
            raise error(400, "INVALID_JSON", "the body is not JSON") from None
        if not isinstance(value, dict):
            raise error(400, "INVALID_JSON", "the body is not a JSON object")
        return as_object(cast("object", value))


Handler: TypeAlias = Callable[[Call], Response]


class Router:
    """Finds the handler of a request.

    Args:
        market_state: The tokens, faults and taped answers.
        routes: Method, path and handler; ``*`` in a path matches any one segment. If two routes match, the first one is
            used.
        on_refusal: Called with each request, its path, and its refusal by a fault or by the exchange, unless the
            endpoint itself answers the refusal.
    """

    def __init__(
        self,
        market_state: MarketState,
        routes: Sequence[tuple[str, str, Handler]],
        on_refusal: Callable[[Request, str, Rejection], object],
    ) -> None:
        self._market_state = market_state
        self._on_refusal = on_refusal
        self._routes = [(method, pattern.split("/"), handler) for method, pattern, handler in routes]

    def handle(self, request: Request) -> Response:
        """Return the answer to a request."""
        path = request.path
        if path.startswith(f"{GATEWAY_PREFIX}/"):
            path = path.removeprefix(GATEWAY_PREFIX)
        self._market_state.requests[request.method, path] += 1
        try:
            self._market_state.faults.on_request(path)
            response = self._answer(request, path)
        except Rejection as rejection:
            self._on_refusal(request, path, rejection)
            return self._delayed(path, rejection.response)
        if response.later is not None:
            response.later.finish = partial(self._finished, path)
            return response
        return self._finished(path, response)

    def _finished(self, path: str, response: Response) -> Response:
        """Return the answer to send in place of the exchange's own."""
        if response.is_sent:
            faults = self._market_state.faults
            replacement = faults.take_replacement(path) if response.may_be_replaced else None
            response = faults.on_answer(path, response) if replacement is None else replacement
        return self._delayed(path, response)

    def _delayed(self, path: str, response: Response) -> Response:
        delay = self._market_state.faults.take_delay(path)
        return attrs.evolve(response, delay=delay) if delay else response

    def _answer(self, request: Request, path: str) -> Response:
        taped = self._market_state.taped_answers
        if request.method == "GET" and (request.target in taped or path in taped):
            return Response(200, taped.get(request.target) or taped[path])
        segments = path.split("/")
        other_methods = False
        for method, pattern, handler in self._routes:
            arguments = _match(pattern, segments)
            if arguments is None:
                continue
            if method != request.method:
                other_methods = True
                continue
            user, faults = self._market_state.accounts.user_of(request.headers), self._market_state.faults
            behind, shift = faults.take_lag(request.target, path), faults.take_shift(request.target, path)
            return handler(Call(request, arguments, user, behind, shift))
        if other_methods:
            raise error(405, "METHOD_NOT_ALLOWED", f"{request.method} is not for {path}")
        raise error(404, "PATH_NOT_FOUND", f"there is nothing at {path}")


def _match(pattern: Sequence[str], segments: Sequence[str]) -> tuple[str, ...] | None:
    if len(pattern) != len(segments):
        return None
    for expected, segment in zip(pattern, segments, strict=True):
        if expected not in ("*", segment):
            return None
    return tuple(s for expected, s in zip(pattern, segments, strict=True) if expected == "*")


def integer(call: Call, name: str, default: int, least: int = 0, most: int = _MAX_INTEGER) -> int:
    """Return an integer of the query.

    Raises:
        Rejection: (400) The value is not an integer, or is out of range.
    """
    text = call.request.query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most):
        raise error(400, "INVALID_PARAMETER", f"{name} must be an integer from {least} to {most}")
    return int(text)


def page_of(
    call: Call, items: Sequence[T], limit: int = DEFAULT_PAGE, *, newest_first: bool = False
) -> tuple[list[T], dict[str, Any]]:
    """Return the page of ``items`` that the query requests, and the fields that describe the page.

    Args:
        call: The call; its query has ``page`` (from 0) and ``limit``.
        items: All items.
        limit: The items per page if the query has no ``limit``.
        newest_first: Whether to begin at the end of ``items``.
    """
    page = integer(call, "page", 0, most=10**9)
    limit = integer(call, "limit", limit, 1, MAX_PAGE)
    start, stop = max(page * limit - call.shift, 0), (page + 1) * limit - call.shift
    if newest_first:
        last = len(items)
        chosen = list(items[max(last - stop, 0) : max(last - start, 0)])[::-1]
    else:
        chosen = list(items[start:stop])
    more = stop < len(items)
    if call.cut is not None:
        chosen, more = chosen[: max(call.cut - start, 0)], more and stop < call.cut
    about = {
        "page": page,
        "limit": limit,
        "total_pages": -(-len(items) // limit),
        "cursor_size": len(chosen),
        "has_next_page": more,
        "next_page": page + 1 if more else None,
    }
    return chosen, about


class MarketData:
    """The endpoints that need no user: sign-in, markets and market data."""

    def __init__(self, market_state: MarketState) -> None:
        self._market_state = market_state

    def routes(self) -> list[tuple[str, str, Handler]]:
        """Return the routes of these endpoints."""
        return [
            ("GET", "/nonce/*", self._nonce),
            ("POST", "/auth", self._sign_in),
            ("GET", "/marketdepth/*", self._depth),
            ("GET", "/klines/*", self._klines),
            ("GET", "/ticker/*", self._ticker),
            ("GET", "/tickers", self._tickers),
            ("GET", "/openinterest/*", self._open_interest),
            ("GET", "/openinterest", self._all_open_interest),
            ("GET", "/trades", self._trades),
            ("GET", "/trades/*", self._trades_of),
            ("GET", "/market/*", self._market),
            ("GET", "/markets", self._markets),
            ("POST", "/market/create", self._create_market),
        ]

    def _nonce(self, call: Call) -> Response:
        return json_response({"value": self._market_state.accounts.new_nonce(call.arguments[0])})

    def _sign_in(self, call: Call) -> Response:
        return json_response(self._market_state.accounts.sign_in(call.body()))

    def _depth(self, call: Call) -> Response:
        listing = self._market_state.find(call.arguments[0])
        if not listing.depth.is_known:
            raise error(503, "NOT_ON_TAPE", "the tape has lost changes of this book, and has no snapshot behind them")
        return Response(200, self._market_state.snapshot(listing, call.behind))

    def _klines(self, call: Call) -> Response:
        listing = self._market_state.find(call.arguments[0])
        try:
            interval = Interval(call.request.query.get("interval", Interval.MIN_1))
        except ValueError:
            legal = " ".join(Interval)
            raise error(400, "INVALID_INTERVAL", f"interval must be one of {legal}") from None
        trades = self._market_state.trades_as_of(listing.trades, call.behind)
        candles = listing.candles if trades is listing.trades else Candles(trades)
        bars = candles.newest_first(interval, integer(call, "end_timestamp_ns", _MAX_INTEGER))
        items, about = page_of(call, bars)
        body = {
            "items": [candle_json(bar) for bar in items],
            "has_next_page": about["has_next_page"],
            "next_page": about["next_page"],
        }
        return json_response(body)

    def _ticker(self, call: Call) -> Response:
        return json_response(self._market_state.ticker(self._market_state.find(call.arguments[0])))

    def _tickers(self, _: Call) -> Response:
        return json_response([self._market_state.ticker(listing) for listing in self._market_state.listings.values()])

    def _open_interest(self, call: Call) -> Response:
        return json_response({"asset_id": self._market_state.find(call.arguments[0]).asset})

    def _all_open_interest(self, _: Call) -> Response:
        return json_response([{"asset_id": asset} for asset in self._market_state.listings])

    def _trades(self, call: Call) -> Response:
        trades = self._market_state.trades_as_of(self._market_state.listed_trades(), call.behind)
        chosen, _ = page_of(call, self._market_state.public_trades(trades), newest_first=True)
        return json_response([trade_json(trade) for trade in chosen])

    def _trades_of(self, call: Call) -> Response:
        listed = self._market_state.listed_trades(self._market_state.find(call.arguments[0]).asset)
        trades = self._market_state.trades_as_of(listed, call.behind)
        chosen, _ = page_of(call, self._market_state.public_trades(trades), newest_first=True)
        return json_response([trade_json(trade) for trade in chosen])

    def _market(self, call: Call) -> Response:
        return json_response(attrs.asdict(self._market_state.find(call.arguments[0]).market))

    def _markets(self, call: Call) -> Response:
        listed = [attrs.asdict(listing.market) for listing in self._market_state.listings.values()]
        chosen, about = page_of(call, listed)
        body: dict[str, Any] = {"markets": chosen, **about, "total_markets": len(listed)}
        if call.request.query.get("include_symbol_map") == "true":
            body["symbol_map"] = {}
        return json_response(body)

    def _create_market(self, call: Call) -> Response:
        listing = self._market_state.add_market(self._market_state.asset(call.body().get("asset_id")))
        return json_response(attrs.asdict(listing.market))

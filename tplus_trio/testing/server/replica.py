"""A replica: a second server of an exchange, whose answers can be frozen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tplus_trio.models import OrderBook
from tplus_trio.testing.exchange.endpoints.rest import GATEWAY_PREFIX
from tplus_trio.testing.exchange.exchange import Exchange
from tplus_trio.testing.exchange.feeds import Subscription
from tplus_trio.testing.exchange.http_messages import Request, Response, json_response

__all__ = ["Replica"]


class Replica:
    """A server that passes all requests and handshakes to an exchange until it is frozen.

    Give it to :meth:`MemoryNetwork.add_site() <tplus_trio.testing.MemoryNetwork.add_site>`. After a
    :meth:`freeze` it behaves like an old server that a DNS name no longer leads to: it still answers REST on open
    connections, and its answers no longer change.

    Args:
        exchange: The exchange that feeds and answers come from.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange: Final = exchange
        #: The unexpected exceptions of the exchange itself.
        self.crashes: Final = exchange.crashes
        #: The number of requests that got a frozen answer.
        self.frozen_answers: int = 0
        self._prefix: str | None = None
        self._frozen: dict[str, Response] = {}

    def freeze(self, path: str = "") -> None:
        """Answer each GET request on a path that begins with ``path`` with the same answer from now on.

        Depth snapshots are frozen at this moment, any other answer at the first request after this call. Orders,
        cancels and feeds still go to the exchange.

        Args:
            path: The prefix of the paths; ``""`` is all paths.
        """
        self._prefix = path
        self._frozen = {
            f"/marketdepth/{market.asset_id}": _depth(self._exchange.book(market.asset_id))
            for market in self._exchange.markets
        }

    def thaw(self) -> None:
        """End a :meth:`freeze`."""
        self._prefix = None
        self._frozen.clear()

    def now_ns(self) -> int:
        """Return the exchange's time, in nanoseconds since the Unix epoch, UTC. It is never frozen."""
        return self._exchange.now_ns()

    def handle(self, request: Request) -> Response:
        """Return the answer to a REST request."""
        path = request.path.removeprefix(GATEWAY_PREFIX)
        if self._prefix is None or request.method != "GET" or not path.startswith(self._prefix):
            return self._exchange.handle(request)
        key = path if path in self._frozen else request.target
        if key not in self._frozen:
            self._frozen[key] = self._exchange.handle(request)
        self.frozen_answers += 1
        return self._frozen[key]

    def subscribe(self, path: str, headers: Mapping[str, str] | None = None) -> Subscription:
        """Open a feed of the exchange.

        Raises:
            Rejection: The exchange refuses the handshake.
        """
        return self._exchange.subscribe(path, headers)


def _depth(book: OrderBook) -> Response:
    """Return a depth snapshot as an answer. Numbers are JSON strings, so that they stay exact."""
    sides = {
        name: [[str(price), str(quantity)] for price, quantity in side]
        for name, side in (("asks", book.asks), ("bids", book.bids))
    }
    return json_response({**sides, "sequence_number": book.sequence_number})

"""A second server of an exchange, whose answers can be frozen."""

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
    """A server that passes everything on to an exchange until it is frozen.

    Give it to :meth:`MemoryNetwork.add_site() <tplus_trio.testing.MemoryNetwork.add_site>`. After a
    :meth:`freeze` it is the server that a name led to before: it still answers REST on connections that were kept
    alive, and its answers do not change any more.

    Args:
        exchange: Where feeds and answers come from.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange: Final = exchange
        #: Failures of the exchange itself.
        self.crashes: Final = exchange.crashes
        #: How many requests were answered with a frozen answer.
        self.frozen_answers: int = 0
        self._prefix: str | None = None
        self._frozen: dict[str, Response] = {}

    def freeze(self, path: str = "") -> None:
        """Answer each GET request on a path that begins with ``path`` as it is answered now, for ever.

        Depth snapshots are what the books are at this moment. Any other answer is frozen when it is first asked
        for after this call. Orders, cancels and feeds are passed on as before.
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

    def handle(self, request: Request) -> Response:
        """Answer a REST request."""
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
            Rejection: It is refused.
        """
        return self._exchange.subscribe(path, headers)


def _depth(book: OrderBook) -> Response:
    """A depth snapshot as an answer. Numbers go as text, which keeps them exact."""
    sides = {
        name: [[str(price), str(quantity)] for price, quantity in side]
        for name, side in (("asks", book.asks), ("bids", book.bids))
    }
    return json_response({**sides, "sequence_number": book.sequence_number})

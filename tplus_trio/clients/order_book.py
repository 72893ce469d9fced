"""The client of the order book service: a user's orders, trades and positions, and requests about orders."""

from __future__ import annotations

from tplus_trio.clients.account_reads import AccountReads
from tplus_trio.clients.market_units import MarketUnits
from tplus_trio.clients.order_changes import OrderChanges
from tplus_trio.clients.order_entry import OrderEntry
from tplus_trio.clients.user_streams import UserStreams

__all__ = ["OrderBookClient"]


class OrderBookClient(UserStreams, OrderEntry, OrderChanges, MarketUnits, AccountReads):
    """A client of the order book service.

    A call signs in as its ``user``, or as the client's ``default_user``. Without either it raises `MissingUserError`
    before it sends anything; `get_market`, `get_markets` and `create_market` work without a user.

    A stream connects when it is entered or iterated. Leaving it closes its connection. A REST read that is cancelled
    leaves nothing behind: its connection is closed. A request about orders that is cancelled goes on for at most
    ``resolve_timeout``, to find out what became of the order; `orders_in_doubt` has what is not known.

    The arguments are those of every client: see `Client`.
    """

"""The client of the order book service: a user's orders, trades and positions, and requests about orders."""

from __future__ import annotations

import os

from tplus_trio.arguments import check_number
from tplus_trio.clients.account_reads import AccountReads
from tplus_trio.clients.base import asset
from tplus_trio.clients.market_units import MarketUnits
from tplus_trio.clients.order_cancels import OrderCancels
from tplus_trio.clients.order_changes import OrderChanges
from tplus_trio.clients.order_entry import OrderEntry
from tplus_trio.clients.order_scope import OrderScope
from tplus_trio.clients.user_streams import UserStreams
from tplus_trio.models import AssetIdentifier
from tplus_trio.orders.journal.file import OrderJournal
from tplus_trio.users import User

__all__ = ["OrderBookClient"]


class OrderBookClient(UserStreams, OrderEntry, OrderCancels, OrderChanges, MarketUnits, AccountReads):
    """A client of the order book service.

    A call signs in as its ``user``, or as the client's ``default_user``. Without either it raises `MissingUserError`
    before it sends anything; `get_market`, `get_markets` and `create_market` work without a user.

    A stream connects when it is entered or iterated. Leaving it closes its connection. A REST read that is cancelled
    leaves nothing behind: its connection is closed. A request about orders that is cancelled goes on for at most
    ``resolve_timeout``, to find out what became of the order; `orders_in_doubt` has what is not known.

    The arguments are those of every client: see `Client`.
    """

    def order_scope(
        self,
        asset_id: AssetIdentifier | str | int | None = None,
        *,
        deadline: float = 5.0,
        lease: float | None = None,
        journal: str | os.PathLike[str] | OrderJournal | None = None,
        user: User | None = None,
    ) -> OrderScope:
        """Return a block that owns the orders that are placed in it, and takes back what it left resting.

        Args:
            asset_id: The market of calls that name none; None means that each call names one.
            deadline: Seconds, more than 0: how long leaving the block, and a cancellation of its orders, may take.
            lease: Seconds, at least 2. Each order that may rest expires so long after it was sent, and is renewed at
                half of that while the block lives: so a program that is killed leaves nothing resting much longer. To
                renew an order, the scope cancels it, waits until it is proved gone, and creates the rest anew: for two
                round trips it does not rest, and it loses its place in the queue. None is no expiry.
            journal: A file, or an `OrderJournal`. Each order and each change of one is written there before it is sent,
                and each order that has gone after that. If the program is killed and started again with the same
                journal, the block owns those that may rest: it reads the user's orders before its body begins, for at
                most ``deadline`` seconds. An order that is not seen is in doubt; it is never sent again. None is no
                journal.
            user: The user of the orders; None is the default user. A journal has the orders of one user.

        Raises:
            MissingUserError: there is no user.
            RuntimeError: on entering: the client was not entered, or has been left; or another scope of the client
                keeps an order of a key that an order of the journal has. With a journal: the platform has no file
                locks.
            JournalInUse: on entering: another scope, of this process or another one, uses the journal.
            JournalCorrupt: on entering: the journal is not as it was written.
            OSError: on entering: the journal cannot be opened.
            ValueError: on entering: the journal has orders of another user.
            TypeError, ValueError: an argument is not legal.
            OrdersLeftResting: on leaving, if the body ended normally and an order is not proved gone.
        """
        return OrderScope(
            self,
            self._fates,
            self._kept_orders,
            self._user(user),
            None if asset_id is None else asset(asset_id),
            deadline=check_number("deadline", deadline, more=True, finite=True),
            lease=None if lease is None else check_number("lease", lease, least=2.0, finite=True),
            journal=OrderJournal(journal) if isinstance(journal, str | os.PathLike) else _checked(journal),
        )


def _checked(journal: OrderJournal | None) -> OrderJournal | None:
    if journal is not None and not isinstance(journal, OrderJournal):
        msg = f"journal is a path, an OrderJournal or None, not {type(journal).__name__}"
        raise TypeError(msg)
    return journal

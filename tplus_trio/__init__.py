"""The T+ exchange for trio programs: every feed is an ``async for``, every lifetime is a nursery."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tplus_trio.lazy import get_name, list_names

if TYPE_CHECKING:  # type checkers read the same names from the same modules
    from tplus_trio.book.changes import *
    from tplus_trio.book.live import *
    from tplus_trio.book.local import *
    from tplus_trio.book.session import *
    from tplus_trio.clients.base import *
    from tplus_trio.clients.market_data import *
    from tplus_trio.clients.order_book import *
    from tplus_trio.clients.order_scope import *
    from tplus_trio.clients.statistics import *
    from tplus_trio.errors import *
    from tplus_trio.log_events import *
    from tplus_trio.models import *
    from tplus_trio.observer import *
    from tplus_trio.orders.batch_results import *
    from tplus_trio.orders.control_statistics import *
    from tplus_trio.orders.exposure import *
    from tplus_trio.orders.journal.file import *
    from tplus_trio.orders.limiter import *
    from tplus_trio.orders.limits import *
    from tplus_trio.orders.order_state import *
    from tplus_trio.orders.scopes.handle import *
    from tplus_trio.orders.service_rules import *
    from tplus_trio.orders.unsettled import *
    from tplus_trio.streams.overflow.base import *
    from tplus_trio.streams.policy import *
    from tplus_trio.streams.recovery.depth_recovery import *
    from tplus_trio.streams.recovery.order_listing import *
    from tplus_trio.streams.recovery.sequencing import *
    from tplus_trio.streams.stats import *
    from tplus_trio.streams.stream import *
    from tplus_trio.transport.connector import *
    from tplus_trio.transport.request_statistics import *
    from tplus_trio.transport.service_clock import *
    from tplus_trio.users import *

#: The modules whose ``__all__`` are the public names, lower layers first: a name is looked for in this order, so that
#: nothing is imported that stands above the module that has it.
_MODULES = (
    "log_events",
    "errors",
    "models",
    "observer",
    "transport.connector",
    "transport.request_statistics",
    "transport.service_clock",
    "users",
    "streams.policy",
    "streams.overflow.base",
    "streams.stats",
    "streams.recovery.sequencing",
    "streams.recovery.depth_recovery",
    "streams.recovery.order_listing",
    "streams.stream",
    "book.local",
    "book.changes",
    "book.session",
    "book.live",
    "orders.batch_results",
    "orders.service_rules",
    "orders.unsettled",
    "orders.order_state",
    "orders.limits",
    "orders.limiter",
    "orders.exposure",
    "orders.control_statistics",
    "orders.journal.file",
    "orders.scopes.handle",
    "clients.statistics",
    "clients.base",
    "clients.market_data",
    "clients.order_scope",
    "clients.order_book",
)


def __getattr__(name: str) -> Any:
    return get_name(__name__, _MODULES, name)


def __dir__() -> list[str]:
    return list_names(__name__, _MODULES)

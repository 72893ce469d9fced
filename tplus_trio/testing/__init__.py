"""The embedded exchange: a T+ server in memory, with a network, tapes and traders to test a client.

With pytest-trio, `plugin` makes fixtures of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tplus_trio.lazy import get_name, list_names

if TYPE_CHECKING:  # type checkers read the same names from the same modules
    from tplus_trio.testing.exchange.answer_log import *
    from tplus_trio.testing.exchange.effects import *
    from tplus_trio.testing.exchange.exchange import *
    from tplus_trio.testing.exchange.faults.faults import *
    from tplus_trio.testing.exchange.feeds import *
    from tplus_trio.testing.exchange.http_messages import *
    from tplus_trio.testing.leaks import *
    from tplus_trio.testing.network.memory_network import *
    from tplus_trio.testing.replay.play_tape import *
    from tplus_trio.testing.replay.tape import *
    from tplus_trio.testing.server.replica import *
    from tplus_trio.testing.server.server import *
    from tplus_trio.testing.traders import *

#: The modules whose ``__all__`` are the public names, lower layers first, as in `tplus_trio`.
_MODULES = (
    "leaks",
    "exchange.http_messages",
    "replay.tape",
    "network.memory_network",
    "exchange.feeds",
    "exchange.effects",
    "exchange.answer_log",
    "exchange.faults.faults",
    "exchange.exchange",
    "traders",
    "server.replica",
    "replay.play_tape",
    "server.server",
)


def __getattr__(name: str) -> Any:
    return get_name(__name__, _MODULES, name)


def __dir__() -> list[str]:
    return list_names(__name__, _MODULES)

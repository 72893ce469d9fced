"""The embedded exchange: a T+ server in memory, with a network, tapes and traders to test a client.

With pytest-trio, `plugin` makes fixtures of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tplus_trio.lazy import get_name, list_names

if TYPE_CHECKING:  # type checkers read the same names from the same modules
    from tplus_trio.testing.exchange import *
    from tplus_trio.testing.faults import *
    from tplus_trio.testing.feeds import *
    from tplus_trio.testing.front import *
    from tplus_trio.testing.leaks import *
    from tplus_trio.testing.messages import *
    from tplus_trio.testing.network import *
    from tplus_trio.testing.playback import *
    from tplus_trio.testing.population import *
    from tplus_trio.testing.replica import *
    from tplus_trio.testing.tape import *

#: The modules whose ``__all__`` are the public names, lower layers first, as in `tplus_trio`.
_MODULES = (
    "leaks",
    "messages",
    "tape",
    "network",
    "feeds",
    "faults",
    "exchange",
    "population",
    "replica",
    "playback",
    "front",
)


def __getattr__(name: str) -> Any:
    return get_name(__name__, _MODULES, name)


def __dir__() -> list[str]:
    return list_names(__name__, _MODULES)

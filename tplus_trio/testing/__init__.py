"""The embedded exchange: a T+ server in memory, with a network, tapes and traders to test a client.

With pytest-trio, `plugin` makes fixtures of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tplus_trio.lazy import load

if TYPE_CHECKING:
    from tplus_trio.testing.exchange import Exchange
    from tplus_trio.testing.faults import Faults
    from tplus_trio.testing.feeds import Subscription
    from tplus_trio.testing.front import serve, serve_stream
    from tplus_trio.testing.leaks import assert_no_leaks
    from tplus_trio.testing.messages import Rejection, Request, Response
    from tplus_trio.testing.network import MemoryNetwork
    from tplus_trio.testing.playback import play
    from tplus_trio.testing.population import Population
    from tplus_trio.testing.replica import Replica
    from tplus_trio.testing.tape import Tape, TapeAnswer, TapeEntry, TapeFrame

__all__ = [
    "Exchange",
    "Faults",
    "MemoryNetwork",
    "Population",
    "Rejection",
    "Replica",
    "Request",
    "Response",
    "Subscription",
    "Tape",
    "TapeAnswer",
    "TapeEntry",
    "TapeFrame",
    "assert_no_leaks",
    "play",
    "serve",
    "serve_stream",
]

_ROOM_OF = {
    "Exchange": "exchange",
    "Faults": "faults",
    "MemoryNetwork": "network",
    "Population": "population",
    "Rejection": "messages",
    "Replica": "replica",
    "Request": "messages",
    "Response": "messages",
    "Subscription": "feeds",
    "Tape": "tape",
    "TapeAnswer": "tape",
    "TapeEntry": "tape",
    "TapeFrame": "tape",
    "assert_no_leaks": "leaks",
    "play": "playback",
    "serve": "front",
    "serve_stream": "front",
}


def __getattr__(name: str) -> Any:
    return load(__name__, _ROOM_OF, name)


def __dir__() -> list[str]:
    return sorted(__all__)

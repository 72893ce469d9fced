"""The embedded exchange: a T+ server in memory, with a network, tapes and traders to test a client.

With pytest-trio, `plugin` makes fixtures of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tplus_trio.lazy import load

if TYPE_CHECKING:
    from tplus_trio.testing.exchange.exchange import Exchange
    from tplus_trio.testing.exchange.faults.faults import Faults
    from tplus_trio.testing.exchange.feeds import Subscription
    from tplus_trio.testing.exchange.http_messages import Rejection, Request, Response
    from tplus_trio.testing.leaks import assert_no_leaks
    from tplus_trio.testing.network.memory_network import MemoryNetwork
    from tplus_trio.testing.replay.play_tape import play
    from tplus_trio.testing.replay.tape import Tape, TapeAnswer, TapeEntry, TapeFrame
    from tplus_trio.testing.server.replica import Replica
    from tplus_trio.testing.server.server import serve, serve_stream
    from tplus_trio.testing.traders import Population

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

_MODULE_OF = {
    "Exchange": "exchange.exchange",
    "Faults": "exchange.faults.faults",
    "MemoryNetwork": "network.memory_network",
    "Population": "traders",
    "Rejection": "exchange.http_messages",
    "Replica": "server.replica",
    "Request": "exchange.http_messages",
    "Response": "exchange.http_messages",
    "Subscription": "exchange.feeds",
    "Tape": "replay.tape",
    "TapeAnswer": "replay.tape",
    "TapeEntry": "replay.tape",
    "TapeFrame": "replay.tape",
    "assert_no_leaks": "leaks",
    "play": "replay.play_tape",
    "serve": "server.server",
    "serve_stream": "server.server",
}


def __getattr__(name: str) -> Any:
    return load(__name__, _MODULE_OF, name)


def __dir__() -> list[str]:
    return sorted(__all__)

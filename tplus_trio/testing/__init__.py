"""The embedded exchange: a T+ server in memory, with a network, tapes and traders to test a client."""

from __future__ import annotations

from tplus_trio.testing.exchange import Exchange
from tplus_trio.testing.faults import Faults
from tplus_trio.testing.feeds import Subscription
from tplus_trio.testing.front import serve, serve_stream
from tplus_trio.testing.messages import Rejection, Request, Response
from tplus_trio.testing.network import MemoryNetwork
from tplus_trio.testing.playback import play
from tplus_trio.testing.population import Population
from tplus_trio.testing.tape import Tape, TapeAnswer, TapeEntry, TapeFrame

__all__ = [
    "Exchange",
    "Faults",
    "MemoryNetwork",
    "Population",
    "Rejection",
    "Request",
    "Response",
    "Subscription",
    "Tape",
    "TapeAnswer",
    "TapeEntry",
    "TapeFrame",
    "play",
    "serve",
    "serve_stream",
]

"""A `LocalExchange` at the other end of a pipe: pickles, each after its length."""

from __future__ import annotations

import pickle
import struct
from collections import Counter
from typing import Any, Final

import attrs
import trio.abc

from tests.simulation.invariants import Violation

from .checkers import Facts
from .exchange import LocalExchange

__all__ = ["RemoteExchange", "obey", "receive", "send"]

_LENGTH: Final = struct.Struct("!I")


async def send(stream: trio.abc.SendStream, value: object) -> None:
    """Send one value."""
    data = pickle.dumps(value)
    await stream.send_all(_LENGTH.pack(len(data)) + data)


async def receive(stream: trio.abc.ReceiveStream) -> Any:
    """Receive one value.

    Raises:
        EOFError: the other end is gone.
    """
    (size,) = _LENGTH.unpack(await _exactly(stream, _LENGTH.size))
    return pickle.loads(await _exactly(stream, size))


async def _exactly(stream: trio.abc.ReceiveStream, size: int) -> bytes:
    data = b""
    while len(data) < size:
        if not (more := await stream.receive_some(size - len(data))):
            raise EOFError("the other end is gone")
        data += more
    return data


async def obey(local_exchange: LocalExchange, stream: trio.abc.Stream, faults: Counter[str] | None = None) -> None:
    """Call the methods that the other end names, until it ends.

    Args:
        local_exchange: The exchange whose methods are called.
        stream: The pipe.
        faults: The counts of faults at this end.
    """
    while True:
        try:
            order = await receive(stream)
        except EOFError:
            return
        answer = await getattr(local_exchange, order)()
        if isinstance(answer, Facts):
            answer = attrs.evolve(answer, faults=dict(faults or {}))
        await send(stream, answer)


class RemoteExchange:
    """A `SoakExchange` at the other end of a pipe.

    Args:
        stream: Leads to a process that runs `obey`.
    """

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream

    async def begin(self) -> None:
        await self._ask("begin")

    async def hush(self) -> None:
        await self._ask("hush")

    async def touch(self) -> Facts:
        facts: Facts = await self._ask("touch")
        return facts

    async def forget(self) -> None:
        await self._ask("forget")

    async def _ask(self, order: str) -> Any:
        await send(self._stream, order)
        try:
            return await receive(self._stream)
        except EOFError:
            raise Violation("the exchange's process has ended") from None

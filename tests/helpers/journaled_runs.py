"""Runs of a program that keeps a journal, one of which is killed, against one embedded exchange."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import attrs
import pytest
import trio

from tests.helpers.world import ASSET, URL
from tplus_trio import OrderBookClient, OrderJournal, OrderScope, OrdersLeftResting, TplusError, User
from tplus_trio.orders.journal import file as journal_file
from tplus_trio.orders.service_rules import ServiceRules
from tplus_trio.scopes import open_plain_nursery
from tplus_trio.testing import Exchange, MemoryNetwork

__all__ = ["Kill", "Machine", "resting_ids"]

#: How a process ends at a line of its journal: so many bytes of the line are written; or all of it, and the request is
#: on its way.
Kill = int | Literal["in flight"]

Program = Callable[[OrderScope], Awaitable[object]]


@attrs.define(eq=False)
class Machine:
    """An exchange, and the journal of the program that trades there."""

    journal: Path
    exchange: Exchange = attrs.field(factory=Exchange)
    user: User = attrs.field(factory=User)
    way: str = "rest"
    rules: ServiceRules | None = None
    lease: float | None = None
    #: Whether the exchange and the network are one second late.
    latency: float = 0.05
    #: The orders that the last run named when it was left.
    named: tuple[str, ...] = ()

    def __attrs_post_init__(self) -> None:
        self.exchange.add_market(ASSET)
        self.exchange.publish_diff(ASSET, bids=[(50, 5)], asks=[(2000, 5)])

    @asynccontextmanager
    async def client(self) -> AsyncGenerator[tuple[MemoryNetwork, OrderBookClient]]:
        """A client of a new process, with a network of its own."""
        async with (
            MemoryNetwork(self.exchange, latency=self.latency) as network,
            OrderBookClient(
                URL,
                connector=network,
                now_ns=self.exchange.now_ns,
                default_user=self.user,
                use_ws_control=self.way == "control",
                rules=self.rules,
            ) as client,
        ):
            yield network, client

    async def run(self, program: Program) -> None:
        """Run a program in a scope with the journal, to its end. ``named`` has what its scope left resting."""
        async with self.client() as (_, client):
            scope = client.order_scope(ASSET, journal=OrderJournal(self.journal), lease=self.lease)
            try:
                async with scope as orders:
                    await program(orders)
            except OrdersLeftResting:
                pass
            self.named = tuple(order.order_id for order in scope.left_resting)

    async def run_until_killed(
        self, program: Program, line: int, kill: Kill, monkeypatch: pytest.MonkeyPatch
    ) -> tuple[bool, int]:
        """Run a program whose process is killed at a line that it writes, counted from 0.

        Returns:
            Whether it was killed before its end, and the length of the line.
        """
        written, length, left = 0, 0, b""
        was_killed = trio.Event()
        write = journal_file._write_all

        def write_all(descriptor: int, data: bytes) -> None:
            nonlocal written, length, left
            if was_killed.is_set():
                raise OSError("the process is killed")
            number, written = written, written + 1
            if number != line:
                write(descriptor, data)
                return
            length = len(data)
            write(descriptor, data if kill == "in flight" else data[:kill])
            left = self.journal.read_bytes()
            if kill == "in flight":
                nursery.start_soon(end, 1.5 * self.latency)
            else:
                was_killed.set()
                network.partition(1e6, refuse=True)
                nursery.cancel_scope.cancel()
                raise OSError("the process is killed")

        async def end(seconds: float) -> None:
            await trio.sleep(seconds)
            left_later = self.journal.read_bytes()
            was_killed.set()
            nonlocal left
            left = left_later
            network.partition(1e6, refuse=True)
            nursery.cancel_scope.cancel()

        async def body() -> None:
            try:
                async with client.order_scope(ASSET, journal=self.journal, lease=self.lease) as orders:
                    await program(orders)
            except TplusError:
                if not was_killed.is_set():
                    raise
            nursery.cancel_scope.cancel()

        with monkeypatch.context() as patch:
            patch.setattr(journal_file, "_write_all", write_all)
            async with self.client() as (network, client), open_plain_nursery() as nursery:
                await body()
        if was_killed.is_set():
            self.journal.write_bytes(left)
        return was_killed.is_set(), length

    def times_sent(self) -> Counter[str]:
        """How often a create of each order reached the exchange."""
        return Counter(
            order_id
            for answer in self.exchange.answers
            if answer.operation == "create"
            for order_id in answer.order_ids
        )


def resting_ids(machine: Machine) -> set[str]:
    """The orders of the user that rest, by the exchange's own record."""
    return {order.order_id for order in machine.exchange.orders(machine.user) if order.is_open}

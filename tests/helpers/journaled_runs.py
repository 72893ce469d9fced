"""Runs a program with a journal against an embedded exchange, kills it, and runs it again."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
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

__all__ = ["Kill", "Machine", "content_of", "orders_in", "put_back", "resting_ids"]

#: How a process ends at a line of its journal: so much of the line is written, and no request is sent after that; or
#: the exchange has carried out the request of the line, and its answer is lost.
Kill = Literal["nothing", "a byte", "half", "all but the newline", "all", "carried out"]

Program = Callable[[OrderScope], Awaitable[object]]


@attrs.define(eq=False)
class Machine:
    """An embedded exchange, and a program with a journal that trades on it."""

    journal: Path
    exchange: Exchange = attrs.field(factory=Exchange)
    user: User = attrs.field(factory=User)
    way: str = "rest"
    rules: ServiceRules | None = None
    lease: float | None = None
    #: Seconds from one end of the network to the other.
    latency: float = 0.05
    #: The orders that the last run named when it was left.
    named: tuple[str, ...] = ()

    def __attrs_post_init__(self) -> None:
        self.exchange.add_market(ASSET)
        self.exchange.publish_diff(ASSET, bids=[(50, 5)], asks=[(2000, 5)])

    @asynccontextmanager
    async def client(self, resolve_timeout: float = 5.0) -> AsyncGenerator[tuple[MemoryNetwork, OrderBookClient]]:
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
                resolve_timeout=resolve_timeout,
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

    async def run_until_killed(self, program: Program, line: int, kill: Kill, monkeypatch: pytest.MonkeyPatch) -> bool:
        """Run a program whose process is killed at a line that it writes, counted from 0.

        Returns:
            Whether it was killed before its end.
        """
        written, left = 0, b""
        was_killed = trio.Event()
        write = journal_file._write_all

        def end() -> None:
            nonlocal left
            left = self.journal.read_bytes()
            was_killed.set()
            network.reset_connections()
            network.refuse(1_000_000)
            nursery.cancel_scope.cancel()

        def write_all(descriptor: int, data: bytes) -> None:
            nonlocal written
            if was_killed.is_set():
                raise OSError("the process is killed")
            number, written = written, written + 1
            if number != line:
                write(descriptor, data)
            elif kill == "carried out":
                write(descriptor, data)
                nursery.start_soon(end_when_answered, len(self.exchange.answers))
            else:
                lengths = {"nothing": 0, "a byte": 1, "half": len(data) // 2, "all but the newline": len(data) - 1}
                write(descriptor, data[: lengths.get(kill, len(data))])
                end()
                raise OSError("the process is killed")

        async def end_when_answered(answers: int) -> None:
            while len(self.exchange.answers) == answers:  # noqa: ASYNC110 - the exchange has no such event
                await trio.sleep(0.001)
            end()

        with monkeypatch.context() as patch:
            patch.setattr(journal_file, "_write_all", write_all)
            # What the client does after the end reaches nobody, and takes little time.
            async with self.client(resolve_timeout=0.5) as (network, client), open_plain_nursery() as nursery:
                scope = client.order_scope(ASSET, journal=self.journal, lease=self.lease, deadline=0.5)
                try:
                    async with scope as orders:
                        await program(orders)
                except OrdersLeftResting:
                    pass  # of an earlier run that was killed before it sent them
                except TplusError:
                    if not was_killed.is_set():
                        raise
        if was_killed.is_set():
            put_back(self.journal, left)
        return was_killed.is_set()

    def times_sent(self) -> Counter[str]:
        """How often a create of each order reached the exchange."""
        return Counter(
            order_id
            for answer in self.exchange.answers
            if answer.operation == "create"
            for order_id in answer.order_ids
        )


def put_back(journal: Path, content: bytes) -> None:
    """Let a journal have what it had when its process was killed."""
    journal.write_bytes(content)


def content_of(journal: Path) -> bytes:
    """What a journal has."""
    return journal.read_bytes()


def orders_in(journal: Path) -> list[str]:
    """Return the orders in a journal that may still rest."""
    with closing(journal_file.OpenJournal(journal, sync=False)) as opened:
        return [written.order.order_id for written in opened.orders]


def resting_ids(machine: Machine) -> set[str]:
    """Return the orders of the user that rest at the exchange."""
    return {order.order_id for order in machine.exchange.orders(machine.user) if order.is_open}

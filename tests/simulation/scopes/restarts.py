"""A program that starts again after its process was killed, with the journal of its first run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from tests.simulation.settings import sources
from tplus_trio import OrderBookClient, OrderScope
from tplus_trio.orders.journal.lines import OrderSent, encode_line

from .notes import ScopeNote

if TYPE_CHECKING:
    from .world import ScopeWorld

__all__ = ["start_again"]

#: The id of an order that was being written when the process was killed. It was never sent.
_TORN: Final = "torn"
#: What the journal calls it: more than it calls any other.
_ENTRY: Final = 10**6
_DEADLINE: Final = 5.0


async def start_again(world: ScopeWorld, written: bytes) -> None:
    """Open a scope with the journal of the first run, leave it, and note what it does not own.

    Args:
        world: The world, whose network works again.
        written: What the journal had when the process was killed.
    """
    path = world.folder / "journal of the second run"
    path.write_bytes(written + _torn_line(world, written))
    first = {order_id for order_id, placed in world.notes.placed.items() if placed.scope.is_journaled}
    note = ScopeNote("the second run", _DEADLINE, None, is_journaled=True)
    world.client = OrderBookClient("http://oms", **world.options())

    async def body(orders: OrderScope) -> None:
        owned = {order.order.order_id for handle in orders.open for order in handle._orders}
        world.log("world", f"the second run owns {owned}")
        world.unclaimed = (world.resting() & first) - owned
        world.never_sent = frozenset(owned - first)

    async with world.client:
        await world.bot_of_second_run.run_scope(note, body, journal=path)


def _torn_line(world: ScopeWorld, written: bytes) -> bytes:
    """Return a part of a line, without its end: nothing if no order was placed."""
    rng = sources(world.settings.seed, "scopes/torn")
    for placed in world.notes.placed.values():
        order = attrs.evolve(placed.handle._order, order_id=_TORN)
        line = encode_line(written.count(b"\n"), OrderSent(_ENTRY, order))
        return line[:-1] if rng.random() < 0.5 else line[: rng.randint(0, len(line) - 1)]
    return b""

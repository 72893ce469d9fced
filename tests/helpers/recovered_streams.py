"""Losses and the items that streams deliver after them, for tests of recoveries behind real streams."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import trio

from tests.helpers.world import ASSET, World
from tplus_trio import Gap, Stream, Trade

__all__ = ["assert_nothing_comes", "ids", "ids_and_gaps", "lose_connections", "make_trades", "take"]


async def take(stream: Stream[Any], n: int) -> list[Any]:
    """Receive ``n`` items within a minute."""
    with trio.fail_after(60):
        return [await stream.receive() for _ in range(n)]


async def assert_nothing_comes(stream: Stream[Any]) -> None:
    """Fail if an item arrives within half a minute."""
    with trio.move_on_after(30):
        raise AssertionError(await stream.receive())


def make_trades(world: World, n: int = 1) -> list[int]:
    """Publish ``n`` trades at rising prices, and return their ids."""
    return [world.exchange.publish_trade(ASSET, 100 + k, 1).trade_id for k in range(n)]


def ids(items: Sequence[Trade | Gap]) -> list[int]:
    """Return the ids of items that have to be trades."""
    assert all(isinstance(item, Trade) for item in items), items
    return [item.trade_id for item in items if isinstance(item, Trade)]


def ids_and_gaps(items: Sequence[Any]) -> list[Any]:
    """Return the id of each trade, and the text "gap" for each gap."""
    return ["gap" if isinstance(item, Gap) else item.trade_id for item in items]


async def lose_connections(world: World) -> None:
    """Reset the connections, so that clients notice at once; a stream connects again after a quarter of a second."""
    world.network.reset_connections()
    await trio.sleep(0.01)

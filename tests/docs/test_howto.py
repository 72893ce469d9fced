"""What the how-to page shows runs as it stands."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.world import ASSET, open_world, served_streams
from tplus_trio import BookNotSynced, HandshakeRejected, NotFoundError, OrderBook

PAGE = (Path(__file__).parent.parent.parent / "docs/howto.md").read_text(encoding="utf-8")
SHARE, FOLLOW, QUOTE, DESCRIBE = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def define(text: str) -> Any:
    """The function that a block defines."""
    names: dict[str, Any] = {
        "trio": trio,
        "BookNotSynced": BookNotSynced,
        "HandshakeRejected": HandshakeRejected,
        "NotFoundError": NotFoundError,
    }
    exec(compile(text, "howto.md", "exec"), names)
    return next(value for name, value in names.items() if name in re.findall(r"def (\w+)", text))


async def test_tasks_share_a_feed(capsys: pytest.CaptureFixture[str], autojump_clock: MockClock) -> None:
    recorded: list[object] = []
    traded: list[object] = []
    async with open_world() as world, trio.open_nursery() as nursery:
        nursery.start_soon(define(SHARE), world.md, ASSET, recorded.append, traded.append)
        await trio.sleep(1)
        world.change(3)
        await trio.sleep(1)
        assert recorded == traded
        assert len(recorded) == 4
        assert served_streams(world.network) == 1
        nursery.cancel_scope.cancel()
    assert capsys.readouterr().out.endswith(" 3\n")


async def test_a_market_is_waited_for(autojump_clock: MockClock) -> None:
    seen: list[object] = []
    async with open_world() as world, trio.open_nursery() as nursery:
        nursery.start_soon(partial(define(FOLLOW), world.md, ASSET, seen.append))
        await trio.sleep(1)
        assert [type(item) for item in seen] == [OrderBook]
        world.exchange.faults.reject_handshakes(5, 404)
        world.network.reset_connections()
        await trio.sleep(200)
        assert len(seen) == 1
        await trio.sleep(200)
        assert [type(item) for item in seen] == [OrderBook] * 2
        nursery.cancel_scope.cancel()


async def test_orders_are_taken_back(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        with trio.move_on_after(5):
            await define(QUOTE)(world.oms, ASSET, "mine")
        assert not world.exchange.is_open(world.user, "mine")
        assert [order.order_id for order in world.exchange.orders(world.user)] == ["mine"]


async def test_an_outage_is_described(autojump_clock: MockClock) -> None:
    describe = define(DESCRIBE)
    async with open_world() as world, world.md.open_book(ASSET) as book:
        await book.wait_synced()
        assert describe(book).startswith("best bid ")
        world.network.reset_connections()
        world.network.partition(10, refuse=True)
        await trio.sleep(1)
        assert describe(book).startswith("no price: the connection was lost")

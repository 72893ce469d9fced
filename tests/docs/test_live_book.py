"""The first programs of the documents: a live book, a ported feed, and what they print."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.pages import blocks, define
from tests.helpers.world import ASSET, open_world
from tplus_trio import Trade
from tplus_trio.testing import Exchange, serve


class Printed:
    """What a program prints, and a wait for it."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._more = trio.lowlevel.ParkingLot()

    def __call__(self, *words: object) -> None:
        self.lines.append(" ".join(map(str, words)))
        self._more.unpark_all()

    async def wait_for(self, start: str) -> None:
        while not any(line.startswith(start) for line in self.lines):
            await self._more.park()


def open_market() -> Exchange:
    exchange = Exchange()
    exchange.add_market(ASSET)
    exchange.publish_diff(ASSET, bids=[("9.5", 20)], asks=[("10.5", 20)])
    return exchange


@pytest.mark.parametrize("page", ["start/live_book.md", "index.md"])
async def test_the_first_program(page: str) -> None:
    """Over TCP, as a reader runs it."""
    exchange, printed = open_market(), Printed()
    names = define(page, print=printed)
    with trio.fail_after(20):
        async with serve(exchange) as url, trio.open_nursery() as nursery:
            nursery.start_soon(names["main"], url)
            await printed.wait_for("1001 ")
            exchange.faults.reject_handshakes(1, 503)
            exchange.faults.close_streams("/marketdepth")
            await printed.wait_for("out of sync: ")
            exchange.publish_diff(ASSET, bids=[("9.6", 1)])
            await printed.wait_for("1002 ")
            nursery.cancel_scope.cancel()


def test_the_first_page_shows_the_first_program() -> None:
    assert blocks("index.md")[0] == blocks("start/live_book.md")[0]


async def test_a_book_is_shown_while_it_is_in_sync(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    show: Callable[[Any], Awaitable[None]] = define("start/live_book.md")["show"]
    async with open_world() as world, trio.open_nursery() as nursery:
        world.exchange.publish_diff(ASSET, asks=[(200, 50)])
        nursery.start_soon(show, world.md)
        await trio.sleep(1)
        world.network.partition(60)
        await trio.sleep(4.1)
        nursery.cancel_scope.cancel()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("PriceLevel(")
    assert lines[2].startswith("out of sync: ")


async def test_trades_are_followed(autojump_clock: MockClock) -> None:
    seen: list[object] = []
    async with open_world() as world, trio.open_nursery() as nursery:
        nursery.start_soon(define("start/live_book.md")["follow"], world.md, seen.append)
        await trio.sleep(1)
        world.exchange.publish_trade(ASSET, 9, 1)
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    assert [type(item) for item in seen] == [Trade]


async def test_a_ported_program() -> None:
    exchange, printed = open_market(), Printed()
    main = define("howto/port_from_tpluspy.md", print=printed)["main"]
    with trio.fail_after(20):
        async with serve(exchange) as url, trio.open_nursery() as nursery:
            nursery.start_soon(main, url)
            await printed.wait_for("start again from 1001")
            exchange.publish_diff(ASSET, bids=[("9.6", 1)])
            await printed.wait_for("the next change: 1002")
            nursery.cancel_scope.cancel()

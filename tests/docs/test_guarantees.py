"""What the pages that explain show runs as it stands, and the diagram is that of the package."""

from __future__ import annotations

import re

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.pages import define, text_of
from tests.helpers.world import ASSET, open_world
from tplus_trio import BookChange, StreamState
from tplus_trio.streams.lifecycle import STATES, TRANSITIONS

SHOWN = define("guarantees.md", "explained/stream_life.md", "explained/clocks.md")


async def test_a_bot_quotes_while_the_book_is_in_sync(autojump_clock: MockClock) -> None:
    seen: list[str] = []

    async def quote(change: BookChange) -> None:
        seen.append(f"quote {change.sequence_number}")

    async def withdraw(reason: str) -> None:
        seen.append(f"withdraw: {reason}")

    async with open_world() as world, world.md.open_book(ASSET) as book, trio.open_nursery() as nursery:
        nursery.start_soon(SHOWN["quote_while_synced"], book, quote, withdraw)
        await book.wait_synced()
        await trio.sleep(0.1)
        world.network.stall()
        await trio.sleep(4)
        assert len(seen) == 2
        assert seen[1].startswith("withdraw: ")
        world.network.resume()
        await trio.sleep(10)
        assert [entry.split()[0] for entry in seen] == ["quote", "withdraw:", "quote"]
        nursery.cancel_scope.cancel()


async def test_a_stream_is_waited_for(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        assert await SHOWN["wait_until_live"](world.md, ASSET, 5) == (StreamState.LIVE, 1)
        world.network.partition(60)
        with pytest.raises(trio.TooSlowError):
            await SHOWN["wait_until_live"](world.md, ASSET, 5)


async def test_the_clock_is_shown(autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]) -> None:
    async with open_world() as world:
        SHOWN["show_clock"](world.md)
        assert capsys.readouterr().out == ""
        await world.md.get_orderbook_snapshot(ASSET)
        SHOWN["show_clock"](world.md)
        assert re.fullmatch(r"the service is -?0\.\d+ s ahead, to within 0\.500 s\n", capsys.readouterr().out)


def test_the_diagram_and_its_table_show_each_change_of_a_state() -> None:
    real = {
        (STATES[phase].name, STATES[row.phase].name)
        for (phase, _), row in TRANSITIONS.items()
        if row is not None and STATES[phase] is not STATES[row.phase]
    }
    drawn = re.findall(r'data-from="(\w+)" data-to="(\w+)"', text_of("explained/stream_life.svg"))
    assert sorted(drawn) == sorted(real)
    rows = re.findall(r"^\| (`[A-Z`, ]+) \| `([A-Z]+)` \|", text_of("explained/stream_life.md"), re.MULTILINE)
    assert {(before, after) for cell, after in rows for before in re.findall("[A-Z]+", cell)} == real

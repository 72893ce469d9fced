"""The block of the guarantees page runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import trio
from trio.testing import MockClock

from tests.helpers.world import ASSET, open_world
from tplus_trio import BookChange

PAGE = (Path(__file__).parent.parent.parent / "docs/guarantees.md").read_text(encoding="utf-8")
(QUOTE,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


async def test_a_bot_quotes_while_the_book_is_in_sync(autojump_clock: MockClock) -> None:
    names: dict[str, Any] = {}
    exec(compile(QUOTE, "guarantees.md", "exec"), names)
    seen: list[str] = []

    async def quote(change: BookChange) -> None:
        seen.append(f"quote {change.sequence_number}")

    async def withdraw(reason: str) -> None:
        seen.append(f"withdraw: {reason}")

    async with open_world() as world, world.md.open_book(ASSET) as book, trio.open_nursery() as nursery:
        nursery.start_soon(names["quote_while_synced"], book, quote, withdraw)
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

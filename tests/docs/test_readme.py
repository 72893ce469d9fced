"""What the README shows runs as it stands, and what it points to is there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.world import ASSET, open_world
from tplus_trio import MarketDataClient, Side
from tplus_trio.testing import Exchange, MemoryNetwork, serve

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROGRAM, BOT, QUOTE, TEST = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def run(text: str, **names: Any) -> dict[str, Any]:
    exec(compile(text, "README.md", "exec"), names)
    return names


def open_market() -> Exchange:
    exchange = Exchange()
    exchange.add_market(200)
    exchange.publish_diff(200, bids=[("9.5", 20)], asks=[("10.5", 20)])
    return exchange


def test_the_program_has_ten_lines() -> None:
    assert len([line for line in PROGRAM.splitlines() if line.strip()]) == 10


async def test_the_program() -> None:
    exchange, printed = open_market(), list[str]()
    done = trio.Event()

    def show(*words: object) -> None:
        printed.append(" ".join(map(str, words)))
        if printed[-1].startswith("then"):
            done.set()
        else:
            exchange.publish_diff(200, bids=[("9.4", 1)])

    async with serve(exchange) as url, trio.open_nursery() as nursery:
        text = PROGRAM.replace("http://127.0.0.1:8011", url)
        assert url in text
        assert text.endswith("trio.run(main)\n")
        main = run(text.removesuffix("trio.run(main)\n"), print=show)["main"]
        nursery.start_soon(main)
        with trio.fail_after(20):
            await done.wait()
        nursery.cancel_scope.cancel()
    assert printed[0] == "begin with the book 1001"
    assert printed[1].startswith("then change 1002 ")


async def test_the_bot(autojump_clock: MockClock) -> None:
    exchange, printed = open_market(), list[str]()
    shown = trio.Event()

    def show(*words: object) -> None:
        printed.append(" ".join(map(str, words)))
        if len(printed) == 2:
            shown.set()

    function = "async def bot(client):\n" + re.sub("^", "    ", BOT, flags=re.MULTILINE)
    bot: Callable[[MarketDataClient], Awaitable[None]] = run(function, print=show)["bot"]
    async with (
        MemoryNetwork(exchange) as network,
        MarketDataClient("http://exchange", connector=network) as client,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(bot, client)
        with trio.fail_after(20):
            await shown.wait()
        nursery.cancel_scope.cancel()
    assert printed[0].endswith(" 10.5")
    assert printed[1].startswith("1001 ")


async def test_the_orders(autojump_clock: MockClock) -> None:
    printed: list[tuple[object, ...]] = []

    def show(*words: object) -> None:
        printed.append(words)

    quote = run(QUOTE, print=show, Decimal=Decimal)["quote"]
    async with open_world() as world, world.md.open_book(ASSET) as book, trio.open_nursery() as nursery:
        nursery.start_soon(quote, book, world.oms, ASSET)
        await trio.sleep(5)
        (bid,) = world.exchange.resting(world.user)
        assert bid.side is Side.BUY
        book.reconnect()
        await trio.sleep(0.5)
        assert world.exchange.effects_of(world.user, bid.order_id)[-1].kind == "cancel"
        assert printed == [("out of sync: the bid was taken back;", (), "are in doubt")]
        await trio.sleep(5)
        assert len(world.exchange.resting(world.user)) == 1
        nursery.cancel_scope.cancel()
    assert world.exchange.resting(world.user) == ()


async def test_the_test(exchange: Exchange, market_data: MarketDataClient, autojump_clock: MockClock) -> None:
    test = run(TEST)["test_a_gap_begins_a_new_book"]
    with trio.fail_after(20):
        await test(exchange, market_data, autojump_clock)


def test_the_tests_file_is_whole(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TEST)
    pytester.runpytest_inprocess().assert_outcomes(passed=1)


PAGES = [path.relative_to(ROOT).as_posix() for path in [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md"))]]


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    for link in links:
        assert (ROOT / page).parent.joinpath(link).exists(), link
    assert links or page not in {"README.md", "docs/index.md"}


def test_the_two_commands() -> None:
    (block,) = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    demo, tests = block.splitlines()
    assert demo == 'pip install ".[cli]" && python -m tplus_trio demo'
    _, install, test = tests.split(" && ")
    # The matrix runs the same command.
    noxfile = (ROOT / "noxfile.py").read_text(encoding="utf-8")
    for command in (install.removeprefix("pip install "), test):
        assert ", ".join(f'"{word}"' for word in shlex.split(command)) in noxfile

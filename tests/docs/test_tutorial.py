"""The first order, the first bot, and its test: it passes the bot, and none that is broken so that it costs money."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from trio.testing import MockClock

import tplus_trio
import tplus_trio.testing
from tests.helpers.pages import blocks, define
from tests.helpers.world import URL, open_world
from tplus_trio import OrderBookClient

pytest_plugins = ["pytester"]

# pytester forgets the modules that its tests are the first to import: so all are imported before.
_LOADED = [getattr(package, name) for package in (tplus_trio, tplus_trio.testing) for name in package.__all__]

ROOT = Path(__file__).parent.parent.parent
BOT = (ROOT / "examples/market_maker.py").read_text(encoding="utf-8")
TEST = (ROOT / "examples/test_market_maker.py").read_text(encoding="utf-8")

#: What is replaced in the bot, by how that breaks it.
BROKEN = {
    "acts on a stale book": [
        ("book.while_synced(max_silence=2.0)", "nullcontext()"),
        ("            return  # the body of while_synced is cancelled at this moment too", "            continue"),
        ("import os\n", "import os\nfrom contextlib import nullcontext\n"),
    ],
    "takes its own bid for another's": [("if total > QUANTITY", "if total > 0")],
    "does not top up": [("refill=True", "refill=False")],
    "has no lease": [("lease=lease", "lease=None")],
    "swallows its cancellation": [
        (
            "async def make_market(",
            (
                "async def make_market(*args):\n"
                "    with suppress(BaseException):\n"
                "        await really_make_market(*args)\n\n\n"
                "async def really_make_market("
            ),
        ),
        ("import os\n", "import os\nfrom contextlib import suppress\n"),
    ],
}
NOTICED = {
    "acts on a stale book": "    assert quotes() == []",
    "takes its own bid for another's": "    assert quotes() == [(890, 10), (1000, 10)]",
    "does not top up": "    assert quotes() == [(890, 10), (1000, 10)]",
    "has no lease": "    assert quotes() == []",
    "swallows its cancellation": "    assert scope.cancelled_caught",
}


def run(pytester: pytest.Pytester, bot: str) -> pytest.RunResult:
    for name in ("market_maker", "test_market_maker"):
        sys.modules.pop(name, None)
    pytester.makepyfile(market_maker=bot, test_market_maker=TEST)
    return pytester.runpytest_inprocess()


def test_the_bot_passes(pytester: pytest.Pytester) -> None:
    run(pytester, BOT).assert_outcomes(passed=1)


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_bot_does_not(how: str, pytester: pytest.Pytester) -> None:
    bot = BOT
    for right, wrong in BROKEN[how]:
        assert bot.count(right) == 1
        bot = bot.replace(right, wrong)
    result = run(pytester, bot)
    result.assert_outcomes(failed=1)
    assert NOTICED[how] in result.stdout.str()


def test_both_are_short() -> None:
    assert len(BOT.splitlines()) <= 60
    assert len(TEST.splitlines()) <= 60


(FIRST,) = blocks("start/first_order.md")
SHOWN = [*blocks("start/first_bot.md"), *blocks("start/first_test.md")]


async def test_the_first_order(autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]) -> None:
    program, _, last = FIRST.rstrip().rpartition("\n")
    assert last == "trio.run(main)"
    assert len([text for text in program.splitlines() if text]) <= 10
    async with open_world() as world:
        options: dict[str, Any] = {"connector": world.network, "now_ns": world.exchange.now_ns}
        names = define("start/first_order.md")
        names["OrderBookClient"] = partial(OrderBookClient, **options)
        await names["main"](URL)
    assert capsys.readouterr().out == "resting: 0.010 at 9.00\ngone: Canceled\n"


def test_the_pages_show_what_runs() -> None:
    assert SHOWN
    real = [text.strip() for text in (BOT + TEST).splitlines() if text.strip()]
    for block in SHOWN:
        shown = [text.strip() for text in block.splitlines() if text.strip()]
        start = real.index(shown[0])
        while real[start : start + len(shown)] != shown:  # the first line may come more than once
            start = real.index(shown[0], start + 1)

"""The tutorial's bot and its test: the test passes the bot, and none that is broken in a way that costs money."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parent.parent.parent
BOT = (ROOT / "examples/bid_bot.py").read_text(encoding="utf-8")
TEST = (ROOT / "examples/test_bid_bot.py").read_text(encoding="utf-8")
TUTORIAL = (ROOT / "docs/tutorial.md").read_text(encoding="utf-8")

#: What is replaced in the bot, by how that breaks it.
BROKEN = {
    "acts on a stale book": [
        (
            "async with book.while_synced():  # raises the error that ended the book for good",
            "if not await book.wait_synced():",
        ),
        (
            "                    if (bid := book.best_bid) is not None:\n",
            (
                "                    with suppress(TplusError):\n"
                "                        self.best = book.best_bid\n"
                "                    if (bid := self.best) is not None:\n"
            ),
        ),
    ],
    "ignores a gap": [
        (
            "            # A trade, or a Gap in which trades may be missing: ask REST for the total.",
            "            if type(event).__name__ == 'Gap':\n                continue",
        ),
    ],
    "swallows its cancellation": [
        (
            "    async def run(self) -> None:\n",
            (
                "    async def run(self) -> None:\n"
                "        with suppress(BaseException):\n"
                "            await self.really_run()\n\n"
                "    async def really_run(self) -> None:\n"
            ),
        ),
    ],
    "leaves its order behind": [("trio.move_on_after(2, shield=True)", "trio.move_on_after(2)")],
}
NOTICED = {
    "acts on a stale book": "    assert bids() == []",
    "ignores a gap": "    assert bot.bought == len(exchange.user_trades(user)) == 1",
    "swallows its cancellation": "    assert scope.cancelled_caught",
    "leaves its order behind": "    assert bids() == []",
}


def run(pytester: pytest.Pytester, bot: str) -> pytest.RunResult:
    for name in ("bid_bot", "test_bid_bot"):
        sys.modules.pop(name, None)
    pytester.makepyfile(bid_bot=bot, test_bid_bot=TEST)
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


def lines(code: str) -> int:
    """How many lines say something."""
    return len([line for line in code.splitlines() if line.strip() and not line.strip().startswith(("#", '"""'))])


def test_both_are_short() -> None:
    bot = BOT[BOT.index("class BidBot") : BOT.index("async def main")]
    assert lines(bot) <= 30
    assert lines(TEST[TEST.index("async def") :]) <= 30


def test_the_tutorial_shows_what_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", TUTORIAL, re.DOTALL)
    assert blocks
    for block in blocks:
        shown = [line.strip() for line in block.splitlines() if line.strip()]
        real = [line.strip() for line in (BOT + TEST).splitlines()]
        start = real.index(shown[0])
        assert [line for line in real[start:] if line][: len(shown)] == shown

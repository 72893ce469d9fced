"""Writes the screens of ``tplus-trio book`` to docs/static: ``python -m docs.terminal_screens``. It needs tmux.

Each picture is what a terminal of that size shows: the command runs in tmux, against an exchange of this process.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Final

import trio
from rich.console import Console
from rich.terminal_theme import SVG_EXPORT_THEME
from rich.text import Text

from tplus_trio.testing import Exchange, Population, serve

FOLDER: Final = Path(__file__).parent / "static"
MARKET: Final = 200
#: Columns and rows.
SIZES: Final = ((80, 24), (120, 40), (200, 60))
SMALLEST: Final = SIZES[0]
#: Seconds until the command shows a state.
_SHOWS: Final = 4.0


def empty(exchange: Exchange) -> None:
    """Take all levels away."""
    book = exchange.book(MARKET)
    exchange.publish_diff(
        MARKET, [(level.price, Decimal(0)) for level in book.bids], [(level.price, Decimal(0)) for level in book.asks]
    )


def one_sided(exchange: Exchange) -> None:
    """Leave bids alone."""
    empty(exchange)
    exchange.publish_diff(MARKET, bids=[(Decimal("9.98"), Decimal(2)), (Decimal("9.95"), Decimal("0.5"))])


def crossed(exchange: Exchange) -> None:
    """Let the best bid be above the best ask."""
    one_sided(exchange)
    exchange.publish_diff(MARKET, asks=[(Decimal("9.97"), Decimal(1)), (Decimal("10.01"), Decimal(3))])


#: What happens to a quiet market before its screen is shot.
STATES: Final[dict[str, Callable[[Exchange], None]]] = {"empty": empty, "one-sided": one_sided, "crossed": crossed}


async def tmux(*arguments: str) -> str:
    """Run a command of tmux, and return what it prints."""
    done = await trio.run_process(["tmux", "-L", "docs", *arguments], capture_stdout=True)
    return done.stdout.decode()


def to_svg(shown: str, name: str, size: tuple[int, int]) -> str:
    """Return text with the codes of a terminal as a picture."""
    columns, rows = size
    console = Console(
        record=True, file=io.StringIO(), width=columns, height=rows, force_terminal=True, color_system="truecolor"
    )
    console.print(Text.from_ansi(shown), soft_wrap=True)
    svg = console.export_svg(title=f"tplus-trio book {MARKET}", theme=SVG_EXPORT_THEME, unique_id=f"screen-{name}")
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)  # the fonts of the reader, none from the net


async def shoot(name: str, size: tuple[int, int]) -> None:
    """Write what the terminal shows."""
    shown = await tmux("capture-pane", "-e", "-p", "-t", "book")
    await trio.Path(FOLDER / f"book-terminal-{name}.svg").write_text(to_svg(shown, name, size), encoding="utf-8")


async def open_terminal(url: str, size: tuple[int, int]) -> None:
    """Start the command in a terminal of this size."""
    columns, rows = map(str, size)
    command = f"{sys.executable} -m tplus_trio book {MARKET} --url {url}"
    await tmux("-f", "/dev/null", "new-session", "-d", "-s", "book", "-x", columns, "-y", rows, command)
    await tmux("set-option", "-g", "status", "off")
    await tmux("resize-window", "-t", "book", "-x", columns, "-y", rows)
    await trio.sleep(_SHOWS)


async def close_terminal() -> None:
    """End the command."""
    await tmux("kill-server")


async def main() -> None:
    """Write all screens."""
    exchange = Exchange(seed=0)
    population = Population(exchange, [MARKET], seed=0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(population.run)
        async with serve(exchange) as url:
            for size in SIZES:
                await open_terminal(url, size)
                await shoot("{}x{}".format(*size), size)
                await close_terminal()
            await open_terminal(url, SMALLEST)
        await trio.sleep(_SHOWS)  # the exchange has gone
        await shoot("lost", SMALLEST)
        await close_terminal()
        nursery.cancel_scope.cancel()
    for name, change in STATES.items():
        quiet = Exchange(seed=0)
        quiet.add_market(MARKET)
        change(quiet)
        async with serve(quiet) as url:
            await open_terminal(url, SMALLEST)
            await shoot(name, SMALLEST)
            await close_terminal()


if __name__ == "__main__":
    trio.run(main)

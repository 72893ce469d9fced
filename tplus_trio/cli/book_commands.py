"""The options of the commands about one order book: ``book`` and ``snapshot``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import click

from tplus_trio.cli.options import asset as market
from tplus_trio.cli.options import duration, examples
from tplus_trio.cli.services import market_data_options, services

if TYPE_CHECKING:
    from tplus_trio.models.asset import AssetIdentifier

__all__ = ["book", "snapshot"]

_PORT: Final = 8200


@click.command(
    "book", epilog=examples("book 200", "book 200 --url http://127.0.0.1:8011 --levels 10", "book 200 --web")
)
@click.argument("asset", callback=market)
@market_data_options
@click.option("--levels", type=click.IntRange(1), help="Show at most so many levels of each side.")
@click.option("--plain", is_flag=True, help="Print lines, also on a terminal.")
@click.option("--for", "seconds", metavar="TIME", callback=duration, help="End after this time: 500ms, 30s, 5m, 1h.")
@click.option("--count", type=click.IntRange(1), metavar="N", help="Print so many lines, and end.")
@click.option("--web", is_flag=True, help="Serve a page for a browser on this machine, and print its URL.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    show_default=str(_PORT),
    help="The port of the page; 0 takes a free one.",
)
def book(
    asset: AssetIdentifier,
    levels: int | None,
    plain: bool,
    seconds: float | None,
    count: int | None,
    web: bool,
    port: int | None,
) -> int:
    """Show the live order book of a market, until Ctrl-C.

    The screen shows the ladder, the spread, the last trades, and how the feed is doing. While the book is out of sync
    it says LOST and shows no price.

    Without a terminal it prints a line when the book has changed, twice a second at most, and one for each loss.
    NO_COLOR is honoured.

    With --web it serves a page that shows the same, a depth chart and candles. Only browsers on this machine can open
    it. It loads nothing from the internet.

    If the first request fails, the command fails. A connection that is lost later is made again.
    """
    if web and (plain or count is not None):
        raise click.UsageError("--web prints no lines: leave out --plain and --count.")
    if port is not None and not web:
        raise click.UsageError("--port applies to the page: name it with --web.")
    from tplus_trio.cli.book import watch_book  # noqa: PLC0415 - the help does not need it
    from tplus_trio.cli.run import run  # noqa: PLC0415 - not for the help

    where = services()
    program = partial(watch_book, asset=asset, services=where, levels=levels, plain=plain)
    page = None if not web else _PORT if port is None else port
    return run(partial(program, seconds=seconds, count=count, port=page))


@click.command("snapshot", epilog=examples("snapshot 200 --levels 5", "snapshot 200 --json"))
@click.argument("asset", callback=market)
@market_data_options
@click.option("--levels", type=click.IntRange(1), help="Print at most so many levels of each side.  [default: all]")
@click.option("--json", is_flag=True, help="Print one JSON object, as `stream depth --json` does.")
def snapshot(asset: AssetIdentifier, levels: int | None, json: bool) -> int:
    """Print the order book of a market as it is now, read over REST.

    Prices are in quote units, quantities in base units. TOTAL is the quantity up to this price.
    """
    from tplus_trio.cli.book import show_snapshot  # noqa: PLC0415 - the help does not need it
    from tplus_trio.cli.run import run  # noqa: PLC0415 - not for the help

    return run(partial(show_snapshot, asset=asset, services=services(), levels=levels, json=json))

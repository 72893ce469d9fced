"""The commands about one order book: ``book`` and ``snapshot``."""

from __future__ import annotations

from functools import partial

import click

from tplus_trio.cli.options import asset as to_asset
from tplus_trio.cli.options import duration
from tplus_trio.cli.run import run
from tplus_trio.models import AssetIdentifier

__all__ = ["book", "snapshot"]

_asset = click.argument("asset", callback=to_asset)
_url = click.option("--url", default="http://localhost:8011", show_default=True, help="URL of the market data service.")


@click.command()
@_asset
@_url
@click.option("--levels", type=click.IntRange(1), help="Show at most so many levels of each side.")
@click.option("--plain", is_flag=True, help="Print lines, also on a terminal.")
@click.option("--for", "seconds", metavar="TIME", callback=duration, help="End after this time: 30s, 5m, 2h.")
@click.option("--count", type=click.IntRange(1), help="Print so many lines, and end.")
def book(
    asset: AssetIdentifier, url: str, levels: int | None, plain: bool, seconds: float | None, count: int | None
) -> int:
    """Show the live order book of the market ASSET, until Ctrl-C.

    The screen shows the ladder, the spread, the last trades, and how the feed is doing. While the book is out of sync
    it says LOST and shows no price.

    Without a terminal it prints a line when the book has changed, twice a second at most, and one for each loss.
    NO_COLOR is honoured. If the first request fails, the command fails. A connection that is lost later is made again.

    Example: tplus-trio book 200 --url http://127.0.0.1:8011
    """
    from tplus_trio.cli.book import watch_book  # noqa: PLC0415 - `--help` need not wait for it

    return run(partial(watch_book, asset=asset, url=url, levels=levels, plain=plain, seconds=seconds, count=count))


@click.command()
@_asset
@_url
@click.option("--levels", type=click.IntRange(1), help="Print at most so many levels of each side.  [default: all]")
@click.option("--json", is_flag=True, help="Print one JSON object, as `stream depth --json` does.")
def snapshot(asset: AssetIdentifier, url: str, levels: int | None, json: bool) -> int:
    """Print the order book of the market ASSET as it is now, read over REST.

    Prices are in quote units, quantities in base units. TOTAL is the quantity up to this price.

    Example: tplus-trio snapshot 200 --levels 5 --json
    """
    from tplus_trio.cli.book import show_snapshot  # noqa: PLC0415 - `--help` need not wait for it

    return run(partial(show_snapshot, asset=asset, url=url, levels=levels, json=json))

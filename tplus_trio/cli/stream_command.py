"""The options of ``tplus-trio stream``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from tplus_trio.cli.feeds import FEEDS
from tplus_trio.cli.options import asset as market
from tplus_trio.cli.options import duration, examples
from tplus_trio.cli.services import load_signer, order_options, services
from tplus_trio.cli.settings import source_of

if TYPE_CHECKING:
    from tplus_trio.models.asset import AssetIdentifier

__all__ = ["stream"]


@click.command(
    "stream",
    epilog=examples("stream depth 200 --count 5", "stream trades --for 30s --json", "stream user-trades --user alice"),
)
@click.argument("feed", type=click.Choice(list(FEEDS)), metavar="FEED")
@click.argument("asset", callback=market, required=False)
@order_options
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="End after so many items.")
@click.option("--for", "seconds", callback=duration, metavar="TIME", help="End after this time: 500ms, 30s, 5m, 1h.")
@click.option("--json", is_flag=True, help="Print one JSON object a line.")
def stream(feed: str, asset: AssetIdentifier | None, count: int | None, seconds: float | None, json: bool) -> int:
    """Print one feed, one item a line.

    It ends after --count items or after --for, whichever comes first, or else at Ctrl-C. A snapshot is an item, and so
    is a gap, which stands for items that may be missing.

    \b
    Feeds of one market, which need an ASSET:
      depth    the book: a snapshot, then its changes
      klines   the candles
      ticker   the 24-hour summary
    Feeds of all markets:
      tickers  the 24-hour summaries
      trades   the confirmed trades
    Feeds of one stored user, which need --user (the other feeds sign in only if --user is an option):
      orders                 what happens to the orders
      user-trades            the trades at every status
      user-finalized-trades  the confirmed trades
      positions              all positions, when one changes
      user-events            deposits, transfers and margin calls
      intent                 what other users intend to trade; for market makers

    If the first connection fails, the command fails. A connection that is lost later is made again; standard error
    says so.
    """  # noqa: D301 - \b tells click to keep the lines
    from tplus_trio.cli.run import run  # noqa: PLC0415 - the help does not need it
    from tplus_trio.cli.watch import watch  # noqa: PLC0415 - not for the help

    if FEEDS[feed].of_market and asset is None:
        raise click.UsageError(f"{feed} is the feed of one market: name its ASSET, like `stream {feed} 200`.")
    if not FEEDS[feed].of_market and asset is not None:
        raise click.UsageError(f"{feed} takes no ASSET.")
    where = services()
    signs_in = FEEDS[feed].of_user or source_of("user") is ParameterSource.COMMANDLINE
    user = load_signer() if signs_in else None
    program = partial(watch, name=feed, asset=asset, services=where, user=user, json=json)
    return run(partial(program, count=count, seconds=seconds))

"""The options of ``tplus-trio klines``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from tplus_trio.cli.options import asset as market
from tplus_trio.cli.options import examples
from tplus_trio.cli.services import market_data_options, services

if TYPE_CHECKING:
    from tplus_trio.models.asset import AssetIdentifier

__all__ = ["klines"]

#: The texts of `tplus_trio.models.Interval`, which the help does not import.
_INTERVALS: Final = (
    *("1S", "5S", "15S", "30S", "1", "3", "5", "15", "30"),
    *("60", "120", "240", "360", "480", "720", "1D", "3D", "1W", "1M"),
)


@click.command(
    "klines",
    epilog=examples(
        "klines 200 --interval 60 --limit 24",
        "klines 200 --interval 5 --plot",
        "klines 200 --interval 1D --png candles.png",
    ),
)
@click.argument("asset", callback=market)
@click.option(
    "--interval",
    type=click.Choice(_INTERVALS),
    metavar="WIDTH",
    default="60",
    show_default=True,
    help=f"The width of a candle. Digits alone are minutes, S is seconds: {', '.join(_INTERVALS)}.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    help="The most candles.  [default: 100; with --plot as many as fit into the terminal]",
)
@market_data_options
@click.option("--plot", is_flag=True, help="Draw the candles in the terminal.")
@click.option(
    "--png", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Draw the candles into a PNG file."
)
@click.option("--json", is_flag=True, help="Print one JSON object a line.")
def klines(asset: AssetIdentifier, interval: str, limit: int | None, plot: bool, png: Path | None, json: bool) -> int:
    """Show the candles of a market, as lines, as a chart or as a PNG.

    ASSET is the market. The newest candles are shown, oldest first. Prices are in quote units, the volume is in base
    units, and times are UTC. A PNG needs matplotlib: pip install "tplus_trio[plot]".
    """
    if plot + json + (png is not None) > 1:
        raise click.UsageError("Give one of --plot, --png and --json.")
    where = services()
    from tplus_trio.cli.klines import Output, show_klines  # noqa: PLC0415 - the help does not need it
    from tplus_trio.cli.run import run  # noqa: PLC0415 - not for the help

    output = Output(png=png, is_chart=plot, is_json=json)
    return run(partial(show_klines, services=where, asset=asset, interval=interval, limit=limit, output=output))

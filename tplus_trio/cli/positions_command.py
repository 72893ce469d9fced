"""The options of ``tplus-trio positions``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

from tplus_trio.cli.options import asset as market
from tplus_trio.cli.options import examples
from tplus_trio.cli.services import load_signer, order_options, services

if TYPE_CHECKING:
    from tplus_trio.models.asset import AssetIdentifier

__all__ = ["positions"]


@click.command("positions", epilog=examples("positions --user alice", "positions 200 --json --user alice"))
@click.argument("asset", callback=market, required=False)
@order_options
@click.option("--json", is_flag=True, help="Print one JSON object a line.")
def positions(asset: AssetIdentifier | None, json: bool) -> int:
    """Show the open positions of a stored user.

    ASSET is the market; without it, all markets are shown. Prices are in quote units, sizes in base units. `stream
    positions` prints them again each time that one changes.
    """
    where, user = services(), load_signer()
    from tplus_trio.cli.positions import show_positions  # noqa: PLC0415 - the help does not need it
    from tplus_trio.cli.run import run  # noqa: PLC0415 - not for the help

    return run(partial(show_positions, services=where, user=user, asset=asset, json=json))

"""``tplus-trio positions``: the open positions of a user."""

from __future__ import annotations

from typing import Final

from tplus_trio.cli.lines import Lines
from tplus_trio.cli.services import Services
from tplus_trio.cli.show import as_json, short
from tplus_trio.cli.table import table_lines
from tplus_trio.models import AssetIdentifier, Position
from tplus_trio.users import User

__all__ = ["show_positions"]

_COLUMNS: Final = ("market", "account", "side", "size", "entry", "mark", "profit", "margin", "leverage", "liquidation")


async def show_positions(
    lines: Lines, *, services: Services, user: User, asset: AssetIdentifier | None, json: bool
) -> int:
    """Print a user's open positions.

    Args:
        lines: Where to print.
        services: Where the order service is.
        user: The user.
        asset: The market; None is all markets.
        json: Whether to print JSON.

    Raises:
        TplusError: the positions could not be read.
    """
    async with services.orders(user) as client:
        found = [position async for position in client.iter_user_positions() if asset in {None, position.asset_id}]
    if json:
        for position in found:
            await lines.put(as_json(position))
    elif found:
        for line in table_lines(_COLUMNS, map(_cells, found), left=3):
            await lines.put(line)
    else:
        await lines.put("no open positions")
    return 0


def _cells(position: Position) -> list[str]:
    numbers = (
        position.size,
        position.entry_price,
        position.mark_price,
        position.unrealized_pnl,
        position.margin,
        position.leverage,
        position.liquidation_price,
    )
    account = f"{position.sub_account_index} {position.name}".rstrip()
    texts = ["-" if number is None else f"{number:f}" for number in numbers]
    return [short(position.asset_id), account, position.side, *texts]

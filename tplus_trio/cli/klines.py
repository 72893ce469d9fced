"""``tplus-trio klines``: the candles of a market."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import attrs
import trio

from tplus_trio.cli.candles import draw_candles
from tplus_trio.cli.failure import USAGE, Failure, explaining, say
from tplus_trio.cli.lines import Lines
from tplus_trio.cli.services import Services
from tplus_trio.cli.show import as_json, utc
from tplus_trio.cli.table import table_lines
from tplus_trio.models import AssetIdentifier, KlineUpdate

__all__ = ["Output", "show_klines"]

_COLUMNS: Final = ("opened (UTC)", "open", "high", "low", "close", "volume")
_LIMIT: Final = 100
#: Candles that one request asks for, at most.
_PAGE: Final = 500
#: Rows of the terminal that the chart leaves free, for the prompt of the shell.
_FREE_ROWS: Final = 2
#: The most rows of a chart: a higher one is not read better.
_MOST_ROWS: Final = 40


@attrs.frozen
class Output:
    """How candles are shown: as lines, unless one of these is set."""

    png: Path | None = None
    is_chart: bool = False
    is_json: bool = False


async def show_klines(
    lines: Lines,
    *,
    services: Services,
    asset: AssetIdentifier,
    interval: str,
    limit: int | None,
    output: Output,
) -> int:
    """Show the newest candles of a market.

    Args:
        lines: Where to print.
        services: Where the market data service is.
        asset: The market.
        interval: The width of a candle, as the service spells it.
        limit: The most candles, at least 1; None is 100, or what fits into the terminal.
        output: How to show them.

    Raises:
        Failure: a PNG is asked for and matplotlib is missing, or the file cannot be written.
        TplusError: the candles could not be read.
    """
    if output.png is not None and find_spec("matplotlib") is None:
        raise Failure('a PNG needs matplotlib: pip install "tplus_trio[plot]"', USAGE)
    columns, rows = shutil.get_terminal_size()
    most = limit or (columns if output.is_chart else _LIMIT)
    candles: list[KlineUpdate] = []
    async with services.market_data() as client:
        async for candle in client.iter_klines(asset, min(most, _PAGE), interval=interval):
            candles.append(KlineUpdate.of(asset, candle))
            if len(candles) == most:
                break
    candles.reverse()
    if output.png is not None:
        await _write_png(output.png, candles, f"{asset}, interval {interval}")
        say(f"{len(candles)} candles in {output.png}")
    elif output.is_chart:
        height = max(1, min(rows - _FREE_ROWS, _MOST_ROWS))
        for line in draw_candles(candles, f"{asset}, interval {interval}", columns, height, has_color=_has_color()):
            await lines.put_styled(line)
    elif output.is_json:
        for candle in candles:
            await lines.put(as_json(candle))
    else:
        for line in table_lines(_COLUMNS, map(_cells, candles)) if candles else ("no candles",):
            await lines.put(line)
    return 0


def _cells(candle: KlineUpdate) -> list[str]:
    numbers = (candle.open, candle.high, candle.low, candle.close, candle.volume)
    return [utc(candle.open_timestamp_ns), *(f"{number:f}" for number in numbers)]


async def _write_png(file: Path, candles: Sequence[KlineUpdate], title: str) -> None:
    from tplus_trio.cli.candles_png import write_png  # noqa: PLC0415 - matplotlib is an extra, and takes a second

    with explaining(str(file), OSError):
        await trio.to_thread.run_sync(partial(write_png, file, candles, title))


def _has_color() -> bool:
    """Whether standard output shows colors, and nobody asked for none (no-color.org)."""
    is_dumb = os.environ.get("TERM", "dumb") == "dumb"
    return sys.stdout is not None and sys.stdout.isatty() and not is_dumb and not os.environ.get("NO_COLOR")

"""Draws candles into a PNG file, with matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from tplus_trio.models import Timebar

__all__ = ["write_png"]

_UP, _DOWN = "#2e7d32", "#c62828"
#: Of the width of a candle: the part that its body takes.
_BODY: Final = 0.7
#: Inches, and dots an inch: 1200 by 675.
_SIZE: Final = (12.0, 6.75)
_DPI: Final = 100
_DAY: Final = 86_400e9


def write_png(file: Path, candles: Sequence[Timebar], title: str) -> None:
    """Draw candles with their volumes. Blocks for about a second; it uses no display.

    Args:
        file: The file, which is replaced.
        candles: The candles, oldest first.
        title: The heading.

    Raises:
        OSError: The file cannot be written.
    """
    figure: Any = Figure(figsize=_SIZE, dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)  # instead of a window
    grid = figure.add_gridspec(4, 1)
    prices = figure.add_subplot(grid[:3, 0])
    volumes = figure.add_subplot(grid[3, 0], sharex=prices)
    for rises, color in ((True, _UP), (False, _DOWN)):
        group = [candle for candle in candles if (candle.close >= candle.open) is rises]
        if not group:
            continue
        # matplotlib counts days since 1970, as floats.
        middles = [(candle.open_timestamp_ns + candle.close_timestamp_ns) / 2 / _DAY for candle in group]
        widths = [(candle.close_timestamp_ns - candle.open_timestamp_ns) / _DAY * _BODY for candle in group]
        bottoms = [float(min(candle.open, candle.close)) for candle in group]
        bodies = [float(abs(candle.close - candle.open)) for candle in group]
        lows, highs = [float(candle.low) for candle in group], [float(candle.high) for candle in group]
        prices.vlines(middles, lows, highs, colors=color, linewidth=1.0)
        # The edge shows a body without height.
        prices.bar(middles, bodies, widths, bottoms, color=color, edgecolor=color, linewidth=1.0)
        volumes.bar(middles, [float(candle.volume) for candle in group], widths, color=color)
    prices.set_title(title)
    prices.set_ylabel("price (quote units)")
    volumes.set_ylabel("volume")
    volumes.set_xlabel("time (UTC)")
    locator = AutoDateLocator()  # type: ignore[no-untyped-call]  # matplotlib types its figures, but not all of its dates
    volumes.xaxis.set_major_locator(locator)
    volumes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]  # as above
    prices.tick_params(labelbottom=False)
    prices.ticklabel_format(axis="y", style="plain", useOffset=False)  # 1415.60, not 0.60 and +1.415e3 above
    prices.use_sticky_edges = False  # or no room is left below the lowest body
    for axes in (prices, volumes):
        axes.grid(visible=True, alpha=0.3)
        axes.set_axisbelow(True)
    figure.savefig(file, format="png")

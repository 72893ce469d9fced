"""Draws candles as text."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Final

import attrs
import click

from tplus_trio.cli.show import utc
from tplus_trio.models import Timebar

__all__ = ["draw_candles"]

_NONE, _WICK, _BODY = 0, 1, 2
#: The character for the upper and the lower half of a cell.
_CELLS: Final = {
    (_NONE, _NONE): " ",
    (_WICK, _NONE): "╵",
    (_NONE, _WICK): "╷",
    (_WICK, _WICK): "│",
    (_BODY, _NONE): "╹",
    (_NONE, _BODY): "╻",
    (_BODY, _BODY): "┃",
    (_WICK, _BODY): "╽",
    (_BODY, _WICK): "╿",
}
_BARS: Final = "▁▂▃▄▅▆▇█"
#: A price is labelled in each of these rows.
_LABEL_STEP: Final = 4
_MOST_DECIMALS: Final = 10
_MINUTE_NS: Final = 60_000_000_000
#: Columns that the labels may take only if as many are left for candles.
_LEAST_CANDLES: Final = 8


@attrs.frozen
class _Scale:
    """Puts prices into half rows; 0 is the lowest."""

    low: float
    high: float
    halves: int

    def half(self, price: object) -> int:
        """Return the half row of a price."""
        span = self.high - self.low
        share = (float(str(price)) - self.low) / span if span > 0 else 0.5
        return min(self.halves - 1, max(0, round(share * (self.halves - 1))))

    def price(self, half: float) -> float:
        """Return the price of a half row."""
        return self.low + (self.high - self.low) * half / max(1, self.halves - 1)


def draw_candles(candles: Sequence[Timebar], title: str, width: int, height: int, *, has_color: bool) -> list[str]:
    """Draw candles, oldest first; of more than fit, the newest.

    With color, a candle that rises is green and one that falls is red. Without, the last line but one has ``+`` or
    ``-`` under each.

    Args:
        candles: The candles.
        title: The beginning of the first line.
        width: Columns, at least 1.
        height: Rows, at least 1. A chart takes at least 6.
        has_color: Whether to use ANSI colors.

    Returns:
        The lines. Without the colors, none is longer than ``width``.
    """
    if not candles:
        return [f"{title}: no candles"[:width]]
    decimals = min(_MOST_DECIMALS, max(_decimals(candle) for candle in candles))
    label_width = max(len(f"{float(candle.high):.{decimals}f}") for candle in candles)
    if width - label_width - 1 < _LEAST_CANDLES:
        label_width = -1  # without labels
    columns = max(1, width - label_width - 1)
    shown = candles[-columns:]
    gap = " " if 2 * len(shown) - 1 <= columns else ""
    rows = max(2, height - (3 if has_color else 4))
    scale = _Scale(float(min(c.low for c in shown)), float(max(c.high for c in shown)), 2 * rows)
    colors = ["green" if candle.close >= candle.open else "red" for candle in shown]
    paint = colors if has_color else [""] * len(shown)
    lines = [_title(title, shown, decimals, width)]
    for row in range(rows):
        label = ""
        if label_width > 0:
            is_labelled = row % _LABEL_STEP == 0 or row == rows - 1
            text = f"{scale.price(2 * (rows - row) - 1.5):.{decimals}f}" if is_labelled else ""
            label = f"{text:>{label_width}} "
        lines.append(label + _painted([_cell(candle, scale, 2 * (rows - row - 1)) for candle in shown], paint, gap))
    margin = " " * (label_width + 1)
    lines.append(margin + _painted(_volumes(shown), paint, gap))
    if not has_color:
        lines.append(margin + gap.join("+" if color == "green" else "-" for color in colors))
    lines.append(margin + _times(shown, (len(shown) - 1) * len(f"x{gap}") + 1, columns))
    return [line.rstrip() for line in lines]


def _decimals(candle: Timebar) -> int:
    exponents = [price.as_tuple().exponent for price in (candle.open, candle.high, candle.low, candle.close)]
    return max(0, *(-exponent for exponent in exponents if isinstance(exponent, int)))


def _title(title: str, candles: Sequence[Timebar], decimals: int, width: int) -> str:
    """Return the first line: as much of it as there is room for."""
    low, high = min(candle.low for candle in candles), max(candle.high for candle in candles)
    text = title[:width]
    for part in (
        f"last {candles[-1].close:.{decimals}f}",
        f"low {low:.{decimals}f}",
        f"high {high:.{decimals}f}",
        f"{len(candles)} candles",
    ):
        if len(text) + len(part) + 2 <= width:
            text += f"  {part}"
    return text


def _cell(candle: Timebar, scale: _Scale, lower: int) -> str:
    """Return the character of a candle in a row, whose lower half row is given."""
    top, bottom = scale.half(candle.high), scale.half(candle.low)
    ends = sorted((scale.half(candle.open), scale.half(candle.close)))

    def part(half: int) -> int:
        if ends[0] <= half <= ends[1]:
            return _BODY
        return _WICK if bottom <= half <= top else _NONE

    return _CELLS[part(lower + 1), part(lower)]


def _painted(cells: Sequence[str], colors: Sequence[str], gap: str) -> str:
    """Join the cells of a row; neighbors of one color share its codes."""
    parts: list[str] = []
    for color, group in groupby(zip(cells, colors, strict=True), key=lambda pair: pair[1] if pair[0] != " " else ""):
        text = gap.join(cell for cell, _ in group)
        parts.append(click.style(text, fg=color) if color else text)
    return gap.join(parts)


def _volumes(candles: Sequence[Timebar]) -> list[str]:
    most = max(candle.volume for candle in candles)
    if not most:
        return [" "] * len(candles)
    return [_BARS[int(candle.volume / most * (len(_BARS) - 1))] if candle.volume else " " for candle in candles]


def _times(candles: Sequence[Timebar], chart: int, columns: int) -> str:
    """Return the times of the first and the last candle, below them as far as there is room."""
    first, last = _time(candles[0]), _time(candles[-1])
    if chart >= len(first) + len(last) + 1:
        return f"{first}{last:>{chart - len(first)}}"
    both = f"{first} - {last}"
    return both if len(both) <= columns else first[:columns]


def _time(candle: Timebar) -> str:
    """Return when a candle opened: with the second if it is shorter than a minute, and else to the minute."""
    text = utc(candle.open_timestamp_ns)
    return text if candle.close_timestamp_ns - candle.open_timestamp_ns < _MINUTE_NS else text.removesuffix(":00")

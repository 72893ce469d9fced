"""Formats rows as a table of text."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tplus_trio.escapes import escape

__all__ = ["table_lines"]

#: Columns of the terminal that rich is told: enough that it never wraps or cuts a row.
_WIDTH: Final = 10_000


def table_lines(columns: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> list[str]:
    """Format a table, a line for each row, without a frame.

    Args:
        columns: The headings.
        rows: The cells. They are escaped.
        left: How many columns are aligned to the left; the others are aligned to the right.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for number, name in enumerate(columns):
        table.add_column(Text(name), justify="left" if number < left else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(escape(cell)) for cell in row))
    out = io.StringIO()
    Console(file=out, width=_WIDTH, color_system=None).print(table)
    return [line.rstrip() for line in out.getvalue().splitlines()]

"""The table, the JSON, and the chart."""

from __future__ import annotations

import importlib
import json
import os
import platform
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from .pairs import Samples
from .rows import Row

__all__ = ["draw_chart", "environment", "table", "write_json"]

_HEAD: Final = ("group", "what", "unit", "tplus_trio", "beside", "its figure", "ratio", "floor", "")
_RIGHT: Final = frozenset({"tplus_trio", "its figure", "ratio", "floor"})
_PACKAGES: Final = (
    "tplus-trio",
    "trio",
    "trio-websocket",
    "msgspec",
    "tpluspy",
    "websockets",
    "pydantic",
    "picows",
    "sortedcontainers",
    "order-book",
)


def environment() -> dict[str, str]:
    """Return what the figures depend on."""
    found = {"python": platform.python_version(), "system": platform.platform(), "cores": str(os.cpu_count())}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def table(rows: Sequence[Row]) -> str:
    """Return all rows as aligned text. A ratio is the other's figure divided by this one's; a floor is its least."""
    lines = [_HEAD, *(line for row in rows for line in _lines(row))]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEAD))]
    lines.insert(1, tuple("-" * width for width in widths))
    return "\n".join(
        "  ".join(
            text.rjust(width) if name in _RIGHT else text.ljust(width)
            for text, width, name in zip(line, widths, _HEAD, strict=True)
        ).rstrip()
        for line in lines
    )


def _lines(row: Row) -> Iterator[tuple[str, ...]]:
    first = (row.group, row.name, row.unit, _number(row.value, row.note))
    if not row.beside:
        yield (*first, "", "", "", "", "")
    for other in row.beside:
        ratio, met = row.ratio(other), row.met(other)
        yield (
            *first,
            other.name,
            _number(other.value, other.note),
            "" if ratio is None else f"{ratio:.2f}x",
            "" if other.floor is None else f">= {other.floor:.2f}x",
            {None: "", True: "met", False: "NOT MET"}[met],
        )
        first = ("", "", "", "")


def _number(value: float | None, note: str) -> str:
    if value is None:
        return note[:60] or "-"
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"


def write_json(path: Path, rows: Sequence[Row], samples: dict[str, Samples], settings: dict[str, Any]) -> None:
    """Write all results as JSON, including the figures of each run."""
    found = {
        "environment": environment(),
        "settings": settings,
        "rows": [row.to_json() for row in rows],
        "samples": {name: {"runs": runs.figures, "failure": runs.failure} for name, runs in samples.items()},
    }
    path.write_text(json.dumps(found, indent=1) + "\n")


def draw_chart(path: Path, rows: Sequence[Row]) -> str | None:
    """Draw the feeds and the latencies; if that is impossible, print the reason in one line."""
    panels = [
        (title, [row for row in rows if row.group == group and row.unit == unit and row.value is not None], log)
        for title, group, unit, log in (
            ("CPU per message, microseconds", "feeds", "us CPU/message", False),
            ("send to consumer, microseconds", "latency", "us", True),
        )
    ]
    panels = [panel for panel in panels if panel[1]]
    if not panels:
        return "no chart: neither feeds nor latencies were measured"
    try:
        matplotlib: Any = importlib.import_module("matplotlib")
        matplotlib.use("Agg")
        plt: Any = importlib.import_module("matplotlib.pyplot")
    except ImportError:
        return "no chart: matplotlib is not installed"
    figure, axes = plt.subplots(1, len(panels), figsize=(7 * len(panels), 5), squeeze=False)
    for axis, (title, shown, log) in zip(axes[0], panels, strict=True):
        names = ["tplus_trio", *dict.fromkeys(other.name for row in shown for other in row.beside)]
        height = 0.8 / len(names)
        for index, name in enumerate(names):
            values = [_figure(row, name) for row in shown]
            places = [place + index * height for place in range(len(shown))]
            bars = axis.barh(places, values, height, label=name)
            axis.bar_label(bars, [_number(value, "") for value in values], fontsize=8, padding=2)
        axis.set_yticks([place + 0.4 - height / 2 for place in range(len(shown))], [row.name for row in shown])
        axis.invert_yaxis()
        axis.set_title(f"{title} (less is better)")
        axis.set_xscale("log" if log else "linear")
        axis.margins(x=0.15)
        axis.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    return None


def _figure(row: Row, name: str) -> float:
    values = {"tplus_trio": row.value, **{other.name: other.value for other in row.beside}}
    return values.get(name) or 0.0

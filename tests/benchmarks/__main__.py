"""``python -m tests.benchmarks [--out FOLDER] [--quick] [--only GROUP[,GROUP…]]``: measure, and print one table."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from .pairs import Samples
from .report import draw_chart, environment, table, write_json
from .rows import GROUPS, Row, Scale


def main() -> None:
    """Measure the groups of the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--out", type=Path, help="a folder for results.json and chart.png")
    parser.add_argument("--quick", action="store_true", help="three rounds of few messages: to see that all runs")
    parser.add_argument("--only", default=",".join(GROUPS), help="which parts (default: %(default)s)")
    options = parser.parse_args()
    chosen = options.only.split(",")
    if unknown := set(chosen) - GROUPS.keys():
        parser.error(f"--only takes some of {', '.join(GROUPS)}, not {', '.join(sorted(unknown))}")
    scale = Scale(rounds=3, divisor=8) if options.quick else Scale()
    rows: list[Row] = []
    samples: dict[str, Samples] = {}
    start = time.monotonic()
    for name in chosen:
        for more, runs in GROUPS[name](scale):
            rows += more
            samples |= runs
            print(f"{time.monotonic() - start:5.0f} s  {', '.join(row.name for row in more)}", file=sys.stderr)
    rows.sort(key=lambda row: list(GROUPS).index(row.group))
    print(table(rows))
    print()
    print(", ".join(f"{name} {text}" for name, text in environment().items()))
    print(
        f"Medians of {scale.rounds} rounds, peers in turns, a fresh server and a fresh receiver for each run; "
        "no process is pinned to a core."
    )
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        settings = {"rounds": scale.rounds, "divisor": scale.divisor, "groups": chosen}
        write_json(options.out / "results.json", rows, samples, settings)
        if (note := draw_chart(options.out / "chart.png", rows)) is not None:
            print(note)


if __name__ == "__main__":
    main()

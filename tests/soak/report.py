"""The report of a soak: one table, one verdict, and the samples as files."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Final

import attrs

from tests.simulation.faults import KINDS

from .bot import Soak
from .exchange import REMOTE
from .samples import LIMITS, Sample, grown, tenth

__all__ = ["report", "verdict", "write"]

_MB: Final = 2**20
#: Counts that the faults cause directly; all others are consequences or come from the consumers.
_ORDERED: Final = {*KINDS, *REMOTE, "clock set"}


def verdict(soak: Soak, violation: str | None) -> list[str]:
    """Return what is wrong: an invariant that broke, or a figure that grew. Return nothing if all is well."""
    return [*([] if violation is None else [violation]), *grown(soak.samples)]


def report(soak: Soak, wrong: list[str], took: float) -> str:
    """Return the report in Markdown."""
    totals = soak.totals()
    end = soak.samples[-1].at if soak.samples else 0.0
    lines = [
        f"{end:,.0f} s of life in {took:,.0f} s, {len(soak.samples)} samples, {soak.checks} quiet moments",
        f"slowest to be live after the last fault: {soak.slowest:.1f} s",
        "",
        "| figure | second tenth | last tenth | most | allowed |",
        "|---|---|---|---|---|",
    ]
    for name, limit in LIMITS.items() if soak.samples else ():
        unit = _MB if name == "rss" else 1
        before, after = tenth(soak.samples, min(1, len(soak.samples) - 1), name), tenth(soak.samples, 9, name)
        most = max(getattr(sample, name) for sample in soak.samples)
        allowed = before + max(limit.share * before, limit.amount)
        label = "rss (MB)" if name == "rss" else name
        lines.append(
            f"| {label} | {before / unit:,.1f} | {after / unit:,.1f} | {most / unit:,.1f} | {allowed / unit:,.1f} |"
        )
    counts = ", ".join(f"{totals[name]:,} {name}" for name in ("messages", "connects", "gaps", "resyncs", "dropped"))
    rate = totals["messages"] / end if end else 0.0
    lines += ["", f"{counts}, {totals['malformed']:,} malformed; {rate:,.1f} messages/s, {soak.published:,} published"]
    counted = (soak.faults + soak.remote_faults).most_common()
    for what, pairs in (
        ("faults", [pair for pair in counted if pair[0] in _ORDERED]),
        ("others", [pair for pair in counted if pair[0] not in _ORDERED]),
    ):
        lines += ["", f"{sum(n for _, n in pairs):,} {what}: {', '.join(f'{n} {name}' for name, n in pairs)}"]
    lines += ["", *(f"WRONG: {text}" for text in wrong)] if wrong else ["", "flat, and every invariant held"]
    return "\n".join(lines)


def write(folder: Path, samples: list[Sample]) -> None:
    """Write samples.json and samples.csv."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [attrs.asdict(sample) for sample in samples]
    (folder / "samples.json").write_text(json.dumps(rows, indent=1))
    with (folder / "samples.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in attrs.fields(Sample)])
        writer.writeheader()
        writer.writerows(rows)

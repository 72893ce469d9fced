"""``python -m tests.fuzz``: run targets on inputs made at random, or one kept input again."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from .runner import GROWTH, Report, fuzz, keep, watched
from .targets import TARGETS


def main() -> int:
    """Run what the command line says; 1 if something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--target", action="append", choices=TARGETS, help="which ones (default: all of them)")
    parser.add_argument("--inputs", type=int, default=1_000_000, help="how many for each (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="other inputs for other seeds (default: %(default)s)")
    parser.add_argument("--case", type=Path, help="run this input alone, of the target that its folder is named after")
    options = parser.parse_args()
    if options.case:
        with watched():
            print(TARGETS[options.case.resolve().parent.name](options.case.read_bytes()))
        return 0
    logging.disable()  # what a recovery has to say is not said to anybody here
    found = 0
    for name in options.target or TARGETS:
        report = fuzz(TARGETS[name], options.inputs, options.seed)
        _print(name, options.seed, report)
        for where, (what, data) in report.failures.items():
            print(f"  {where}: {what}\n  again: python -m tests.fuzz --case {keep(name, data)}", flush=True)
        found += len(report.failures) + (report.growth > GROWTH)
    return bool(found)


def _print(name: str, seed: int, report: Report) -> None:
    rate = report.inputs / report.seconds
    print(f"{name}: seed {seed}, {report.inputs} inputs in {report.seconds:.0f} s ({rate:.0f}/s), ", end="")
    print(f"{report.refused / report.inputs:.0%} refused, {len(report.words)} kinds of answer; ", end="")
    print(f"slowest {report.slowest * 1000:.0f} ms, memory {report.growth:+.1f} MB; ", end="")
    print(f"{len(report.failures)} findings", flush=True)


if __name__ == "__main__":
    sys.exit(main())

"""Run simulated worlds: ``python -m tests.simulation``."""

from __future__ import annotations

import argparse
import sys
import time

from .bugs import BUGS
from .runner import Totals, run_seed, run_seeds


def main() -> int:
    """Run the worlds of the command line; return 1 if there was a violation."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many worlds (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="the first of them (default: %(default)s)")
    parser.add_argument("--seed", type=int, help="run this world alone, and print what happens in it")
    parser.add_argument("--bug", choices=sorted(BUGS), help="plant a bug, and stop once it is found")
    parser.add_argument("--jobs", type=int, default=1, help="how many processes (default: %(default)s)")
    options = parser.parse_args()
    replay = "python -m tests.simulation --seed {}" + (f" --bug {options.bug}" if options.bug else "")
    totals = Totals()
    if options.seed is not None:
        totals.add(run_seed(options.seed, options.bug, verbose=True))
        if not totals.violations:
            print("no violation")
        return bool(totals.violations)
    start = time.perf_counter()
    for outcome in run_seeds(range(options.first, options.first + options.seeds), options.bug, jobs=options.jobs):
        totals.add(outcome)
        if outcome.violation is not None:
            print(f"seed {outcome.seed}: {outcome.violation}")
            print(f"  again: {replay.format(outcome.seed)}", flush=True)
            if options.bug:
                break
        if sys.stderr.isatty() and totals.seeds % 10 == 0:
            print(f"\r{totals.seeds} worlds", end="", file=sys.stderr)
    _print(totals, time.perf_counter() - start)
    return bool(totals.violations)


def _print(totals: Totals, took: float) -> None:
    print(f"{totals.seeds} worlds, {totals.seconds / 3600:.1f} simulated hours in {took:.0f} s ", end="")
    print(f"({totals.seeds / took:.1f} worlds/s), {totals.items} events")
    print(f"slowest to be live after the last fault: {totals.slowest[0]:.1f} s (seed {totals.slowest[1]})")
    print(f"most snapshots asked for: {totals.most_snapshots[0]} (seed {totals.most_snapshots[1]})")
    for fault, count in sorted(totals.faults.items(), key=lambda pair: (-pair[1], pair[0])):
        print(f"{count:8} {fault}")
    print(f"{len(totals.violations)} violations")


if __name__ == "__main__":
    sys.exit(main())

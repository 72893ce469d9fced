"""Runs a soak, and reports whether anything grew or broke: ``python -m tests.soak``."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from .real import soak_for_real
from .report import report, verdict, write
from .simulated import simulate


def main() -> int:
    """Run the soak of the command line; return 1 if a figure grew or an invariant broke."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    modes = parser.add_subparsers(dest="mode", required=True)
    real = modes.add_parser("real", help="over TCP, in real time, against an exchange in a process of its own")
    real.add_argument("--seconds", type=float, default=3600.0, help="how long (default: %(default)s)")
    real.add_argument("--rate", type=float, default=3000.0, help="messages published a second (default: %(default)s)")
    simulated = modes.add_parser("simulated", help="in memory, on a virtual clock")
    simulated.add_argument("--days", type=float, default=30.0, help="how long (default: %(default)s)")
    for mode in (real, simulated):
        mode.add_argument("--seed", type=int, default=1, help="of everything that is random (default: %(default)s)")
        mode.add_argument("--out", type=Path, help="a folder for samples.json and samples.csv")
        mode.add_argument("--verbose", action="store_true", help="print what happens")
    options = parser.parse_args()
    start = time.monotonic()
    if options.mode == "real":
        soak, violation = soak_for_real(options.seed, options.seconds, options.rate, verbose=options.verbose)
    else:
        soak, violation = simulate(options.seed, options.days, verbose=options.verbose)
    wrong = verdict(soak, violation)
    print(report(soak, wrong, time.monotonic() - start))
    if options.out is not None:
        write(options.out, soak.samples)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())

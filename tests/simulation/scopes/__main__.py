"""Run scopes of orders under faults: ``python -m tests.simulation.scopes``."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from tests.simulation.fates.runner import FateTotals

from .bugs import SCOPE_BUGS
from .runner import ScopePlan, run_plan, run_seed
from .sweeps import run_sweeps


def main() -> int:
    """Run the worlds of the command line; return 1 if something was wrong in one."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.scopes", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many worlds each way (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="the first of them (default: %(default)s)")
    parser.add_argument("--seed", type=int, help="run this world alone, and print what happens in it")
    parser.add_argument("--way", choices=("rest", "control", "both"), default="both", help="how orders are sent")
    parser.add_argument("--bug", choices=sorted(SCOPE_BUGS), help="plant a bug, and stop once it is found")
    parser.add_argument("--sweep", action="store_true", help="cancel every call at each of its checkpoints instead")
    parser.add_argument("--show", type=int, default=20, help="how many findings are shown (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=1, help="how many processes (default: %(default)s)")
    options = parser.parse_args()
    ways: Any = ("rest", "control") if options.way == "both" else (options.way,)
    is_wrong = False
    for way in ways:
        plan = ScopePlan(way, options.bug)
        if options.seed is not None:
            outcome = run_seed(options.seed, plan, verbose=True)
            print(*outcome.findings, outcome.crash or "", sep="\n")
        else:
            is_wrong |= _run(plan, options)
    return is_wrong


def _run(plan: ScopePlan, options: argparse.Namespace) -> bool:
    totals, shown, start = FateTotals(), 0, time.perf_counter()
    seeds = range(options.first, options.first + options.seeds)
    by_control = plan.way == "control"
    outcomes = run_sweeps(by_control=by_control) if options.sweep else run_plan(seeds, plan, jobs=options.jobs)
    for outcome in outcomes:
        totals.add(outcome)
        for finding in (*outcome.findings, *([] if outcome.crash is None else [f"crash: {outcome.crash}"])):
            shown += 1
            if shown <= options.show:
                print(f"{plan.way} seed {outcome.seed}{outcome.origin}: {finding}", flush=True)
        if plan.bug is not None and (totals.wrong or totals.crashes):
            break
    took = time.perf_counter() - start
    each = took / max(1, totals.worlds)
    print(f"{plan.way}: {totals.worlds} worlds in {took:.0f} s ({each * 1000:.0f} s a thousand), {totals.calls} calls")
    for (act, ended), count in sorted(totals.fates.items()):
        print(f"{count:8} {act}: {ended}")
    print(f"orders that a late copy of a request made, not judged: {totals.late_copies}")
    print("wrong:", ", ".join(f"{count} {wrong}" for wrong, count in sorted(totals.wrong.items())) or "nothing")
    print(f"{totals.crashes} crashes")
    return bool(totals.wrong or totals.crashes)


if __name__ == "__main__":
    sys.exit(main())

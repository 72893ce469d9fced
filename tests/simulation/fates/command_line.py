"""What the command lines of worlds about orders have in common: which worlds run, and what is printed of them."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol, TypeVar

from .runner import FateTotals, Way
from .world import FateOutcome

__all__ = ["command_line", "run_worlds"]


class WorldPlan(Protocol):
    """How the worlds of a run are made."""

    @property
    def way(self) -> Way:
        """The way that orders are sent."""
        ...

    @property
    def bug(self) -> str | None:
        """The planted bug."""
        ...


P = TypeVar("P", bound=WorldPlan)

#: After so many worlds, a line says how far the run is.
_PROGRESS: Final = 500


def command_line(prog: str, description: str | None, bugs: Iterable[str]) -> argparse.ArgumentParser:
    """Return a parser with the options that choose worlds."""
    parser = argparse.ArgumentParser(prog=prog, description=description)
    parser.add_argument("--seeds", type=int, default=1000, help="how many worlds each way (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="the first of them (default: %(default)s)")
    parser.add_argument("--seed", type=int, help="run this world alone, and print what happens in it")
    parser.add_argument("--way", choices=("rest", "control", "both"), default="both", help="how orders are sent")
    parser.add_argument("--bug", choices=sorted(bugs), help="plant a bug, and stop once it is found")
    parser.add_argument("--sweep", action="store_true", help="cancel every call at each of its checkpoints instead")
    parser.add_argument("--show", type=int, default=20, help="how many findings are shown (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=1, help="how many processes (default: %(default)s)")
    return parser


def run_worlds(
    options: argparse.Namespace,
    plan_of: Callable[[Way], P],
    *,
    run_seed: Callable[..., FateOutcome],
    run_plan: Callable[..., Iterable[FateOutcome]],
    run_sweeps: Callable[..., Iterable[FateOutcome]],
    say: Callable[[FateTotals], None],
) -> bool:
    """Run the worlds of a command line, and return whether something was wrong in one.

    Args:
        options: What `command_line` has parsed.
        plan_of: Returns the plan for a way to send orders.
        run_seed: Runs one world of a plan.
        run_plan: Runs the worlds of seeds.
        run_sweeps: Runs the sweeps instead.
        say: Prints what the totals of a run say besides.
    """
    ways: Any = ("rest", "control") if options.way == "both" else (options.way,)
    is_wrong = False
    for way in ways:
        plan = plan_of(way)
        if options.seed is not None:
            outcome = run_seed(options.seed, plan, verbose=True)
            print(*outcome.findings, outcome.crash or "", sep="\n")
            continue
        start = time.perf_counter()
        seeds = range(options.first, options.first + options.seeds)
        outcomes = (
            run_sweeps(by_control=way == "control") if options.sweep else run_plan(seeds, plan, jobs=options.jobs)
        )
        totals = _totals(outcomes, plan, options.show)
        took = time.perf_counter() - start
        each = took / max(1, totals.worlds)
        print(f"{way}: {totals.worlds} worlds in {took:.0f} s ({each * 1000:.0f} s a thousand), {totals.calls} calls")
        for (act, ended), count in sorted(totals.fates.items()):
            print(f"{count:8} {act} {ended}")
        say(totals)
        print("wrong:", ", ".join(f"{count} {wrong}" for wrong, count in sorted(totals.wrong.items())) or "nothing")
        print(f"{totals.crashes} crashes")
        is_wrong |= bool(totals.wrong or totals.crashes)
    return is_wrong


def _totals(outcomes: Iterable[FateOutcome], plan: WorldPlan, most: int) -> FateTotals:
    """Add up the outcomes, and print the first findings."""
    totals, shown = FateTotals(), 0
    for outcome in outcomes:
        totals.add(outcome)
        if totals.worlds % _PROGRESS == 0:
            print(f"{plan.way}: {totals.worlds} worlds so far, {totals.crashes} crashes", file=sys.stderr, flush=True)
        for finding in (*outcome.findings, *([] if outcome.crash is None else [f"crash: {outcome.crash}"])):
            shown += 1
            if shown <= most:
                print(f"{plan.way} seed {outcome.seed}{outcome.origin}: {finding}", flush=True)
        if plan.bug is not None and (totals.wrong or totals.crashes):
            break
    return totals

"""Run order programs under faults: ``python -m tests.simulation.fates``."""

from __future__ import annotations

import sys

from .bugs import FATE_BUGS
from .command_line import command_line, run_worlds
from .guesses import GUESSES
from .runner import FateTotals, Plan, run_plan, run_seed
from .settings import RULES
from .sweeps import run_sweeps


def main() -> int:
    """Run the worlds of the command line; return 1 if something was wrong in one."""
    parser = command_line("python -m tests.simulation.fates", __doc__, FATE_BUGS)
    parser.add_argument("--broken-rule", choices=RULES, help="declare this rule, and let the exchange break it")
    parser.add_argument("--guess", choices=sorted(GUESSES), help="guess what the client does not know, by this rule")
    options = parser.parse_args()
    return run_worlds(
        options,
        lambda way: Plan(way, bug=options.bug, guess=options.guess, broken=options.broken_rule),
        run_seed=run_seed,
        run_plan=run_plan,
        run_sweeps=run_sweeps,
        say=_say,
    )


def _say(totals: FateTotals) -> None:
    rate = totals.unresolved / max(1, totals.resolvable)
    print(f"not known although it could be resolved: {totals.unresolved} of {totals.resolvable} ({rate:.2%})")
    print(f"late copies of refused requests, not judged: {totals.late_copies}")


if __name__ == "__main__":
    sys.exit(main())

"""Run scopes of orders under faults: ``python -m tests.simulation.scopes``."""

from __future__ import annotations

import sys

from tests.simulation.fates.command_line import command_line, run_worlds
from tests.simulation.fates.runner import FateTotals

from .bugs import SCOPE_BUGS
from .runner import ScopePlan, run_plan, run_seed
from .sweeps import run_sweeps


def main() -> int:
    """Run the worlds of the command line; return 1 if something was wrong in one."""
    options = command_line("python -m tests.simulation.scopes", __doc__, SCOPE_BUGS).parse_args()
    return run_worlds(
        options,
        lambda way: ScopePlan(way, options.bug),
        run_seed=run_seed,
        run_plan=run_plan,
        run_sweeps=run_sweeps,
        say=_say,
    )


def _say(totals: FateTotals) -> None:
    print(f"orders that a late copy of a request made, not judged: {totals.late_copies}")


if __name__ == "__main__":
    sys.exit(main())

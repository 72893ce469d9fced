"""Order programs under faults: dozens of worlds each way, and one that shows each planted bug."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import pytest

from tests.simulation.fates.bugs import FATE_BUGS
from tests.simulation.fates.guesses import GUESSES
from tests.simulation.fates.runner import FateTotals, Plan, Way, find, run_plan
from tests.simulation.fates.sweeps import run_sweeps
from tests.simulation.fates.world import FateOutcome

pytestmark = pytest.mark.long

SEEDS: Final = 40
#: Every so many checkpoints of each call a world is cancelled.
STRIDE: Final = 7
#: One sweep in so many is run: a prime number, so that all kinds, faults, places and moments come up.
PART: Final = 97
MOST: Final = 300
#: A world that shows each bug. If it no longer does, the worlds are searched from the first.
SHOWS_IN: Final[dict[str, tuple[Way, int]]] = {
    "acknowledgement-is-an-answer": ("control", 1),
    "answer-of-another": ("rest", 75),
    "cancelled-create-forgotten": ("rest", 2),
    "cancelled-replaced": ("rest", 1),
    "first-page": ("control", 2),
    "listing-without-fence": ("rest", 9),
    "received-is-gone": ("rest", 9),
    "refused-burn-proves": ("rest", 9),
    "resend-after-a-lost-answer": ("rest", 4),
    "rules-that-are-off": ("rest", 19),
    "stale-listing": ("control", 49),
}
ways = pytest.mark.parametrize("way", ["rest", "control"])


def totals_of(outcomes: Iterable[FateOutcome]) -> FateTotals:
    """Add up outcomes. Something wrong in one of them fails the test."""
    totals = FateTotals()
    found: list[str] = []
    for outcome in outcomes:
        totals.add(outcome)
        found += [f"{outcome.seed}{outcome.origin}: {finding}" for finding in outcome.findings]
        found += [] if outcome.crash is None else [f"{outcome.seed}{outcome.origin}: {outcome.crash}"]
    assert not found, "\n".join(found)
    return totals


@ways
def test_worlds(way: Way) -> None:
    totals = totals_of(run_plan(range(SEEDS), Plan(way)))
    assert totals.calls > 8 * SEEDS
    stated = {statement for _, statement in totals.fates}
    assert stated >= {"done", "never", "unsent", "unknown", "cancelled"}


@ways
def test_calls_that_are_cancelled_at_their_checkpoints(way: Way) -> None:
    totals_of(run_sweeps(by_control=way == "control", stride=STRIDE, part=PART))


@ways
@pytest.mark.parametrize("guess", sorted(GUESSES))
def test_a_guess_is_false_in_some_worlds(guess: str, way: Way) -> None:
    totals = FateTotals()
    for outcome in run_plan(range(20), Plan(way, guess=guess)):
        totals.add(outcome)
    assert totals.crashes == 0
    assert totals.wrong["false"] > 0


@pytest.mark.parametrize("bug", sorted(FATE_BUGS))
def test_a_planted_bug_is_found(bug: str) -> None:
    way, seed = SHOWS_IN.get(bug, ("rest", 0))
    assert find(bug, way, MOST, hint=seed) is not None


def test_a_copy_of_a_request_that_had_taken_effect_is_late() -> None:
    """The order was made, taken back and gone; a proxy sends its request again once its id is forgotten."""
    assert totals_of(run_plan([205985], Plan("rest"))).late_copies == 1


def test_a_change_of_an_order_that_has_ended_need_not_be_named() -> None:
    """The service shows the order as ended, and not whether its terms were changed before: nothing is left in doubt."""
    assert totals_of(run_plan([203103], Plan("control"))).fates["replace", "unknown"] > 0


def test_the_same_seed_makes_the_same_world() -> None:
    first, second = (
        [(outcome.fates, outcome.faults) for outcome in run_plan(range(5), Plan("control"))] for _ in range(2)
    )
    assert first == second

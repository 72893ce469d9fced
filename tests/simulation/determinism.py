"""Running something so that it runs the same way again.

Everything random in a world comes from its seed, and time is virtual. What is left is the order in which trio runs
tasks that are ready together, which it draws on purpose. Trio lets Hypothesis, and Hypothesis alone, decide that: its
plugin registers trio's random source, which Hypothesis seeds before each example. So a world runs as a Hypothesis test
of one example. What still differs between two runs is what nobody is meant to depend on: tokens, masks of frames, and
addresses in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

__all__ = ["deterministic"]

T = TypeVar("T")


def deterministic(run: Callable[[], T]) -> T:
    """Call ``run`` with every global random source, trio's among them, seeded the same way each time."""
    results: list[T] = []

    @settings(
        max_examples=1,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.none())
    def example(_: None) -> None:
        results.append(run())

    example()
    return results[0]

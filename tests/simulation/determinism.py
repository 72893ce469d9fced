"""Runs a function so that a second run does exactly the same.

The random choices of a world come from its seed, and time is virtual. The remaining one is the order in which trio runs
tasks that are ready together, which trio draws at random. Only Hypothesis can control that draw: its
plugin registers trio's random source, which Hypothesis seeds before each example. So a world runs as a Hypothesis test
of one example. Two runs still differ in what no result may depend on: tokens, masks of frames, and
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
    """Call ``run`` with every global random source, including trio's, seeded in the same way."""
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

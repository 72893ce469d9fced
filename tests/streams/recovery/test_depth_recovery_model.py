"""All rules of depth at once, against a model of exchange and network."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.depth_model import DepthModel
from tplus_trio import Sequencing


@settings(max_examples=300, deadline=None)
@given(
    steps=st.lists(st.tuples(st.sampled_from(DepthModel.STEPS), st.integers(0, 5)), max_size=80),
    first=st.sampled_from([5000, 1000, 7]),
)
def test_every_delivered_book_is_right_after_any_steps(steps: list[tuple[str, int]], first: int) -> None:
    model = DepthModel(first=first)
    for name, n in steps:
        getattr(model, name)(n)
    model.settle()


@settings(max_examples=100, deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from([name for name in DepthModel.STEPS if name not in ("lose", "swap")]), st.integers(0, 5)
        ),
        max_size=60,
    ),
    sequence=st.sampled_from(list[Sequencing](["increasing", "auto"])),
)
def test_every_delivered_book_is_right_if_numbers_rise_by_ten(
    steps: list[tuple[str, int]], sequence: Sequencing
) -> None:
    # With increasing numbers, a stale snapshot or a lost message cannot be noticed, so those steps are left out.
    model = DepthModel(sequence=sequence)
    model.step = 10
    for name, n in steps:
        if name not in ("be_stale", "hole"):
            getattr(model, name)(n)
    model.settle()

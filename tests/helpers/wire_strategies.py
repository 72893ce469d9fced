"""Hypothesis strategies for the service's messages, and a comparison with the official client."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st

thorough = settings(max_examples=250, deadline=None)


order_ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)


times = st.integers(0, 2**63 - 1)


flags = st.booleans()


sizes = st.integers(0, 2**63 - 1)

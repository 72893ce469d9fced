"""A fixture that records the states of streams, each with its time."""

from __future__ import annotations

import pytest

from tests.helpers.world import record_states
from tplus_trio import StreamState


@pytest.fixture
def states(monkeypatch: pytest.MonkeyPatch) -> list[tuple[StreamState, float]]:
    return record_states(monkeypatch)

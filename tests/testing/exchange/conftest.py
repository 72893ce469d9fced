"""An exchange with one market, whose clock a test sets."""

from __future__ import annotations

import pytest

from tests.helpers.raw_client import Clock
from tplus_trio.testing import Exchange


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def exchange(clock: Clock) -> Exchange:
    made = Exchange(now_ns=clock)
    made.add_market(200)
    return made

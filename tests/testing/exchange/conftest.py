"""An exchange with one market, whose clock a test sets."""

from __future__ import annotations

import pytest

from tests.helpers.exchange_users import ALICE
from tests.helpers.raw_client import Clock, sign_in
from tplus_trio.testing import Exchange


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def exchange(clock: Clock) -> Exchange:
    made = Exchange(now_ns=clock)
    made.add_market(200)
    return made


@pytest.fixture
def alice(exchange: Exchange) -> dict[str, str]:
    """The headers of a user who has signed in."""
    return sign_in(exchange, ALICE)

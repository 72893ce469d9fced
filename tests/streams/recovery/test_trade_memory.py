"""Which trades and statuses are new, and which were delivered before."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

import pytest

from tests.helpers.trade_recovery import Recovery, after_a_loss, lost, trade
from tplus_trio import AssetIdentifier
from tplus_trio.streams.recovery.trade_memory import TradeMemory


@pytest.fixture
def recovery() -> Recovery:
    return after_a_loss()


@pytest.mark.parametrize("other", [{"timestamp_ns": 77}, {"price": Decimal(101)}, {"quantity": Decimal(2)}])
def test_the_same_id_with_another_content_is_another_trade(other: dict[str, Any], recovery: Recovery) -> None:
    again = trade(2, **other)
    recovery = Recovery()
    recovery.receive_ids(1, 2, 3)
    assert recovery.receive([again, again, trade(2)]) == [again]


def test_trades_after_ids_started_over_are_all_delivered() -> None:
    recovery = Recovery()
    recovery.receive_ids(*range(1, 60))
    fresh = [trade(n, timestamp_ns=10_000 + n) for n in range(1, 30)]
    assert recovery.receive(fresh[:10]) == fresh[:10]
    lost(recovery)
    recovery.receive(fresh[25:27])
    assert list(recovery.answer(0, fresh[26:4:-1], early=False)) == fresh[10:27]
    assert recovery.receive(fresh) == fresh[27:]


def test_a_new_status_of_a_trade_is_delivered_once() -> None:
    recovery = Recovery()
    pending, confirmed, undone = (trade(1, status=status) for status in ("Pending", "Confirmed", "Rollbacked"))
    assert recovery.receive([pending, confirmed, pending, confirmed]) == [pending, confirmed]
    assert recovery.receive([undone, pending, undone]) == [undone]


def test_a_missed_status_from_rest_is_delivered_and_an_older_one_is_not() -> None:
    recovery = Recovery()
    recovery.receive([trade(1), trade(2), trade(3, status="Pending")])
    lost(recovery)
    page = [trade(3), trade(2, status="Pending"), trade(1, status="Rollbacked")]
    assert list(recovery.answer(0, page, early=False)) == [page[2], page[0]]


def test_a_replay_yields_each_trade_once(recovery: Recovery) -> None:
    assert recovery.receive_ids(1, 2, 3, 4) == [4]
    lost(recovery)
    assert recovery.receive_ids(1, 2, 3, 4, 5, 6) == [5, 6]


def test_digits_of_a_price_do_not_make_another_trade(recovery: Recovery) -> None:
    assert recovery.receive([trade(3, price=Decimal("100.00")), trade(3, quantity=Decimal("1E+0"))]) == []


def test_ids_of_equal_hashes_take_no_longer() -> None:
    memory = TradeMemory()
    chosen = [trade(5 + n * (2**61 - 1), timestamp_ns=n) for n in range(9000, 0, -1)]
    began = time.process_time()
    assert memory.new(chosen) == chosen
    assert memory.new(chosen) == []
    assert time.process_time() - began < 2  # a set of the ids took 3.4 s, and this needs four


def test_the_memory_is_bounded() -> None:
    memory = TradeMemory()
    for n in range(100):
        markets = [trade(n * 1000 + k, asset_id=AssetIdentifier(n * 1000 + k)) for k in range(1000)]
        assert memory.new(markets) == markets
        assert memory.knows(markets[0])
    assert not memory.knows(trade(1, asset_id=AssetIdentifier(1)))
    assert len(memory._recent) + len(memory._highest) + len(memory._earlier_highest) <= 35_000
    assert len(memory._statuses) <= 21_000

"""A close code that revokes a token leads to one fresh sign-in; other close codes keep the token."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.sessions import URL, exchange_with_market
from tplus_trio import (
    OrderBookClient,
    StreamState,
    User,
)
from tplus_trio.testing import MemoryNetwork


@pytest.mark.parametrize("code", [1008, 3000, 4401, 4403])
async def test_a_close_that_revokes_a_token_leads_to_a_fresh_sign_in(code: int, autojump_clock: MockClock) -> None:
    exchange, tokens = exchange_with_market(), []
    async with (
        MemoryNetwork(exchange) as network,
        OrderBookClient(URL, default_user=User(), connector=network, jitter=lambda: 0.0) as oms,
        oms.stream_user_trade_events() as first,
        oms.stream_user_positions() as second,
    ):
        for stream in (first, second):
            await stream.wait_live()
        for times in range(1, 4):
            await trio.sleep(63)  # not at the time of a ping, whose answer may arrive before the close frame
            exchange.faults.close_streams(code=code)
            await trio.sleep(5)
            assert first.state is second.state is StreamState.LIVE
            tokens.append(exchange.sign_ins)
            assert exchange.sign_ins == 1 + times, "one sign-in for all streams of the user"


async def test_a_service_that_closes_over_every_token_is_not_signed_in_to_each_time(autojump_clock: MockClock) -> None:
    exchange = exchange_with_market()
    async with (
        MemoryNetwork(exchange) as network,
        OrderBookClient(URL, default_user=User(), connector=network) as oms,
        oms.stream_user_trade_events(),
    ):
        for _ in range(3600):
            await trio.sleep(1)
            exchange.faults.close_streams(code=1008)
        assert 5 <= exchange.sign_ins <= 15


async def test_other_closes_keep_the_token(autojump_clock: MockClock) -> None:
    exchange = exchange_with_market()
    async with (
        MemoryNetwork(exchange) as network,
        OrderBookClient(URL, default_user=User(), connector=network) as oms,
        oms.stream_user_trade_events() as stream,
    ):
        for code in (1000, 1001, 1011, 1012, 1013, 4000):
            await stream.wait_live()
            exchange.faults.close_streams(code=code)
            await trio.sleep(5)
        assert exchange.sign_ins == 1


@pytest.mark.parametrize("kind", ["request", "handshake"])
async def test_two_expiries_within_one_round_trip_pass(kind: str, autojump_clock: MockClock) -> None:
    exchange, user = exchange_with_market(), User()
    async with (
        MemoryNetwork(exchange, latency=0.1) as network,
        OrderBookClient(URL, default_user=user, connector=network) as oms,
        trio.open_nursery() as nursery,
    ):
        await oms.get_user_orders()
        exchange.faults.expire_tokens()
        nursery.start_soon(oms.get_user_orders)  # it is refused at 0.2, signs in until 0.6, and is served at 0.7
        await trio.sleep(0.45)
        # This one is refused at 0.65 and uses the new token, which expires before it arrives at 0.75.
        if kind == "request":
            nursery.start_soon(oms.get_user_orders)
        else:
            nursery.start_soon(live, oms)
        await trio.sleep(0.27)
        assert exchange.sign_ins == 2
        exchange.faults.expire_tokens()
        await trio.sleep(5)
    assert exchange.sign_ins == 3


async def live(oms: OrderBookClient) -> None:
    async with oms.stream_user_trade_events() as stream:
        await stream.wait_live()

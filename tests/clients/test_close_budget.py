"""Connections that close at the same time share one time limit."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.peers import Peer, websocket
from tests.helpers.world import URL
from tplus_trio import MarketDataClient
from tplus_trio.testing import MemoryNetwork
from tplus_trio.transport.close_budget import CloseBudget


async def wait_unanswered(budget: CloseBudget) -> float:
    began = trio.current_time()
    with budget.wait() as sent:
        sent()
        await trio.sleep_forever()
    return trio.current_time() - began


async def test_unanswered_closes_share_one_time(autojump_clock: MockClock) -> None:
    budget = CloseBudget(1.0)
    with budget.wait() as sent:
        sent()
        await trio.sleep(0.5)  # answered: that costs nothing
    assert await wait_unanswered(budget) == pytest.approx(1)
    assert await wait_unanswered(budget) == pytest.approx(0)
    budget.restore()
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(wait_unanswered, budget)
            await trio.sleep(0.05)
    assert trio.current_time() - began == pytest.approx(1)


@pytest.mark.parametrize("close_timeout", [0.0, 1.0])
async def test_the_close_frame_is_sent_where_no_time_is_left_for_the_answer(
    close_timeout: float, autojump_clock: MockClock
) -> None:
    closed: list[int | None] = []

    async def script(peer: Peer) -> None:
        await peer.serve()
        closed.append(peer.closed_with)

    async with MemoryNetwork(handler=websocket(script), latency=0.4) as network:
        async with AsyncExitStack() as stack:
            md = await stack.enter_async_context(
                MarketDataClient(URL, connector=network, close_timeout=close_timeout, ping_interval=1000.0)
            )
            for _ in range(5):
                await stack.enter_async_context(md.stream_tickers(share=False))
            await trio.sleep(10)
            md._service._run.get().closing._left = 0.0  # used up by others
        await trio.sleep(10)
    assert closed == [1000] * 5

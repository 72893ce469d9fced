"""Receivers of the official client, unmodified, through its public methods."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from tplus.client import MarketDataClient, OrderBookClient
from tplus.model.asset_identifier import AssetIdentifier
from tplus.utils.user import User

from .job import TICK, Job, Meter, Pauses, ask, latency_figures, memory_figures, rss, tell, ticker_figures


def _open(job: Job) -> AsyncIterator[Any]:
    if job.feed in {"user trades", "orders"}:
        owner = OrderBookClient(job.url, default_user=User())
        stream = owner.stream_orders() if job.feed == "orders" else owner.stream_user_trade_events()
    else:
        client = MarketDataClient(job.url)
        asset = AssetIdentifier(200)
        if job.feed == "trades":
            stream = client.stream_finalized_trades()
        else:
            stream = client.stream_klines(asset) if job.feed == "klines" else client.stream_depth(asset)
    opened: AsyncIterator[Any] = stream
    return opened


async def _feed(job: Job) -> None:
    stream = _open(job)
    await anext(stream)
    left = job.messages
    meter = Meter(job)
    meter.start()
    async for _ in stream:
        left -= 1
        if not left:
            break
    tell(**meter.figures(job.messages))


async def _ticker(job: Job) -> None:
    delays: list[float] = []

    async def tick() -> None:
        while True:
            due = time.perf_counter() + TICK
            await asyncio.sleep(TICK)
            delays.append(time.perf_counter() - due)

    async def consume(stream: AsyncIterator[Any]) -> None:
        left = job.messages
        async for _ in stream:
            left -= 1
            if not left:
                break

    client = MarketDataClient(job.url)
    streams = [client.stream_depth(AssetIdentifier(asset)) for asset in range(1, job.streams + 1)]
    for stream in streams:
        await anext(stream)
    pauses = Pauses()
    ask(job.port, "/go")
    ticking = asyncio.create_task(tick())
    await asyncio.gather(*(consume(stream) for stream in streams))
    ticking.cancel()
    tell(**ticker_figures(delays, pauses))


async def _latency(job: Job) -> None:
    delays: list[int] = []
    stream = _open(job)
    await anext(stream)
    meter = Meter(job)
    meter.start()
    async for diff in stream:
        delays.append(time.monotonic_ns() - int(diff.asks[0][1]))
        if len(delays) == job.messages:
            break
    tell(**meter.figures(job.messages), **latency_figures(delays))


async def _streams(job: Job) -> None:
    client = MarketDataClient(job.url)
    opening = asyncio.Semaphore(20)
    go = asyncio.Event()
    ready = asyncio.Semaphore(0)
    done = asyncio.Semaphore(0)

    async def consume(asset: int) -> None:
        stream = client.stream_depth(AssetIdentifier(asset))
        async with opening:
            await anext(stream)
        ready.release()
        await go.wait()
        left = job.messages
        async for _ in stream:
            left -= 1
            if not left:
                break
        done.release()
        await asyncio.Event().wait()

    alone = client.stream_depth(AssetIdentifier(1000))
    await anext(alone)
    before = rss()
    await alone.aclose()
    tasks = [asyncio.create_task(consume(asset)) for asset in range(1, job.streams + 1)]
    for _ in tasks:
        await ready.acquire()
    idle = rss()
    meter = Meter(job)
    meter.start()
    go.set()
    for _ in tasks:
        await done.acquire()
    figures = meter.figures(job.messages * job.streams)
    tell(**figures, **memory_figures(job.streams, before, idle))
    for task in tasks:
        task.cancel()


if __name__ == "__main__":
    _JOBS = {"feed": _feed, "ticker": _ticker, "latency": _latency, "streams": _streams, "crowd": _streams}
    _job = Job.from_command_line()
    asyncio.run(_JOBS[_job.what](_job))

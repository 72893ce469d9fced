"""Receivers of this project's client."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack

import trio

from tplus_trio import (
    BookLost,
    LiveBook,
    LocalBook,
    MarketDataClient,
    OrderBook,
    OrderBookClient,
    OrderBookDiff,
    Stream,
    User,
)

from .feeds import FIRST
from .job import TICK, Job, Meter, Pauses, ask, latency_figures, memory_figures, rss, tell, ticker_figures


async def _feed(job: Job) -> None:
    """Receive every item, and drop it."""
    async with _client(job) as client, _open(client, job.feed) as stream:
        await _first(stream, job)
        left = job.messages
        meter = Meter(job)
        meter.start()
        async for _ in stream:
            left -= 1
            if not left:
                break
        _check(stream)
        tell(**meter.figures(job.messages))


async def _book(job: Job) -> None:
    """Apply every diff to a book, and read its best levels each time."""
    async with MarketDataClient(job.url) as client, client.stream_depth(200) as stream:
        snapshot, first = await stream.receive(), await stream.receive()
        assert isinstance(snapshot, OrderBook)
        assert isinstance(first, OrderBookDiff)
        book = LocalBook(snapshot)
        book.apply(first)
        left = job.messages
        meter = Meter(job)
        meter.start()
        async for diff in stream:
            assert isinstance(diff, OrderBookDiff)
            book.apply(diff)
            _ = book.best_bid, book.best_ask
            left -= 1
            if not left:
                break
        _check(stream)
        tell(**meter.figures(job.messages))


async def _live(job: Job) -> None:
    """Keep a live book, and read its best levels at each of its changes."""
    async with MarketDataClient(job.url) as client, client.open_book(200) as book:
        await book.wait_for(lambda change: change.sequence_number == FIRST)
        meter = Meter(job)
        meter.start()
        states = 0
        async for change in book.changes():
            if isinstance(change, BookLost):
                continue
            _ = change.best_bid, change.best_ask
            states += 1
            if change.sequence_number == FIRST + job.messages:
                break
        _check(book)
        tell(**meter.figures(job.messages), states=states)


async def _ticker(job: Job) -> None:
    """Run a task that sleeps for a millisecond again and again, beside the flood of some streams."""
    delays: list[float] = []

    async def tick() -> None:
        while True:
            due = time.perf_counter() + TICK
            await trio.sleep(TICK)
            delays.append(time.perf_counter() - due)

    async def consume(stream: Stream[object]) -> None:
        left = job.messages
        async for _ in stream:
            left -= 1
            if not left:
                break
        _check(stream)

    async def follow(book: LiveBook) -> None:
        async for change in book.changes():
            if not isinstance(change, BookLost) and change.sequence_number == FIRST + job.messages:
                break
        _check(book)

    async with MarketDataClient(job.url) as client, AsyncExitStack() as stack:
        streams: list[Stream[object]] = []
        books: list[LiveBook] = []
        for asset in range(1, job.streams + 1):
            if job.extra.get("books"):
                books.append(await stack.enter_async_context(client.open_book(asset)))
                await books[-1].wait_for(lambda change: change.sequence_number == FIRST)
            else:
                streams.append(await stack.enter_async_context(client.stream_depth(asset)))
                await _first(streams[-1], job)
        pauses = Pauses()
        ask(job.port, "/go")
        async with trio.open_nursery() as ticking:
            ticking.start_soon(tick)
            async with trio.open_nursery() as nursery:
                for stream in streams:
                    nursery.start_soon(consume, stream)
                for book in books:
                    nursery.start_soon(follow, book)
            ticking.cancel_scope.cancel()
        tell(**ticker_figures(delays, pauses))


async def _shared(job: Job) -> None:
    """Hand each item to some streams of one feed, which keep it; their tasks take none, so that they cost nothing."""
    async with MarketDataClient(job.url) as client, AsyncExitStack() as stack:
        streams: list[Stream[object]] = []
        for _ in range(job.streams):
            buffer = job.messages + 10
            streams.append(await stack.enter_async_context(client.stream_depth(200, buffer=buffer)))
        await streams[0].wait_live()
        while streams[-1].statistics().consumer.current_buffer_used < (2 if job.streams == 1 else 1):  # noqa: ASYNC110 - looking now and then costs little
            await trio.sleep(0.001)
        meter = Meter(job)
        meter.start()
        while streams[0].stats.messages <= job.messages:  # noqa: ASYNC110 - as above
            await trio.sleep(0.01)
        figures = meter.figures(job.messages)
        for stream in streams:
            _check(stream)
            assert stream.statistics().consumer.current_buffer_used >= job.messages
        tell(**figures)


async def _joined(job: Job) -> None:
    """Measure the memory of many streams of one feed that is idle."""
    async with MarketDataClient(job.url) as client, AsyncExitStack() as stack:
        first = await stack.enter_async_context(client.stream_depth(200))
        await _first(first, job)
        before = rss()
        for _ in range(job.streams):
            stream = await stack.enter_async_context(client.stream_depth(200))
            await stream.receive()
        tell(idle_kb=(rss() - before) / job.streams / 1000)


async def _latency(job: Job) -> None:
    """Measure the latency of each message."""
    delays: list[int] = []
    async with MarketDataClient(job.url) as client, client.stream_depth(200) as stream:
        await _first(stream, job)
        meter = Meter(job)
        meter.start()
        async for diff in stream:
            assert isinstance(diff, OrderBookDiff)
            delays.append(time.monotonic_ns() - int(diff.asks[0].quantity))
            if len(delays) == job.messages:
                break
        _check(stream)
        tell(**meter.figures(job.messages), **latency_figures(delays))


async def _streams(job: Job) -> None:
    """Measure many streams in one process: their memory while idle, and the cost of their messages."""
    ready, go, done = 0, trio.Event(), trio.Event()
    finished = 0
    opening = trio.CapacityLimiter(20)
    all_there = trio.Event()

    async def consume(client: MarketDataClient, asset: int) -> None:
        nonlocal ready, finished
        async with AsyncExitStack() as stack:
            # A few at a time: otherwise all first books would exist at once, and their memory would stay resident.
            async with opening:
                stream = await stack.enter_async_context(client.stream_depth(asset))
                await _first(stream, job)
            ready += 1
            if ready == job.streams:
                all_there.set()
            await go.wait()
            left = job.messages
            async for _ in stream:
                left -= 1
                if not left:
                    break
            _check(stream)
            finished += 1
            if finished == job.streams:
                done.set()
            await trio.sleep_forever()

    async with MarketDataClient(job.url) as client, trio.open_nursery() as nursery:
        async with client.stream_depth(1000) as stream:
            await _first(stream, job)
            before = rss()
        for asset in range(1, job.streams + 1):
            nursery.start_soon(consume, client, asset)
        await all_there.wait()
        idle = rss()
        meter = Meter(job)
        meter.start()
        go.set()
        await done.wait()
        figures = meter.figures(job.messages * job.streams)
        tell(**figures, **memory_figures(job.streams, before, idle))
        nursery.cancel_scope.cancel()


async def _crowd(job: Job) -> None:
    """Keep many live books whose markets change now and then; then lose all connections at once."""
    async with MarketDataClient(job.url, jitter=lambda: 0.5) as client, AsyncExitStack() as stack:
        books: list[LiveBook] = []
        before = 0
        for asset in range(1, job.streams + 1):
            if len(books) == 1:
                before = rss()
            books.append(await stack.enter_async_context(client.open_book(asset)))
            await books[-1].wait_for(lambda change: change.sequence_number == FIRST)
        idle = rss()
        meter = Meter(job)
        meter.start()
        while books[-1].sequence_number < FIRST + job.messages:  # noqa: ASYNC110 - looking now and then costs little
            await trio.sleep(0.05)
        figures = meter.figures(job.messages * job.streams)
        start = time.perf_counter()
        ask(job.port, "/drop")
        await trio.sleep(0.05)
        for book in books:
            await book.wait_synced()
        tell(**figures, **memory_figures(job.streams, before, idle), back_s=time.perf_counter() - start)


async def _resync(job: Job) -> None:
    """Measure the time to a book in sync, from a lost connection and from a loss over an open connection."""
    lost, gap = [], []
    # Without the random delay before the first new connection: it belongs to the policy, not to the mechanism.
    async with MarketDataClient(job.url, jitter=lambda: 0.0) as client, client.open_book(200) as book:
        for _ in range(job.extra["times"]):
            await _settled(book)
            ask(job.port, "/drop")
            start = time.perf_counter()
            while book.is_synced:  # noqa: ASYNC110 - there is no event for it
                await trio.lowlevel.checkpoint()
            await book.wait_synced()
            lost.append((time.perf_counter() - start) * 1e3)
            await _settled(book)
            start = time.perf_counter()
            book.resync()
            await book.wait_synced()
            gap.append((time.perf_counter() - start) * 1e3)
        assert book.stats.connects == job.extra["times"] + 1
    lost.sort()
    gap.sort()
    tell(lost_ms=lost[len(lost) // 2], gap_ms=gap[len(gap) // 2])


async def _settled(book: LiveBook) -> None:
    """Wait until the book is in sync, and no message is on its way."""
    await book.wait_synced()
    await trio.sleep(0.01)


def _client(job: Job) -> MarketDataClient | OrderBookClient:
    if job.feed in {"user trades", "orders"}:
        return OrderBookClient(job.url, default_user=User())
    return MarketDataClient(job.url)


def _open(client: MarketDataClient | OrderBookClient, feed: str) -> Stream[object]:
    if isinstance(client, OrderBookClient):
        return client.stream_orders() if feed == "orders" else client.stream_user_trade_events()
    if feed == "trades":
        return client.stream_finalized_trades()
    return client.stream_klines(200) if feed == "klines" else client.stream_depth(200)


async def _first(stream: Stream[object], job: Job) -> None:
    """Receive the items before the flood: the first message, and on depth the book before it."""
    await stream.receive()
    if job.feed.startswith("depth"):
        await stream.receive()


def _check(stream: Stream[object] | LiveBook) -> None:
    """Raise if the run had a failure, because it measured something else."""
    stats = stream.stats
    assert (stats.connects, stats.gaps, stats.malformed, stats.dropped) == (1, 0, 0, 0), stats


if __name__ == "__main__":
    _JOBS = {
        "feed": _feed,
        "book": _book,
        "live": _live,
        "ticker": _ticker,
        "latency": _latency,
        "streams": _streams,
        "crowd": _crowd,
        "resync": _resync,
        "shared": _shared,
        "joined": _joined,
    }
    _job = Job.from_command_line()
    trio.run(_JOBS[_job.what], _job)

"""A tape that was recorded while connections dropped: replayed, it gives the books that the exchange had."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tplus_trio import Gap, KlineUpdate, MarketDataClient, OrderBook, Stream, Trade
from tplus_trio.book.local import LocalBook
from tplus_trio.cli.record.recorder import Recorder, RecordingClient
from tplus_trio.testing import Exchange, MemoryNetwork, Response, Tape, TapeLoss, play

URL = "http://exchange"
DEPTH = "/marketdepth/diff/200"
NO_CANDLES = Response(200, b'{"items":[],"has_next_page":false}')

Script = Callable[["Market", MemoryNetwork], Awaitable[None]]
Levels = tuple[list[Any], list[Any]]
#: A sequence number, and the book's bids and asks at it.
State = tuple[int, Levels]


def levels(book: LocalBook) -> Levels:
    return list(book.bids()), list(book.asks())


class Market:
    """The market 200 of an exchange, whose states are noted."""

    def __init__(self, seed: int) -> None:
        self.exchange = Exchange(seed=seed)
        self.exchange.add_market(200)
        self.random = random.Random(seed)
        self.states: list[State] = []
        self.change()

    def change(self) -> None:
        price, quantity = self.random.randint(1, 30), self.random.choice(["0", "1.50", "2", "0.1"])
        side = {"bids": [(100 - price, quantity)]} if price % 2 else {"asks": [(Decimal(100 + price) / 10, quantity)]}
        self.exchange.publish_diff(200, **side)
        book = self.exchange.book(200)
        self.states.append((book.sequence_number, levels(LocalBook(book))))

    async def trade(self, seconds: float) -> None:
        """Change the book forty times a second, and trade once."""
        for n in range(round(seconds * 40)):
            self.change()
            if n % 40 == 0:
                self.exchange.publish_trade(200, self.random.randint(90, 110), "0.25")
            await trio.sleep(0.025)


async def note_states(stream: Stream[Any], states: list[State]) -> None:
    """Note the book after each item of a depth stream, until cancelled."""
    book: LocalBook | None = None
    async for item in stream:
        if isinstance(item, OrderBook):
            book = LocalBook(item)
        else:
            assert book is not None
            book.apply(item)
        states.append((book.sequence_number, levels(book)))


async def recorded(market: Market, script: Script) -> tuple[Tape, list[State]]:
    """Record the book of a market while a script runs; return the tape, and the states that the recorder itself had."""
    recorder, states = Recorder(market.exchange.now_ns), list[State]()
    async with (
        MemoryNetwork(market.exchange, latency=0.01) as network,
        RecordingClient(recorder, URL, connector=network) as client,
        client.stream_depth(200) as stream,
        trio.open_nursery() as nursery,
    ):
        await stream.wait_live()
        nursery.start_soon(note_states, stream, states)
        await script(market, network)
        await trio.sleep(3)
        nursery.cancel_scope.cancel()
    return Tape.parse(recorder.take().decode().splitlines()), states


@asynccontextmanager
async def replayed(tape: Tape) -> AsyncIterator[MarketDataClient]:
    """Play a tape; entering returns a client of the replay, and the tape plays from a second later on."""
    exchange = Exchange()
    exchange.load_tape(tape)

    async def run() -> None:
        await trio.sleep(1)
        await play(exchange, tape)

    async with (
        MemoryNetwork(exchange) as network,
        MarketDataClient(URL, connector=network) as md,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(run)
        yield md
        nursery.cancel_scope.cancel()
    assert not exchange.crashes


async def replayed_states(tape: Tape) -> list[State]:
    """The states of the book that a client of the replay has."""
    states: list[State] = []
    async with replayed(tape) as md, md.stream_depth(200) as stream:
        with trio.move_on_after(tape.duration + 120):
            await note_states(stream, states)
    return states


async def dropped(market: Market, network: MemoryNetwork) -> None:
    await market.trade(2)
    for _ in range(4):
        network.drop_connections()
        await market.trade(2.5)


async def skipped(market: Market, network: MemoryNetwork) -> None:
    await market.trade(1)
    for n in (1, 2, 3):
        market.exchange.faults.lose_diffs(200, n)
        await market.trade(1)


async def skipped_while_rest_is_slow(market: Market, network: MemoryNetwork) -> None:
    await market.trade(1)
    market.exchange.faults.delay_requests("/marketdepth", 1.5, lasting=4)
    market.exchange.faults.lose_diffs(200, 1)
    await market.trade(0.5)
    market.exchange.faults.lose_diffs(200, 1)
    await market.trade(6)


async def dropped_while_rest_lags(market: Market, network: MemoryNetwork) -> None:
    await market.trade(1)
    for behind in (1, 20, 200):
        market.exchange.faults.stale_snapshots(2, behind)
        market.exchange.faults.close_streams(DEPTH)
        await market.trade(3)


async def restarted(market: Market, network: MemoryNetwork) -> None:
    await market.trade(30)
    market.exchange.faults.restart_sequence(200)
    market.exchange.faults.close_streams(DEPTH)
    await market.trade(3)


async def garbled(market: Market, network: MemoryNetwork) -> None:
    await market.trade(1)
    market.exchange.faults.garble(DEPTH)
    await market.trade(1)
    market.exchange.faults.send_wire(DEPTH, b"\x82\x03abc")  # a binary message
    await market.trade(1)


async def partitioned(market: Market, network: MemoryNetwork) -> None:
    await market.trade(1)
    network.partition(3.0)
    await market.trade(30)


@pytest.mark.parametrize(
    "script",
    [dropped, skipped, skipped_while_rest_is_slow, dropped_while_rest_lags, restarted, garbled, partitioned],
    ids=lambda script: script.__name__,
)
@pytest.mark.parametrize("seed", [1, 2])
async def test_the_books_are_the_same(script: Script, seed: int, autojump_clock: MockClock) -> None:
    market = Market(seed)
    tape, recorded_states = await recorded(market, script)
    found = await replayed_states(tape)
    assert [number for number, book in found if (number, book) not in market.states] == []
    assert found[-1] == market.states[-1]
    # A client of the replay asks REST at other times than the recorder did, so it may begin again some changes later.
    assert len(found) > 0.85 * len(recorded_states)
    assert any(isinstance(entry, TapeLoss) for entry in tape)


async def no_rest(market: Market, network: MemoryNetwork) -> None:
    """Trades are lost that REST does not bring back."""
    await market.trade(3)
    network.partition(2.0)
    market.exchange.faults.replace_answers("/trades", Response(200, b"[]"), seconds=20)
    market.exchange.faults.replace_answers("/klines", NO_CANDLES, seconds=20)
    await market.trade(20)


async def outages(market: Market, network: MemoryNetwork) -> None:
    await market.trade(3)
    for _ in range(3):
        network.partition(2.0)
        await market.trade(20)


def opened(client: MarketDataClient, feed: str) -> Stream[Any]:
    return client.stream_klines(200) if feed == "klines" else client.stream_finalized_trades()


async def items_of(stream: Stream[Any], items: list[Any]) -> None:
    async for item in stream:
        items.append(item)  # noqa: PERF401 - it is cancelled, and keeps what came before


@pytest.mark.parametrize("feed", ["trades", "klines"])
@pytest.mark.parametrize(("script", "gaps"), [(outages, 0), (no_rest, 1)])
async def test_what_rest_brought_back(feed: str, script: Script, gaps: int, autojump_clock: MockClock) -> None:
    market = Market(3)
    recorder, recorded_items, found = Recorder(market.exchange.now_ns), list[Any](), list[Any]()
    async with (
        MemoryNetwork(market.exchange, latency=0.01) as network,
        RecordingClient(recorder, URL, connector=network) as client,
        opened(client, feed) as stream,
        trio.open_nursery() as nursery,
    ):
        await stream.wait_live()
        nursery.start_soon(items_of, stream, recorded_items)
        await script(market, network)
        nursery.cancel_scope.cancel()
    tape = Tape.parse(recorder.take().decode().splitlines())
    async with replayed(tape) as md, opened(md, feed) as stream:
        with trio.move_on_after(tape.duration + 60):
            await items_of(stream, found)

    def known(items: list[Any]) -> list[Any]:
        if feed == "trades":
            return [item for item in items if isinstance(item, Trade)]
        candles = {item.open_timestamp_ns: item for item in items if isinstance(item, KlineUpdate)}
        return [candles[opened_ns] for opened_ns in sorted(candles)]

    assert sum(isinstance(item, Gap) for item in recorded_items) == gaps
    assert sum(isinstance(item, Gap) for item in found) == gaps
    assert known(found) == known(recorded_items)

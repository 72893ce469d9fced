"""What the pages on threads and notebooks show runs as it stands, in real time."""

from __future__ import annotations

import ast
import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest
import trio
import trio.testing

from tests.helpers.pages import blocks, define
from tests.helpers.world import ASSET, open_world
from tplus_trio import BookNotSynced, PriceLevel
from tplus_trio.testing import Exchange, serve

THREADS = define("howto/threads.md")
NOTEBOOK = blocks("howto/notebook.md")


@contextmanager
def served() -> Iterator[tuple[Exchange, str]]:
    """Serve a market in a thread of its own."""
    exchange = Exchange()
    exchange.add_market(ASSET)
    exchange.publish_diff(ASSET, bids=[("9.5", 20)], asks=[("10.5", 20)])
    urls: list[str] = []
    tokens: list[trio.lowlevel.TrioToken] = []
    ready, scope = threading.Event(), trio.CancelScope()

    async def run() -> None:
        with scope:
            async with serve(exchange) as url:
                urls.append(url)
                tokens.append(trio.lowlevel.current_trio_token())
                ready.set()
                await trio.sleep_forever()

    thread = threading.Thread(target=trio.run, args=(run,))
    thread.start()
    try:
        assert ready.wait(20)
        yield exchange, urls[0]
    finally:
        trio.from_thread.run_sync(scope.cancel, trio_token=tokens[0])
        thread.join(20)


def first_prices(prices: Any) -> tuple[PriceLevel, PriceLevel]:
    """Ask until the book is in sync, as a program without async does."""
    for _ in range(1000):
        try:
            bid, ask = prices.best()
        except BookNotSynced:
            threading.Event().wait(0.01)
        else:
            return bid, ask
    raise AssertionError("the book is not in sync after 10 s")


def test_prices_are_read_in_another_thread() -> None:
    with served() as (_, url):
        prices = THREADS["Prices"](url, ASSET)
        try:
            bid, ask = first_prices(prices)
            assert (str(bid.price), str(ask.price)) == ("9.5", "10.5")
        finally:
            prices.close()
        assert THREADS["best_bid"](url, ASSET) == bid


def test_a_wrong_url_is_raised_where_it_is_passed() -> None:
    with pytest.raises(ValueError, match="a base URL's scheme is http or https"):
        THREADS["Prices"]("ws://127.0.0.1", ASSET)


async def test_trades_are_stored_in_a_thread() -> None:
    threads: list[int] = []
    stored = trio.Event()

    def insert(_: object) -> None:
        threads.append(threading.get_ident())
        trio.from_thread.run_sync(stored.set)

    async with open_world() as world, trio.open_nursery() as nursery:
        nursery.start_soon(THREADS["store_trades"], world.md, insert)
        await trio.testing.wait_all_tasks_blocked(0.01)
        world.exchange.publish_trade(ASSET, 9, 1)
        with trio.fail_after(20):
            await stored.wait()
        nursery.cancel_scope.cancel()
    assert threads != [threading.get_ident()]


def test_a_notebook() -> None:
    """Cells as a kernel runs them: one after the other, in the asyncio loop of the main thread."""
    start, cells, end, _ = NOTEBOOK
    names: dict[str, Any] = {}

    async def run_cell(text: str) -> None:
        for line in text.replace("asyncio.sleep(1)", "asyncio.sleep(0.01)").splitlines():
            found = eval(compile(line, "cell", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
            if found is not None:
                await found

    async def run_all(url: str) -> Any:
        exec(start, names)
        assign, begin, wait, show = cells.replace("http://127.0.0.1:8011", url).splitlines()
        await run_cell(f"{assign}\n{begin}")
        while not (hasattr(names["live"], "book") and names["live"].book.is_synced):
            await run_cell(wait)
        value = eval(show, names)
        await run_cell(end)
        assert isinstance(names["live"], names["Live"])
        assert names["running"].done()
        return value

    with served() as (_, url):
        found = asyncio.run(asyncio.wait_for(run_all(url), 20))
    assert found == (PriceLevel(Decimal("9.5"), Decimal(20)), PriceLevel(Decimal("10.5"), Decimal(20)))


def test_a_failure_reaches_the_notebook() -> None:
    names: dict[str, Any] = {}
    exec(NOTEBOOK[0], names)

    async def fail() -> None:
        raise LookupError

    async def host() -> None:
        await names["start"](fail)

    with pytest.raises(LookupError):
        asyncio.run(host())


def test_a_snapshot_in_a_cell() -> None:
    names: dict[str, Any] = {}
    exec(NOTEBOOK[0] + NOTEBOOK[3], names)
    with served() as (exchange, url):

        async def cell() -> object:
            return names["snapshot"](url, ASSET)  # while the loop of the notebook runs

        assert asyncio.run(cell()) == exchange.book(ASSET)

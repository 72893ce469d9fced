"""Writes the pictures of the page of a book to docs/static: ``python -m docs.screenshots``.

It needs Chromium and the extra ``web``. `docs.terminal_screens` writes those of the terminal.
"""

from __future__ import annotations

import random
from contextlib import AsyncExitStack
from decimal import Decimal
from functools import partial
from pathlib import Path

import trio

from tests.helpers.browser import Page, open_browser
from tests.helpers.printed_lines import PrintedLines
from tplus_trio import MarketDataClient
from tplus_trio.cli.book_view import BookMonitor
from tplus_trio.cli.web.program import serve_page
from tplus_trio.testing import Exchange, MemoryNetwork, Population

FOLDER = Path(__file__).parent / "static"
MARKET = 200
MINUTE_NS = 60_000_000_000


def trade_before(exchange: Exchange, last: Decimal) -> None:
    """Give the market two hours of trades that end at this price."""
    walk = random.Random(1)  # noqa: S311 - the same pictures each time
    prices = [last]
    for _ in range(600):
        prices.append(prices[-1] + walk.randint(-4, 4) * Decimal("0.01"))
    now_ns = exchange.now_ns()
    for age, price in reversed(list(enumerate(prices))):
        exchange.publish_trade(
            *(MARKET, price, Decimal(walk.randint(1, 2000)) / 1000),
            timestamp_ns=now_ns - age * MINUTE_NS // 5,
            buyer_is_maker=walk.random() < 0.5,
        )


async def shoot_page(page: Page, name: str) -> None:
    """Write what the window shows."""
    await trio.sleep(1)  # the charts are drawn four times a second
    await trio.Path(FOLDER / f"{name}.png").write_bytes(await page.screenshot())


async def shoot_pages(page: Page, url: str, network: MemoryNetwork) -> None:
    """Write the page at two widths, in both colour schemes, and lost."""
    for name, width, height, dark in (("book-web", 1280, 845, False), ("book-web-dark", 1280, 845, True)):
        await page.open(url, width, height, dark=dark)
        await page.wait_for("document.title.startsWith('LIVE') && document.querySelector('#candles .boxlayer path')")
        await shoot_page(page, name)
    await page.resize(390, 844)
    await shoot_page(page, "book-web-narrow")
    await page.open(url, 1280, 845)
    network.partition(60)
    await page.wait_for("document.title.startsWith('LOST')")
    await shoot_page(page, "book-web-lost")
    await page.resize(390, 844)
    await shoot_page(page, "book-web-lost-narrow")


async def main() -> None:
    """Write all pictures."""
    FOLDER.mkdir(exist_ok=True)
    exchange = Exchange(seed=0)
    population = Population(exchange, [MARKET], seed=0)
    lines = PrintedLines()
    async with AsyncExitStack() as stack:
        network = await stack.enter_async_context(MemoryNetwork(exchange))
        client = await stack.enter_async_context(
            MarketDataClient(network.url, connector=network, ping_interval=0.5, ping_timeout=0.5)
        )
        nursery = await stack.enter_async_context(trio.open_nursery())
        nursery.start_soon(population.run)
        await trio.sleep(3)
        trade_before(exchange, exchange.book(MARKET).bids[0].price)
        book = await stack.enter_async_context(client.open_book(MARKET))
        trades = await stack.enter_async_context(client.stream_finalized_trades())
        monitor = BookMonitor(book, trades)
        monitor.add_trades(tuple(await client.get_trades_for_asset(MARKET, limit=50)))
        nursery.start_soon(monitor.follow)
        await book.wait_synced()
        nursery.start_soon(partial(serve_page, lines, client, monitor, port=0, levels=None))
        await trio.sleep(5)
        async with open_browser() as page:
            await shoot_pages(page, lines.lines[0].split()[0], network)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main)

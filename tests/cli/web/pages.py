"""Serves the page of a book of an exchange in memory."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

import trio

from tests.helpers.printed_lines import PrintedLines
from tplus_trio import MarketDataClient
from tplus_trio.cli.book_view import BookMonitor
from tplus_trio.cli.web.program import serve_page
from tplus_trio.testing import MemoryNetwork

__all__ = ["open_page"]


@asynccontextmanager
async def open_page(network: MemoryNetwork, port: int = 0, levels: int | None = None) -> AsyncGenerator[str]:
    """Serve the page of market 200 on the loopback address; its URL is what the block gets."""
    lines = PrintedLines()
    async with (
        MarketDataClient(network.url, connector=network, ping_interval=0.2, ping_timeout=0.2) as client,
        client.open_book(200) as book,
        client.stream_finalized_trades(overflow="drop_oldest") as trades,
        trio.open_nursery() as nursery,
    ):
        monitor = BookMonitor(book, trades)
        nursery.start_soon(monitor.follow)
        await book.wait_synced()
        nursery.start_soon(partial(serve_page, lines, client, monitor, port=port, levels=levels))
        while not lines.lines:  # noqa: ASYNC110 - the lines do not tell when one is printed
            await trio.sleep(0.01)
        yield lines.lines[0].split()[0]
        nursery.cancel_scope.cancel()

"""Serves the page of ``tplus-trio book --web``."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Final

import trio

from tplus_trio.cli.book_view import BookMonitor
from tplus_trio.cli.failure import explaining
from tplus_trio.cli.lines import Lines
from tplus_trio.cli.web.candles import CandleMonitor
from tplus_trio.cli.web.server import make_app, open_server
from tplus_trio.cli.web.state import page_state
from tplus_trio.clients.market_data import MarketDataClient

__all__ = ["serve_page"]

#: Levels of each side: in the ladder if no number is given, and in the depth chart.
_LADDER: Final = 15
_DEPTH: Final = 200


async def serve_page(
    lines: Lines, client: MarketDataClient, monitor: BookMonitor, *, port: int, levels: int | None
) -> None:
    """Serve the page of a book until cancelled, and print its URL.

    Args:
        lines: Where to print.
        client: An entered client, for the candles.
        monitor: The book; `BookMonitor.follow` runs elsewhere.
        port: The port on the loopback address; 0 takes a free one.
        levels: The most levels of each side in the ladder; None is 15.

    Raises:
        Failure: The port is in use or not allowed.
    """
    shown = levels or _LADDER
    candles = CandleMonitor(client, monitor.book.asset_id)

    def state() -> bytes:
        return page_state(monitor.view(max(shown, _DEPTH)), candles.newest, shown)

    async with AsyncExitStack() as stack:
        with explaining(f"cannot listen on 127.0.0.1:{port} (--port 0 takes a free one)", OSError):
            url = await stack.enter_async_context(open_server(make_app(state), port))
        await lines.put(f"{url}  shows the book {monitor.book.asset_id} to browsers on this machine; Ctrl-C ends")
        await candles.follow()
        await trio.sleep_forever()

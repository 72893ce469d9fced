"""``tplus-trio book`` and ``tplus-trio snapshot``: one order book, live or over REST."""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib.util import find_spec
from math import inf
from typing import Final

import attrs
import trio

from tplus_trio.cli.book_screen import BookScreen
from tplus_trio.cli.book_view import BookMonitor, BookView, describe_state
from tplus_trio.cli.failure import USAGE, Failure, explaining
from tplus_trio.cli.ladder import as_text, describe_spread
from tplus_trio.cli.lines import Lines
from tplus_trio.cli.screen import Screen, is_screen
from tplus_trio.cli.services import Services
from tplus_trio.cli.show import as_json, short, time_of_day
from tplus_trio.clients.market_data import MarketDataClient
from tplus_trio.errors import TplusError
from tplus_trio.models import AssetIdentifier, BookLost

__all__ = ["show_snapshot", "watch_book"]

#: Seconds between two lines at least. A loss has a line of its own, at once.
_PAUSE: Final = 0.5
#: Seconds between two lines about losses at least.
_LOSS_PAUSE: Final = 0.1
#: The most levels of a side that a screen can show: more than the rows of any terminal.
_LEVELS: Final = 200
#: The packages of the extra `web`.
_WEB: Final = ("starlette", "hypercorn", "plotly")


def _client(services: Services) -> MarketDataClient:
    with explaining("--url", ValueError):
        return services.market_data()


async def watch_book(
    lines: Lines,
    asset: AssetIdentifier,
    *,
    services: Services,
    levels: int | None,
    plain: bool,
    seconds: float | None,
    count: int | None,
    port: int | None = None,
) -> int:
    """Show a live book until cancelled: on a screen, as lines if there is no terminal, or in a browser.

    The first request must succeed. A connection that is lost later is made again, without a limit.

    Args:
        lines: Where lines are printed.
        asset: The market.
        services: Where the service is.
        levels: The most levels of a side on a screen; None for as many as there is room for.
        plain: Whether to print lines also on a terminal.
        seconds: How long; None is forever.
        count: How many lines are printed; None is no limit. A number means lines.
        port: The port of the page for a browser, 0 for a free one; None is no page.

    Raises:
        Failure: The URL is not valid, or the page cannot be served.
        TplusError: The first request failed, or the book failed for good.
    """
    if port is not None and not all(map(find_spec, _WEB)):
        raise Failure('the page needs starlette, hypercorn and plotly: pip install "tplus_trio[web]"', USAGE)
    async with _client(services) as client:
        await client.get_orderbook_snapshot(asset)  # a wrong URL or market fails here, with its reason
        async with (
            client.open_book(asset) as book,
            client.stream_finalized_trades(overflow="drop_oldest") as trades,
            trio.open_nursery(strict_exception_groups=True) as nursery,
        ):
            monitor = BookMonitor(book, trades)
            nursery.start_soon(monitor.follow)
            with trio.move_on_after(inf if seconds is None else seconds):
                if port is not None:
                    nursery.start_soon(_add_trades, client, monitor)
                    await _serve(lines, client, monitor, port, levels)
                elif plain or count is not None or not is_screen(sys.stdout):
                    await _print(lines, monitor, count)
                else:
                    nursery.start_soon(_add_trades, client, monitor)
                    await _show(monitor, levels, services.url)
            nursery.cancel_scope.cancel()
    return 0


async def _add_trades(client: MarketDataClient, monitor: BookMonitor) -> None:
    """Show the trades before the first one that the feed brings, if the service lists them."""
    with suppress(TplusError):
        monitor.add_trades(tuple(await client.get_trades_for_asset(monitor.book.asset_id, limit=50)))


async def _show(monitor: BookMonitor, levels: int | None, source: str) -> None:
    screen = Screen()
    most = _LEVELS if levels is None else levels
    await screen.show(lambda: BookScreen(monitor.view(most), levels, source, screen.log_line))


async def _serve(lines: Lines, client: MarketDataClient, monitor: BookMonitor, port: int, levels: int | None) -> None:
    """Serve the page until cancelled."""
    from tplus_trio.cli.web.program import serve_page  # noqa: PLC0415 - starlette and hypercorn are an extra

    await serve_page(lines, client, monitor, port=port, levels=levels)


async def _print(lines: Lines, monitor: BookMonitor, count: int | None) -> None:
    """Print a line when the book has changed, and one for each loss."""
    left = inf if count is None else count
    shown: object = None
    while True:
        view = monitor.view(1)
        state = (view.word, None if view.book is None else view.book.sequence_number, view.lost)
        if state != shown:
            shown = state
            await lines.put(_line(view))
            left -= 1
        if left > 0 and (lost := await _wait(monitor)) is not None:
            shown = ("LOST", None, lost)
            await lines.put(f"{time_of_day(lost.since_ns)}  book {short(view.asset)}  LOST  {lost.reason}")
            left -= 1
            await trio.sleep(_LOSS_PAUSE)
        if left <= 0:
            return


async def _wait(monitor: BookMonitor) -> BookLost | None:
    """Wait until the next line is due: until the book is lost or in sync again, or for half a second."""
    book = monitor.book
    with trio.move_on_after(_PAUSE):
        if not book.is_synced:
            await book.wait_synced()
            return None
        async with book.while_synced() as session:
            await trio.sleep_forever()
        return session.lost
    return None


def _line(view: BookView) -> str:
    return f"{time_of_day(view.now_ns)}  book {short(view.asset)}  {describe_state(view)}"


async def show_snapshot(
    lines: Lines, asset: AssetIdentifier, *, services: Services, levels: int | None, json: bool
) -> int:
    """Print a book over REST.

    Args:
        lines: Where to print.
        asset: The market.
        services: Where the service is.
        levels: The most levels of a side; None is all.
        json: Whether to print JSON.

    Raises:
        Failure: The URL is not valid.
        TplusError: The request failed.
    """
    async with _client(services) as client:
        book = await client.get_orderbook_snapshot(asset)
    if json:
        await lines.put(as_json(attrs.evolve(book, asks=book.asks[:levels], bids=book.bids[:levels])))
        return 0
    is_plain = not sys.stdout.encoding.lower().startswith("utf")
    counts = f"bids {len(book.bids)}  asks {len(book.asks)}"
    await lines.put(f"market {short(asset)}  #{book.sequence_number}  {counts}  {describe_spread(book)}")
    for row in as_text(book, levels, 79, is_plain=is_plain):
        await lines.put(row)
    return 0

"""``tplus-trio demo``: an exchange, a user who trades, and five feeds at once, over TCP on this machine."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from itertools import count, cycle
from math import inf
from typing import Any, Final

import attrs
import trio
from rich.console import Console
from rich.table import Table

from tplus_trio.cli import tape as tapes
from tplus_trio.cli.checks import DEPTH, KLINES, TRADES, Check, DepthCheck, MirrorCheck, RecordedCheck, checks_of
from tplus_trio.cli.failure import explaining
from tplus_trio.cli.lines import Lines
from tplus_trio.cli.show import as_text, short
from tplus_trio.clients.market_data import MarketDataClient
from tplus_trio.clients.order_book import OrderBookClient
from tplus_trio.errors import NotFoundError
from tplus_trio.models import IOC, AssetIdentifier, Side
from tplus_trio.streams.stream import Stream
from tplus_trio.testing import Exchange, Population, serve
from tplus_trio.users import User

__all__ = ["demo"]

_MARKET: Final = AssetIdentifier(200)
#: Actions of the simulated traders per second; fewer beside a tape, where only the user's market needs them.
_RATE, _RATE_BESIDE_TAPE = 40.0, 10.0
#: The demo stops waiting for missing events after so many seconds without one.
_PATIENCE: Final = 10.0
#: In ticks: the distance of a resting order behind its best price, and of a crossing order beyond the opposite one.
_AWAY, _ACROSS = 200, 5


@attrs.define(eq=False)
class _Watched:
    """One stream that is printed and checked."""

    name: str
    stream: Stream[Any]
    asset: str = ""
    check: Check | None = None
    events: int = 0

    async def run(self, lines: Lines, arrived: trio.lowlevel.ParkingLot, *, task_status: trio.TaskStatus[None]) -> None:
        """Print the events until cancelled; reports as started when the stream is live."""
        async with self.stream as stream:
            await stream.wait_live()
            task_status.started()
            async for event in stream:
                self.events += 1
                if self.check is not None:
                    self.check.take(event)
                await lines.put(as_text(self.name, self.asset, event))
                arrived.unpark_all()


async def demo(lines: Lines, *, seconds: float, tape_file: str | None, seed: int) -> int:
    """Run the demonstration; see the command's help.

    Raises:
        Failure: The tape cannot be read or played.
        TplusError: A feed or an order failed.
    """
    exchange, tape, recorded = Exchange(seed=seed), None, dict[str, RecordedCheck]()
    if tape_file is not None:
        tape = await tapes.load(tape_file)
        tapes.load_into(exchange, tape)
        with explaining(f"the tape {tape_file}", *tapes.UNPLAYABLE):
            recorded = await trio.to_thread.run_sync(checks_of, tape, abandon_on_cancel=True)
    market = _own_market(exchange, recorded.values())
    population = Population(exchange, [market], seed=seed, rate=_RATE if tape is None else _RATE_BESIDE_TAPE)
    population.settle()
    user, arrived = User(), trio.lowlevel.ParkingLot()
    async with (
        serve(exchange) as url,
        OrderBookClient(url, default_user=user) as oms,
        MarketDataClient(url) as md,
        trio.open_nursery(strict_exception_groups=True) as nursery,
    ):
        await lines.put(f"exchange     {url}  user {short(user.public_key)} trades on market {market}")
        watched = _feeds(oms, md, market, exchange, recorded)
        for feed in watched:
            await nursery.start(feed.run, lines, arrived)
        async with trio.open_nursery(strict_exception_groups=True) as actors:
            actors.start_soon(population.run)
            actors.start_soon(_trade, oms, md, market, min(1.0, seconds / 8))
            if tape is None:
                await trio.sleep(seconds)
            else:
                await tapes.play_on(exchange, tape, tape.duration / seconds or inf)
            actors.cancel_scope.cancel()
        checks = [feed.check for feed in watched if feed.check is not None]
        await _settle(checks, arrived)
        nursery.cancel_scope.cancel()
    return await _report(lines, watched, checks)


def _own_market(exchange: Exchange, recorded: Iterable[RecordedCheck]) -> AssetIdentifier:
    """Choose the market that the user trades on: one that is not on the tape."""
    taken: set[object] = {market.asset_id for market in exchange.markets}
    taken.update(*(check.markets for check in recorded))
    if _MARKET not in taken:
        return _MARKET
    return next(asset for number in count(1) if (asset := AssetIdentifier(number)) not in taken)


def _feeds(
    oms: OrderBookClient,
    md: MarketDataClient,
    market: AssetIdentifier,
    exchange: Exchange,
    recorded: dict[str, RecordedCheck],
) -> list[_Watched]:
    """Make the streams of the five feeds; with a tape, depth and klines of each of its markets."""
    taped = sorted(AssetIdentifier(path.removeprefix(DEPTH)) for path in recorded if path.startswith(DEPTH))
    depth: Mapping[AssetIdentifier, Check | None] = {asset: recorded.get(DEPTH + asset) for asset in taped} or {
        market: MirrorCheck(f"depth {market}", exchange, market)
    }
    return [
        _Watched("trades", md.stream_finalized_trades(), check=recorded.get(TRADES)),
        *(_Watched("depth", md.stream_depth(asset), asset, check) for asset, check in depth.items()),
        *(
            _Watched("klines", md.stream_klines(asset), asset, recorded.get(KLINES + asset))
            for asset in [*taped, market]
        ),
        _Watched("orders", oms.stream_orders()),
        _Watched("user-trades", oms.stream_user_trade_events()),
    ]


async def _trade(oms: OrderBookClient, md: MarketDataClient, asset: AssetIdentifier, pause: float) -> None:
    """Until cancelled: place a resting order, place one that trades, and cancel the resting one."""
    market = await oms.get_market(asset)

    def ticks(price: Decimal) -> int:
        return int(price.scaleb(market.book_price_decimals))

    for side in cycle((Side.BUY, Side.SELL)):
        await trio.sleep(pause / 2)
        book = await md.get_orderbook_snapshot(asset)
        if not book.bids or not book.asks:
            continue
        bid, ask = ticks(book.bids[0].price), ticks(book.asks[0].price)
        away = max(1, bid - _AWAY) if side is Side.BUY else ask + _AWAY
        across = ask + _ACROSS if side is Side.BUY else max(1, bid - _ACROSS)
        resting = await oms.create_limit_order(1000, away, side, asset_id=asset)
        await oms.create_limit_order(100, across, side, IOC(), asset_id=asset)
        await trio.sleep(pause / 2)
        with suppress(NotFoundError):  # it traded meanwhile
            await oms.cancel_order(resting.order_id, asset)


async def _settle(checks: Sequence[Check], arrived: trio.lowlevel.ParkingLot) -> None:
    """Wait until every check is complete, or no event has arrived for `_PATIENCE` seconds."""
    while not all(check.complete for check in checks):
        with trio.move_on_after(_PATIENCE) as patience:
            await arrived.park()
        if patience.cancelled_caught:
            return


async def _report(lines: Lines, watched: Sequence[_Watched], checks: Sequence[Check]) -> int:
    """Print the counts and the results of the checks; return the exit status."""
    for check in checks:
        check.conclude()
    await lines.put("")
    for row in _table(watched):
        await lines.put(row)
    await lines.put("")
    recorded = [check for check in checks if isinstance(check, RecordedCheck)]
    if recorded:
        matched, expected = sum(check.matched for check in recorded), sum(check.count for check in recorded)
        await lines.put(f"recorded events that arrived once and in order: {matched} of {expected}")
        if skipped := sum(check.skipped for check in recorded):
            await lines.put(f"recorded events skipped, as repeats or older than the snapshot: {skipped}")
    books = [check for check in checks if isinstance(check, DepthCheck | MirrorCheck)]
    right = sum(check.problem is None for check in books)
    source = "those built from the file" if recorded else "the exchange's"
    await lines.put(f"books, built from snapshot and diffs, that equal {source}: {right} of {len(books)}")
    problems = [check.problem for check in checks if check.problem is not None]
    for problem in problems:
        await lines.put(f"WRONG: {problem}")
    return 1 if problems else 0


def _table(watched: Sequence[_Watched]) -> list[str]:
    """Format the counts of each feed."""
    table = Table(box=None, pad_edge=False)
    table.add_column("feed")
    for name in ("streams", "events", "connects", "gaps", "malformed"):
        table.add_column(name, justify="right")
    for name in dict.fromkeys(feed.name for feed in watched):
        feeds = [feed for feed in watched if feed.name == name]
        stats = [feed.stream.stats for feed in feeds]
        table.add_row(
            name,
            str(len(feeds)),
            str(sum(feed.events for feed in feeds)),
            str(sum(stat.connects for stat in stats)),
            str(sum(stat.gaps for stat in stats)),
            str(sum(stat.malformed for stat in stats)),
        )
    out = io.StringIO()
    Console(file=out, width=100, color_system=None).print(table)
    return [line.rstrip() for line in out.getvalue().splitlines()]

"""``tplus-trio demo --tape``: plays a tape, and compares what the clients receive with the file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from decimal import Decimal
from itertools import count, cycle
from math import inf
from typing import Final

import trio

from tplus_trio.cli import tape as tapes
from tplus_trio.cli.checks import DEPTH, KLINES, TRADES, DepthCheck, RecordedCheck, checks_of
from tplus_trio.cli.failure import explaining
from tplus_trio.cli.lines import Lines
from tplus_trio.cli.show import as_text, short
from tplus_trio.cli.watched import Watched, as_lines, count_events, settle
from tplus_trio.clients.market_data import MarketDataClient
from tplus_trio.clients.order_book import OrderBookClient
from tplus_trio.errors import NotFoundError
from tplus_trio.models import IOC, AssetIdentifier, Side
from tplus_trio.testing import Exchange, Population, serve
from tplus_trio.users import User

__all__ = ["play_tape"]

_MARKET: Final = AssetIdentifier(200)
#: Actions of the simulated traders per second, on the user's market.
_RATE: Final = 10.0
#: In ticks: the distance of a resting order behind its best price, and of a crossing order beyond the opposite one.
_AWAY, _ACROSS = 200, 5


async def play_tape(lines: Lines, *, seconds: float, tape_file: str, seed: int) -> int:
    """Play a tape on an exchange, watch its feeds, and compare what arrives with the file; see the command's help.

    Raises:
        Failure: The tape cannot be read or played.
        TplusError: A feed or an order failed.
    """
    exchange, tape = Exchange(seed=seed), await tapes.load(tape_file)
    tapes.load_into(exchange, tape)
    with explaining(f"the tape {tape_file}", *tapes.UNPLAYABLE):
        recorded = await trio.to_thread.run_sync(checks_of, tape, abandon_on_cancel=True)
    market = _own_market(exchange, recorded.values())
    population = Population(exchange, [market], seed=seed, rate=_RATE)
    population.settle()
    user, arrived = User(), trio.lowlevel.ParkingLot()

    async def show(feed: Watched, event: object) -> None:
        await lines.put(as_text(feed.name, feed.asset, event))

    async with (
        serve(exchange) as url,
        OrderBookClient(url, default_user=user) as oms,
        MarketDataClient(url) as md,
        trio.open_nursery(strict_exception_groups=True) as nursery,
    ):
        await lines.put(f"exchange     {url}  user {short(user.public_key)} trades on market {market}")
        watched = _feeds(oms, md, market, recorded)
        for feed in watched:
            await nursery.start(feed.run, arrived, show)
        async with trio.open_nursery(strict_exception_groups=True) as actors:
            actors.start_soon(population.run)
            actors.start_soon(_trade, oms, md, market, min(1.0, seconds / 8))
            await tapes.play_on(exchange, tape, tape.duration / seconds or inf)
            actors.cancel_scope.cancel()
        checks = [feed.check for feed in watched if isinstance(feed.check, RecordedCheck)]
        await settle(checks, arrived)
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
    recorded: dict[str, RecordedCheck],
) -> list[Watched]:
    """Make the streams of the five feeds: depth and klines of each market on the tape."""
    taped = sorted(AssetIdentifier(path.removeprefix(DEPTH)) for path in recorded if path.startswith(DEPTH))
    return [
        Watched("trades", md.stream_finalized_trades(), check=recorded.get(TRADES)),
        *(Watched("depth", md.stream_depth(asset), asset, recorded[DEPTH + asset]) for asset in taped),
        *(
            Watched("klines", md.stream_klines(asset), asset, recorded.get(KLINES + asset))
            for asset in [*taped, market]
        ),
        Watched("orders", oms.stream_orders()),
        Watched("user-trades", oms.stream_user_trade_events()),
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


async def _report(lines: Lines, watched: Sequence[Watched], checks: Sequence[RecordedCheck]) -> int:
    """Print the counts and the results of the checks; return the exit status."""
    for check in checks:
        check.conclude()
    await lines.put("")
    for row in as_lines(count_events(watched), 100, is_screen=False):
        await lines.put(row)
    await lines.put("")
    matched, expected = sum(check.matched for check in checks), sum(check.count for check in checks)
    await lines.put(f"recorded events that arrived once and in order: {matched} of {expected}")
    if skipped := sum(check.skipped for check in checks):
        await lines.put(f"recorded events skipped, as repeats or older than the snapshot: {skipped}")
    books = [check for check in checks if isinstance(check, DepthCheck)]
    right = sum(check.problem is None for check in books)
    await lines.put(
        f"books, built from snapshot and diffs, that equal those built from the file: {right} of {len(books)}"
    )
    problems = [check.problem for check in checks if check.problem is not None]
    for problem in problems:
        await lines.put(f"WRONG: {problem}")
    return 1 if problems else 0

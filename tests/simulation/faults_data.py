"""Faults of data: replicas, numbering, statuses, bad rows, pages, and answers after an order was carried out.

Each is a function of the injector; ``faults.py`` merges `DATA_KINDS` into its kinds.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import trio

from tplus_trio.testing import Response

from .invariants import SPOILED_STATUS

if TYPE_CHECKING:
    from .faults import Injector

__all__ = ["DATA_KINDS", "HARMLESS", "INNOCENT", "NOT_FOUND"]

DataFault: TypeAlias = "Callable[[Injector], bool | Awaitable[bool | None] | None]"

#: A new status of the service that this version of the client does not know.
NEW_STATUS: Final = "Netted"
#: The most seconds that a replica is behind, and for how many seconds it answers.
_MOST_BEHIND: Final = 4.0
_MOST_LAGGING: Final = 8.0
_LISTINGS: Final = ("/trades", "/trades", "/klines/")
#: Makers of bad rows of trades: an unknown status, a null, a missing field.
_BAD_TRADES: Final[tuple[dict[str, Any], ...]] = (
    {"change": {"status": SPOILED_STATUS}},
    {"change": {"price": None}},
    {"change": {"buyer_is_maker": None}},
    {"missing": ("quantity",)},
)
_BAD_CANDLES: Final[tuple[dict[str, Any], ...]] = ({"change": {"close": None}}, {"missing": ("volume",)})
_BAD_ORDERS: Final[tuple[dict[str, Any], ...]] = (
    {"change": {"status": "Frozen"}},
    {"change": {"side": "Both"}},
)
_HTML: Final = (("content-type", "text/html"),)
_PAGES: Final = (Response(404, b"<html><body>404 Not Found</body></html>", _HTML), Response(404, b"", ()))
_UNREADABLE: Final = (
    None,
    Response(200, b"<html><body>Moved</body></html>", _HTML),
    Response(200, json.dumps({"order_id": "?", "status": "Queued"}).encode()),
)
_HEARTBEATS: Final = ('{"type":"heartbeat"}', '{"type":"keepalive"}')
#: Heartbeats per second.
_BEATS: Final = 20.0


def _away(injector: Injector) -> None:
    """End connections half the time: a client requests history when it reconnects."""
    if injector.rng.random() < 0.5:
        injector.network.reset_connections()


def rest_lags(injector: Injector) -> None:
    """REST is behind the feeds for some seconds."""
    rng = injector.rng
    behind, seconds = rng.uniform(0.2, _MOST_BEHIND), rng.uniform(1.0, _MOST_LAGGING)
    injector.faults.lag_requests(rng.choice(_LISTINGS), behind, seconds=seconds)
    _away(injector)


def replicas_take_turns(injector: Injector) -> None:
    """Two replicas answer REST in turn; one is behind."""
    rng = injector.rng
    behind = [0.0, rng.uniform(0.2, _MOST_BEHIND)]
    rng.shuffle(behind)
    injector.faults.lag_requests(rng.choice(_LISTINGS), behind, 2 * injector.draw_count())
    _away(injector)


def snapshot_of_a_replica(injector: Injector) -> bool:
    """The next snapshot is seconds old."""
    if (asset := injector.draw_contiguous_asset()) is None:
        return False
    behind = injector.rng.uniform(0.2, _MOST_BEHIND)
    injector.faults.lag_requests(f"/marketdepth/{asset}", behind, injector.draw_count())
    injector.resync_some()
    return True


def trade_ids_restarted(injector: Injector) -> None:
    """Trade ids restart at 1, during a connection or after a loss."""
    injector.faults.restart_trade_ids()
    _away(injector)


def trades_confirmed(injector: Injector) -> bool:
    """Pending trades are confirmed."""
    return _retell(injector, "Pending", "Confirmed")


def trades_rolled_back(injector: Injector) -> bool:
    """Confirmed trades are rolled back; their candles lose volume."""
    return _retell(injector, "Confirmed", "Rollbacked")


def trades_of_an_unknown_status(injector: Injector) -> bool:
    """Trades get an unknown status, and keep it on the feed and in each listing."""
    return _retell(injector, "Confirmed", NEW_STATUS)


def _retell(injector: Injector, before: str, after: str) -> bool:
    rng = injector.rng
    trades = [trade for trade in injector.traders.strangers if trade.status == before]
    if not trades:
        return False
    _away(injector)
    for trade in rng.sample(trades, min(len(trades), injector.draw_count())):
        injector.traders.change_status(trade, after)
    return True


async def confirmed_late(injector: Injector) -> None:
    """REST lists trades that the feed delivers later out of order, or never."""
    rng, faults, network = injector.rng, injector.faults, injector.network
    faults.clear("withhold_trades")
    injector.reference.trades.forgotten()
    faults.withhold_trades(rng.randrange(1, 4))
    for _ in range(rng.randrange(2, 8)):
        injector.traders.trade(injector.draw_asset())
    if rng.random() < 0.6:
        network.reset_connections()
        return
    connects = network.connects
    await trio.sleep(rng.uniform(0.0, 3.0))
    # A client takes a connection that begins with a delivered trade for one without a hole.
    if network.connects == connects:
        injector.reference.trades.released()
        faults.release_trades()


def trades_replayed(injector: Injector) -> None:
    """After a reconnection, the feed begins with trades that it sent before."""
    injector.faults.replay_trades(1, injector.rng.randrange(1, 40))
    injector.network.reset_connections()


def bad_row_listed(injector: Injector) -> None:
    """One row of a page is bad."""
    rng = injector.rng
    path, kinds = rng.choice((("/trades", _BAD_TRADES), ("/klines/", _BAD_CANDLES), ("/orders/user/", _BAD_ORDERS)))
    injector.faults.spoil_rows(path, injector.draw_count(), row=rng.randrange(8), **rng.choice(kinds))
    injector.traders.trade(injector.draw_asset())
    injector.network.reset_connections()


def bad_row_told(injector: Injector) -> None:
    """One row of a feed is bad."""
    rng = injector.rng
    path, kinds = rng.choice((("/trades", _BAD_TRADES), ("/klines/", _BAD_CANDLES)))
    injector.faults.spoil_messages(path, 1, **rng.choice(kinds))
    injector.traders.trade(injector.draw_asset())


def pages_ascending(injector: Injector) -> None:
    """A page has the oldest row first."""
    injector.faults.reverse_pages(injector.rng.choice((*_LISTINGS, "/orders/user/")), injector.draw_count())
    injector.network.reset_connections()
    for _ in range(injector.rng.randrange(1, 10)):
        injector.traders.trade(injector.draw_asset())


def pages_shifted(injector: Injector) -> None:
    """More than one page is missed, and a page repeats rows of the page before."""
    injector.faults.shift_pages("/trades", injector.rng.randrange(1, 30), injector.draw_count())
    injector.network.reset_connections()
    for _ in range(injector.rng.randrange(90, 160)):
        injector.traders.trade(injector.draw_asset())


async def unknown_heartbeats(injector: Injector) -> None:
    """A feed sends many control messages a second of an unknown kind."""
    feed, beat = injector.draw_feed(), injector.rng.choice(_HEARTBEATS)
    for _ in range(injector.rng.randrange(20, 100)):
        injector.faults.send_text(feed, beat)
        await trio.sleep(1 / _BEATS)


async def empty_messages(injector: Injector) -> None:
    """A depth feed sends many empty messages a second."""
    feed = injector.draw_depth_path()
    for _ in range(injector.rng.randrange(20, 60)):
        injector.faults.send_text(feed, "")
        await trio.sleep(1 / _BEATS)


def orders_not_found_by_a_proxy(injector: Injector) -> None:
    """A proxy answers 404 to a request for the orders of a user who has some."""
    injector.faults.answer_requests("/orders/user/", injector.rng.choice(_PAGES), injector.draw_count())
    injector.network.reset_connections()


def answer_after_acting_unreadable(injector: Injector) -> None:
    """An order is carried out, and the answer cannot be read."""
    rng = injector.rng
    injector.faults.replace_answers(rng.choice(("/orders/create", "/orders/cancel")), rng.choice(_UNREADABLE))


_FAULTS: Final[tuple[DataFault, ...]] = (
    rest_lags,
    replicas_take_turns,
    snapshot_of_a_replica,
    trade_ids_restarted,
    trades_confirmed,
    trades_rolled_back,
    trades_of_an_unknown_status,
    confirmed_late,
    trades_replayed,
    bad_row_listed,
    bad_row_told,
    pages_ascending,
    pages_shifted,
    unknown_heartbeats,
    empty_messages,
    orders_not_found_by_a_proxy,
    answer_after_acting_unreadable,
)
DATA_KINDS: Final[dict[str, DataFault]] = {fault.__name__.replace("_", " "): fault for fault in _FAULTS}
#: Faults that need no reaction of a client.
HARMLESS: Final = ("unknown heartbeats",)
#: Faults that may end a private stream.
NOT_FOUND: Final = "orders not found by a proxy"
#: Faults after which REST is on time and right about trades: a client can prove that nothing is missing, without `Gap`.
INNOCENT: Final = frozenset(
    {
        *("drop", "reset", "reset mid frame", "close frame", "handshake 500", "handshake 503", "handshake 429"),
        *("garbage", "garbled", "binary", "illegal frame", "fragmented", "control message"),
        *("snapshot delayed", "snapshot stale", "snapshot of a replica", "sequence skipped", "sequence repeated"),
        *("sequence swapped", "sequence lost", "sequence restarted", "sequence restarted and dropped"),
        *("reconnect ordered", "resync ordered", "consumer interrupted", "consumer cut off"),
        *("trade ids restarted", "trades confirmed", "trades rolled back", "trades replayed", "pages shifted"),
        *("unknown heartbeats", "empty messages", "orders not found by a proxy", "answer after acting unreadable"),
    }
)

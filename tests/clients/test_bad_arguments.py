"""Arguments that are not legal: a ValueError or TypeError says what is, and nothing is sent."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from trio.testing import MockClock

from tplus_trio import (
    GTC,
    MarketDataClient,
    MissingUserError,
    OrderBookClient,
    RestartPolicy,
    User,
)
from tplus_trio.testing import MemoryNetwork
from tplus_trio.transport.connector import Endpoint

NAN = float("nan")

# URLs


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "scheme"),
        ("localhost:8011", "scheme"),
        ("//localhost", "scheme"),
        ("ftp://localhost", "scheme"),
        ("ws://localhost", "scheme"),
        ("http:localhost", "host"),
        ("http://", "host"),
        ("http:///path", "host"),
        ("http://:80", "host"),
        ("http://host:port", "port"),
        ("http://host:0", "port"),
        ("http://host:-1", "port"),
        ("http://host:65536", "port"),
        ("http://host:8 0", "white space"),
        (" http://host", "white space"),
        ("http://host\n", "white space"),
        ("http://ho\x00st", "control"),
        ("http://[::1", "host"),
        ("http://[nonsense]", "host"),
        ("http://a..b", "host"),
        ("http://.host", "host"),
        ("http://..", "host"),
        ("http://" + "a" * 64 + ".com", "host"),
        ("http://" + "a." * 200 + "com", "host"),
        ("http://ho$t", "host"),
        ("http://ho\\st", "host"),
        ("http://ho%73t", "host"),
        ("http://<host>", "host"),
        ("http://-host", "host"),
        ("http://host/p?q=1", "query"),
        ("http://host/p#f", "query"),
        ("http://host/?", "query"),
        ("http://host/ä", "path"),
        ("http://host/a/../b", "path"),
        ("http://host/a b", "white space"),
        ('http://host/"', "path"),
    ],
)
def test_a_bad_url_says_what_is_legal(url: str, said: str) -> None:
    for make in (MarketDataClient, OrderBookClient):
        with pytest.raises(ValueError, match=r"http\(s\)://host\[:port\]\[/prefix\]") as caught:
            make(url)
        assert said in str(caught.value)
        assert len(str(caught.value)) < 400 or len(url) > 300


@pytest.mark.parametrize(
    "url",
    [
        "http://alice:geheim@host",
        "http://geheim@host",
        "https://alice:geheim@host:99999",
        "alice:geheim@host:80",
        "http:/alice:geheim@host",
        "http://alice:80/geheim@host",
        "http://alice:geheim/x@host",
        "http://alice:geheim",
        "ftp://alice:geheim@host",
        "http://host/?token=geheim",
        "http://host/#geheim",
        "ftp://host/?geheim",
        "http://al ice:geheim@host",
        "http://[geheim@host",
    ],
)
def test_a_password_in_a_url_is_not_repeated(url: str) -> None:
    with pytest.raises(ValueError, match=r"http\(s\)") as caught:
        MarketDataClient(url)
    text = str(caught.value) + repr(caught.value.__cause__)
    if not caught.value.__suppress_context__:
        text += repr(caught.value.__context__)
    assert "geheim" not in text


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://localhost", "http://localhost"),
        ("HTTP://LocalHost:80/", "http://localhost"),
        ("https://host.:443", "https://host."),
        ("https://host:8443/a/b/", "https://host:8443/a/b"),
        ("http://[::1]:8011", "http://[::1]:8011"),
        ("http://my_host-1.test", "http://my_host-1.test"),
        ("http://bücher.example", "http://xn--bcher-kva.example"),
        ("http://host/a%20b", "http://host/a%20b"),
    ],
)
def test_good_urls(url: str, shown: str) -> None:
    assert str(Endpoint.from_url(url)) == shown


@pytest.mark.parametrize("url", [None, 5, b"http://host", object()])
def test_a_url_is_text(url: Any) -> None:
    with pytest.raises(TypeError, match="string"):
        MarketDataClient(url)


# Clients

OPTIONS: list[tuple[str, Any, type[Exception], str]] = [
    ("default_user", "alice", TypeError, "User"),
    ("connector", object(), TypeError, "connect"),
    ("connector", "tcp", TypeError, "connect"),
    ("verify", "no", TypeError, "SSLContext"),
    ("verify", None, TypeError, "SSLContext"),
    ("verify", 1, TypeError, "SSLContext"),
    ("headers", 5, TypeError, "mapping"),
    ("headers", [("a", "b")], TypeError, "mapping"),
    ("headers", {"a": 5}, TypeError, "str"),
    ("headers", {"a b": "c"}, ValueError, "token"),
    ("headers", {"": "c"}, ValueError, "token"),
    ("headers", {"a": "b\r\nc: d"}, ValueError, "printable"),
    ("headers", {"a": "ü"}, ValueError, "ASCII"),
    ("headers", {"a": " b"}, ValueError, "space"),
    ("auth_path_prefix", None, TypeError, "path"),
    ("auth_path_prefix", "/a?b", ValueError, "/market-data"),
    ("auth_path_prefix", "/../b", ValueError, "/market-data"),
    ("auth_path_prefix", "http://x", ValueError, "/market-data"),
    ("restart", 5, TypeError, "RestartPolicy"),
    ("restart", True, TypeError, "RestartPolicy"),
    ("buffer", 0, ValueError, "at least 1"),
    ("buffer", 1.5, TypeError, "whole number"),
    ("buffer", True, TypeError, "whole number"),
    ("overflow", "drop", ValueError, "drop_oldest"),
    ("overflow", None, ValueError, "drop_oldest"),
    ("overflow", [], ValueError, "drop_oldest"),
    ("max_message_size", 0, ValueError, "at least 1"),
    ("max_message_size", "1", TypeError, "whole number"),
    ("now_ns", 5, TypeError, "callable"),
    ("jitter", 0.5, TypeError, "callable"),
    ("colour", "red", TypeError, "unknown"),
]
SECONDS: list[tuple[Any, type[Exception], str]] = [
    (-1, ValueError, "more than 0|at least 0"),
    (NAN, ValueError, "more than 0|at least 0"),
    (10**400, ValueError, "number"),
    ("5", TypeError, "number"),
    (True, TypeError, "number"),
]
for name in ("timeout", "ping_interval", "ping_timeout", "close_timeout", "idle_timeout"):
    OPTIONS += [(name, value, kind, f"(?=.*{name})(?=.*({said}))") for value, kind, said in SECONDS]
    if name != "close_timeout":
        OPTIONS.append((name, 0, ValueError, "more than 0"))


@pytest.mark.parametrize(("name", "value", "kind", "said"), OPTIONS)
def test_a_bad_option_of_a_client(name: str, value: Any, kind: type[Exception], said: str) -> None:
    for make in (MarketDataClient, OrderBookClient):
        with pytest.raises(kind, match=said):
            make("http://localhost", **{name: value})


@pytest.mark.parametrize(
    ("name", "value", "kind", "said"),
    [
        *(option for option in OPTIONS if option[0] in {"restart", "buffer", "overflow", "idle_timeout", "colour"}),
        ("connector", object(), TypeError, "unknown"),
        ("timeout", 5, TypeError, "unknown"),
    ],
)
async def test_a_bad_option_of_a_stream(
    name: str, value: Any, kind: type[Exception], said: str, autojump_clock: MockClock
) -> None:
    async with MemoryNetwork() as network:
        md = MarketDataClient("http://localhost", connector=network)
        oms = OrderBookClient("http://localhost", connector=network, default_user=User())
        async with md, oms:
            for call in (
                md.stream_finalized_trades,
                lambda **o: md.stream_depth(200, **o),
                lambda **o: md.stream_klines(200, **o),
                md.stream_tickers,
                oms.stream_orders,
                oms.stream_user_trade_events,
            ):
                with pytest.raises(kind, match=said):
                    call(**{name: value})
            if name not in {"buffer", "overflow"}:
                with pytest.raises(kind, match=said):
                    md.open_book(200, **{name: value})
        assert network.connects == 0


async def test_conflating_is_for_feeds_that_can(autojump_clock: MockClock) -> None:
    async with MemoryNetwork() as network:
        async with MarketDataClient("http://localhost", connector=network, overflow="conflate") as md:
            md.stream_finalized_trades()  # the client's wish, which this feed cannot follow
            with pytest.raises(ValueError, match="block, drop_oldest, error"):
                md.stream_finalized_trades(overflow="conflate")
            with pytest.raises(ValueError, match="sequence"):
                md.stream_depth(200, sequence="odd")  # type: ignore[arg-type]  # illegal on purpose
            with pytest.raises(ValueError, match="backfill_pages"):
                md.stream_finalized_trades(backfill_pages=0)
            with pytest.raises(TypeError, match="backfill_pages"):
                md.stream_klines(200, backfill_pages="3")  # type: ignore[arg-type]  # illegal on purpose
        assert network.connects == 0


# Calls

BAD_ASSETS: list[Any] = [None, "", "ETH", -1, True, 1.5, "0x12@34", "a" * 64, "20 0", "../200", "200/../1", b"200"]
Call = Callable[[MarketDataClient, OrderBookClient], Any]

OF_AN_ASSET: dict[str, Callable[[MarketDataClient, OrderBookClient, Any], Any]] = {
    "stream_depth": lambda md, oms, asset: md.stream_depth(asset),
    "stream_klines": lambda md, oms, asset: md.stream_klines(asset),
    "stream_ticker": lambda md, oms, asset: md.stream_ticker(asset),
    "open_book": lambda md, oms, asset: md.open_book(asset),
    "get_orderbook_snapshot": lambda md, oms, asset: md.get_orderbook_snapshot(asset),
    "get_trades_for_asset": lambda md, oms, asset: md.get_trades_for_asset(asset),
    "get_klines": lambda md, oms, asset: md.get_klines(asset),
    "get_ticker": lambda md, oms, asset: md.get_ticker(asset),
    "get_market": lambda md, oms, asset: oms.get_market(asset),
    "create_limit_order": lambda md, oms, asset: oms.create_limit_order(1, 1, "Buy", asset_id=asset),
    "cancel_order": lambda md, oms, asset: oms.cancel_order("x", asset),
}


async def outcome(made: Any) -> None:
    """Await what is to be awaited; a stream raises at the call."""
    if hasattr(made, "__await__"):
        await made


@pytest.mark.parametrize("method", OF_AN_ASSET)
async def test_what_is_no_asset(method: str, autojump_clock: MockClock) -> None:
    async with MemoryNetwork() as network:
        md = MarketDataClient("http://localhost", connector=network)
        oms = OrderBookClient("http://localhost", connector=network, default_user=User())
        async with md, oms:
            for asset in BAD_ASSETS:
                with pytest.raises((ValueError, TypeError), match=r"asset|index") as caught:
                    await outcome(OF_AN_ASSET[method](md, oms, asset))
                assert re.search(r"index|hex|required", str(caught.value)), caught.value
        assert network.connects == 0


def limit_order(**bad: Any) -> Call:
    arguments = {"quantity": 1, "price": 1, "side": "Buy", "asset_id": 200, **bad}
    return lambda md, oms: oms.create_limit_order(**arguments)


BAD_CALLS: list[tuple[Call, type[Exception], str]] = [
    (lambda md, oms: md.get_trades(page=-1), ValueError, "page is at least 0"),
    (lambda md, oms: md.get_trades(page="1"), TypeError, "page is a whole number"),  # type: ignore[arg-type]  # illegal on purpose
    (lambda md, oms: md.get_trades(limit=0), ValueError, "limit is at least 1"),
    (lambda md, oms: md.get_trades(limit=-5), ValueError, "limit is at least 1"),
    (lambda md, oms: md.get_trades(limit=1.5), TypeError, "limit is a whole number"),  # type: ignore[arg-type]  # illegal on purpose
    (lambda md, oms: md.get_trades_for_asset(200, limit=True), TypeError, "limit is a whole number"),
    (lambda md, oms: md.get_klines(200, page=-1), ValueError, "page"),
    (lambda md, oms: md.get_klines(200, end_timestamp_ns=-1), ValueError, "end_timestamp_ns is at least 0"),
    (lambda md, oms: md.get_klines(200, interval="7"), ValueError, "interval.*1D"),
    (lambda md, oms: md.get_klines(200, interval=60), ValueError, "interval.*1D"),  # type: ignore[arg-type]  # illegal on purpose
    (lambda md, oms: oms.get_user_orders("alice"), TypeError, "load_user"),  # type: ignore[arg-type]  # illegal on purpose
    (lambda md, oms: oms.get_user_orders(limit=-1), ValueError, "limit is at least 1"),
    (lambda md, oms: oms.stream_orders("alice"), TypeError, "load_user"),  # type: ignore[arg-type]  # illegal on purpose
    (lambda md, oms: oms.cancel_order("", 200), ValueError, "order_id"),
    (lambda md, oms: oms.cancel_order("x" * 25, 200), ValueError, "24"),
    (lambda md, oms: oms.cancel_order("é" * 13, 200), ValueError, "24"),
    (lambda md, oms: oms.cancel_order(5, 200), TypeError, "order_id"),  # type: ignore[arg-type]  # illegal on purpose
    (limit_order(quantity=-1), ValueError, "quantity"),
    (limit_order(quantity=1.5), TypeError, "quantity"),
    (limit_order(quantity=True), TypeError, "quantity"),
    (limit_order(price=-1), ValueError, "price"),
    (limit_order(price="1"), TypeError, "price"),
    (limit_order(side="up"), ValueError, "side.*Buy.*Sell"),
    (limit_order(side=None), ValueError, "side.*Buy.*Sell"),
    (limit_order(time_in_force="GTC"), TypeError, "time_in_force is a GTC\\(\\), .*, not 'GTC'"),
    (limit_order(time_in_force=GTC), TypeError, "time_in_force is a GTC\\(\\), .*, not <class"),
    (limit_order(order_id="\ud800"), ValueError, "UTF-8 form"),
    (limit_order(asset_id=None), TypeError, "asset_id"),
    (limit_order(order_id="x" * 25), ValueError, "order_id"),
    (limit_order(target="spot"), TypeError, "target.*TradeTarget"),
    (limit_order(trigger="above"), TypeError, "trigger.*OrderTrigger"),
    (limit_order(max_trading_fees_rate=-1), ValueError, "max_trading_fees_rate"),
    (limit_order(max_trading_fees_rate=0.5), TypeError, "max_trading_fees_rate"),
    (limit_order(reduce_only="yes"), TypeError, "reduce_only"),
    (limit_order(user="alice"), TypeError, "load_user"),
]


@pytest.mark.parametrize(("call", "kind", "said"), BAD_CALLS)
async def test_a_bad_argument_of_a_call(
    call: Call, kind: type[Exception], said: str, autojump_clock: MockClock
) -> None:
    async with MemoryNetwork() as network:
        md = MarketDataClient("http://localhost", connector=network)
        oms = OrderBookClient("http://localhost", connector=network, default_user=User())
        async with md, oms:
            with pytest.raises(kind, match=said):
                await outcome(call(md, oms))
        assert network.connects == 0


async def test_a_missing_user_is_missed_before_anything_else(autojump_clock: MockClock) -> None:
    async with MemoryNetwork() as network, OrderBookClient("http://localhost", connector=network) as oms:
        for stream in (
            oms.stream_orders,
            oms.stream_user_trade_events,
            oms.stream_user_finalized_trades,
            oms.stream_user_positions,
            oms.stream_user_events,
            oms.stream_intent,
        ):
            with pytest.raises(MissingUserError, match="default_user"):
                stream()
        for call in (
            oms.get_user_orders(),
            oms.get_user_orders_for_book(200),
            oms.get_open_orders_for_book(200),
            oms.get_user_positions(),
            oms.get_user_positions_page(),
            oms.get_user_position_for_asset(200),
            oms.get_user_inventory(),
            oms.get_user_solvency(),
            oms.get_user_margin_info(),
            oms.get_multisig_config(),
            oms.get_close_all_positions_preview(1),
            oms.init_margin_simulate(1, 200, True, 1, 1),
            oms.request_close_position(1, 200),
            oms.request_transfer_to_subaccount(0, 1, 200, 1),
            oms.create_limit_order(1, 1, "Buy", asset_id=200),
            oms.cancel_order("x", 200),
        ):
            with pytest.raises(MissingUserError, match="default_user"):
                await call
        assert network.connects == 0


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"initial_delay": -1}, ValueError),
        ({"max_delay": float("inf")}, ValueError),
        ({"factor": 0.5}, ValueError),
        ({"within": NAN}, ValueError),
        ({"max_restarts": -1}, ValueError),
        ({"max_restarts": 1.5}, TypeError),
        ({"initial_delay": "1"}, TypeError),
        ({"factor": 10**400}, ValueError),
    ],
)
def test_a_bad_restart_policy(options: dict[str, Any], kind: type[Exception]) -> None:
    with pytest.raises(kind, match=next(iter(options))):
        RestartPolicy(**options)

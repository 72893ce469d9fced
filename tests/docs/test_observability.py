"""What the page on logging and metrics shows runs as it stands."""

from __future__ import annotations

import json
import logging
from typing import Any
from urllib.request import urlopen

import prometheus_client
import pytest
import trio
from trio.testing import MockClock

from tests.helpers.pages import blocks
from tests.helpers.world import ASSET, open_world
from tplus_trio import MarketDataClient, OrdersLeftResting
from tplus_trio.observers.prometheus import PrometheusObserver

JSON, SHOW, CONTROL, SERVE, ALARM = blocks("howto/log_and_measure.md")


async def test_the_log_is_read_by_machines(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    names: dict[str, Any] = {"json": json, "logging": logging}
    exec(JSON, names)
    async with open_world() as world, world.md.open_book(ASSET) as book:
        await book.wait_synced()
        world.network.reset_connections()
        await trio.sleep(1)
    formatter = names["JsonFormatter"]()
    (began,) = (record for record in caplog.records if record.levelno == logging.WARNING)
    found = json.loads(formatter.format(began))
    assert (found["event"], found["path"]) == ("outage_began", f"/marketdepth/diff/{ASSET}")
    assert json.loads(formatter.format(logging.makeLogRecord({"msg": "of another"})))["event"] is None


async def test_a_client_is_shown(autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    exec(SHOW, names)
    async with open_world() as world, world.md.open_book(ASSET) as book:
        await book.wait_synced()
        names["show"](world.md)
    assert capsys.readouterr().out == f"/marketdepth/diff/{ASSET} live 0 0 None\n"


async def test_a_control_channel_is_shown(autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    exec(CONTROL, names)
    async with open_world(orders={"use_ws_control": True}) as world:
        names["show_control"](world.oms)
        await world.oms.create_limit_order(5, 900, "Buy", asset_id=ASSET)
        names["show_control"](world.oms)
    assert capsys.readouterr().out == "live 1 0 0 1 0\n"


async def test_metrics_are_served() -> None:
    served: list[Any] = []
    registry = prometheus_client.CollectorRegistry()

    def start(port: int) -> None:
        served.append(prometheus_client.start_http_server(port, "127.0.0.1", registry))

    names: dict[str, Any] = {
        "MarketDataClient": MarketDataClient,
        "PrometheusObserver": lambda: PrometheusObserver(registry),
        "start_http_server": start,
    }
    exec(SERVE, names)
    found: list[str] = []

    async def use(_: MarketDataClient) -> None:
        url = f"http://127.0.0.1:{served[0][0].server_port}/metrics"
        found.append(await trio.to_thread.run_sync(lambda: urlopen(url, timeout=10).read().decode()))

    names["use"] = use
    try:
        with trio.fail_after(30):
            await names["serve_metrics"](0)
    finally:
        for server, thread in served:
            server.shutdown()
            server.server_close()
            thread.join()
    assert "tplus_connections_lost_total" in found[0]


async def test_an_alarm_is_raised(autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    exec(ALARM, names)
    async with open_world(observer=names["Alarm"]()) as world, world.md.open_book(ASSET) as book:
        await book.wait_synced()
        world.network.reset_connections()
        await trio.sleep(1)
    assert capsys.readouterr().out.startswith(f"lost /marketdepth/diff/{ASSET} the connection was lost")


async def test_an_alarm_is_raised_for_orders_that_are_left(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    names: dict[str, Any] = {}
    exec(ALARM, names)
    async with open_world(observer=names["Alarm"]()) as world:

        async def leave_an_order() -> None:
            async with world.oms.order_scope(ASSET) as scope:
                await scope.create_limit_order(5, 900, "Buy", order_id="mine")
                world.network.partition(10)

        with pytest.raises(OrdersLeftResting):
            await leave_an_order()
        assert "left resting mine\n" in capsys.readouterr().out

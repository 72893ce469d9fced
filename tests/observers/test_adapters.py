"""The observer adapters, each with its library."""

from __future__ import annotations

import pytest
import trio
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client import CollectorRegistry, generate_latest
from trio.testing import MockClock

from tests.helpers.world import ASSET, URL, World, open_world
from tplus_trio import MarketDataClient
from tplus_trio.observers.otel import OpenTelemetryObserver
from tplus_trio.observers.prometheus import PrometheusObserver
from tplus_trio.observers.totals import DURATION_BUCKETS, Totals


async def trouble(world: World) -> None:
    """Run a book and a private feed through a lost connection, a hole and a refused request."""
    async with world.md.open_book(ASSET) as book, world.oms.stream_user_trade_events() as trades:
        await book.wait_synced()
        await trades.wait_live()
        world.network.reset_connections()
        await trio.sleep(5)
        world.exchange.faults.lose_diffs(ASSET)
        world.change(5)
        await trio.sleep(5)
        await trades.receive()
        await world.oms.create_limit_order(1, 900, "Buy", asset_id=ASSET)
        await trio.sleep(1)


async def test_prometheus_shows_what_happened(autojump_clock: MockClock) -> None:
    registry = CollectorRegistry()
    observer = PrometheusObserver(registry)
    async with open_world(observer=observer) as world:
        observer.watch(world.md, "md")
        observer.watch(world.oms, "oms")
        await trouble(world)
        async with world.md.open_book(ASSET) as book:
            await book.wait_synced()
            world.change(7)
            await trio.sleep(1)
            # A thread of the library reads the metrics.
            text = (await trio.to_thread.run_sync(generate_latest, registry)).decode()
    lines = text.splitlines()
    for line in (
        'tplus_connections_lost_total{error="ConnectionFailed",feed="/marketdepth/diff/*"} 1.0',
        'tplus_restarts_total{error="ConnectionFailed",feed="/marketdepth/diff/*"} 1.0',
        'tplus_resyncs_total{feed="/marketdepth/diff/*"} 1.0',
        'tplus_gaps_total{feed="/trades/user/events/*"} 1.0',
        'tplus_orders_sent_total{operation="create"} 1.0',
        'tplus_order_fates_total{fate="done",operation="create"} 1.0',
        'tplus_connection_open_seconds_count{feed="/marketdepth/diff/*"} 3.0',
        'tplus_live_streams{client="md",feed="/marketdepth/diff/*"} 1.0',
        'tplus_messages_total{client="md",feed="/marketdepth/diff/*"} 7.0',
    ):
        assert line in lines, text
    # After the run, reading returns nothing and does not fail.
    assert "tplus_live_streams{" not in generate_latest(registry).decode()


async def test_opentelemetry_records_what_happened(autojump_clock: MockClock) -> None:
    reader = InMemoryMetricReader()
    observer = OpenTelemetryObserver(MeterProvider([reader]))
    async with open_world(observer=observer) as world:
        observer.watch(world.md, "md")
        await trouble(world)
        async with world.md.open_book(ASSET) as book:
            await book.wait_synced()
            world.change(7)
            await trio.sleep(1)
            data = await trio.to_thread.run_sync(reader.get_metrics_data)
    assert data is not None
    found = {
        metric.name: metric.data.data_points
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    (lost,) = [
        point
        for point in found["tplus.client.connections.lost"]
        if (point.attributes or {}).get("error.type") == "ConnectionFailed"
        and (point.attributes or {})["messaging.destination.template"] == "/marketdepth/diff/*"
    ]
    assert lost.value == 1  # type: ignore[union-attr]  # a counter's point
    (messages,) = found["messaging.client.consumed.messages"]
    assert messages.value == 7  # type: ignore[union-attr]  # a counter's point
    assert messages.attributes == {
        "messaging.system": "tplus",
        "messaging.operation.name": "receive",
        "messaging.destination.template": "/marketdepth/diff/*",
        "tplus.client.name": "md",
    }
    (offset,) = found["tplus.client.clock.offset"]
    assert offset.attributes == {"messaging.system": "tplus", "tplus.client.name": "md"}
    requests = found["http.client.request.duration"]
    assert requests[0].explicit_bounds == DURATION_BUCKETS  # type: ignore[union-attr]  # a histogram's point
    assert {(point.attributes or {})["url.template"] for point in requests} >= {"/marketdepth/*", "/orders/create"}


async def test_clients_of_one_name_are_one_figure(autojump_clock: MockClock) -> None:
    registry = CollectorRegistry()
    observer = PrometheusObserver(registry)
    async with open_world(latency=0.2) as world:
        other = MarketDataClient(URL, connector=world.network, now_ns=world.exchange.now_ns)
        async with other, world.md.stream_finalized_trades() as first, other.stream_finalized_trades() as second:
            for client, trades in ((world.md, first), (other, second)):
                observer.watch(client)
                await trades.wait_live()
                await client.get_tickers()
            world.exchange.publish_trade(ASSET, 100, 1)
            await first.receive()
            await second.receive()
            figures: dict[tuple[str, str | None], float] = {}
            for _ in range(3):  # reading changes nothing
                figures = {
                    (sample.name, sample.labels.get("feed")): sample.value
                    for family in registry.collect()
                    for sample in family.samples
                    if "client" in sample.labels
                }
                lines = generate_latest(registry).decode().splitlines()
                series = [line.rpartition(" ")[0] for line in lines if not line.startswith("#")]
                assert len(series) == len(set(series))
                assert figures["tplus_messages_total", "/trades"] == 2
                assert figures["tplus_live_streams", "/trades"] == 2
            lag, bound = first.statistics().lag, figures["tplus_clock_offset_bound_seconds", None]
            assert lag is not None
            assert abs(figures["tplus_feed_lag_seconds", "/trades"] - 0.2) <= bound
            assert abs(figures["tplus_clock_offset_seconds", None]) <= bound <= 1.5


def test_a_sum_does_not_fall_when_a_stream_ends() -> None:
    totals = Totals()
    assert [totals.add("a", "x", value) for value in (1, 5, 2, 3)] == [1, 5, 5, 6]
    assert totals.add("b", "x", 2) == 2


def test_a_client_is_watched_inside_a_run() -> None:
    with pytest.raises(RuntimeError):
        PrometheusObserver(CollectorRegistry()).watch(MarketDataClient("http://exchange"))

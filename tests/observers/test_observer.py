"""The calls of an observer. It has no cost for each message, and its failures harm nothing."""

from __future__ import annotations

import logging
from decimal import Decimal

import attrs
import pytest
import trio
import trio.lowlevel
from trio.testing import MockClock

from tests.helpers.recording_observer import RecordingObserver
from tests.helpers.world import ASSET, DEPTH, SNAPSHOT, URL, open_world
from tplus_trio import (
    AuthError,
    ConnectionFailed,
    Gap,
    LogEvent,
    MarketDataClient,
    NotFoundError,
    OrderFateUnknown,
    SlowConsumer,
)
from tplus_trio.observer import Observer, ObserverGuard, route
from tplus_trio.testing import Exchange, MemoryNetwork, Request, Response


async def test_a_connection_is_observed_from_its_opening_to_its_loss(autojump_clock: MockClock) -> None:
    observer = RecordingObserver()
    async with open_world(observer=observer, latency=0.25) as world, world.md.open_book(ASSET) as book:
        await book.wait_synced()
        ((path, seconds),) = observer.of("connection_opened")
        assert path == DEPTH
        assert seconds == pytest.approx(1.0)  # one round trip for the connection, and one for the handshake
        assert not observer.of("connection_lost")
        world.network.reset_connections()
        await trio.sleep(5)
        ((path, error),) = observer.of("connection_lost")
        assert path == DEPTH
        assert isinstance(error, ConnectionFailed)
        ((path, error, delay),) = observer.of("restart")
        assert (path, delay) == (DEPTH, 0.25)
        assert isinstance(error, ConnectionFailed)
        assert len(observer.of("connection_opened")) == 2
    assert observer.of("connection_lost")[1:] == [(DEPTH, None)]


async def test_a_refused_attempt_is_a_restart_and_no_lost_connection(autojump_clock: MockClock) -> None:
    observer = RecordingObserver()
    async with open_world(observer=observer) as world:
        world.exchange.faults.reject_handshakes(2, 503)
        async with world.md.stream_tickers() as tickers:
            await tickers.wait_live()
        assert [getattr(error, "status", None) for _, error, _ in observer.of("restart")] == [503, 503]
        assert len(observer.of("connection_opened")) == len(observer.of("connection_lost")) == 1


async def test_a_hole_over_a_connection_that_lasts_is_a_resync(autojump_clock: MockClock) -> None:
    observer = RecordingObserver()
    async with open_world(observer=observer) as world, world.md.open_book(ASSET) as book:
        await book.wait_synced()
        world.exchange.faults.lose_diffs(ASSET)
        world.change(2)
        await trio.sleep(1)
        assert observer.of("resync") == [(DEPTH, "sequence number 1007 came after 1005")]
        assert not observer.of("connection_lost")


async def test_each_delivered_gap_is_observed(autojump_clock: MockClock) -> None:
    observer = RecordingObserver()
    async with open_world(observer=observer) as world, world.oms.stream_user_trade_events() as trades:
        await trades.wait_live()
        world.network.reset_connections()
        gap = await trades.receive()
        assert isinstance(gap, Gap)
        assert observer.of("gap") == [(f"/trades/user/events/{world.user.public_key}", gap)]


@pytest.mark.parametrize("rule", ["drop_oldest", "conflate"])
async def test_a_slow_consumer_is_observed_once_each_time_that_it_falls_behind(
    rule: str, autojump_clock: MockClock
) -> None:
    observer = RecordingObserver()
    options = {"overflow": rule, "buffer": 4}
    async with open_world(observer=observer) as world, world.md.stream_klines(ASSET, **options) as candles:  # type: ignore[arg-type]  # one of two
        await candles.wait_live()
        for times in (1, 2):
            for _ in range(500):
                world.exchange.publish_trade(ASSET, 100, 1)
                await trio.lowlevel.checkpoint()
            await trio.sleep(1)
            if rule == "conflate":
                await candles.receive()
            told = [(path, name) for path, name, _ in observer.of("overflow")]
            assert told == [(f"/klines/diff/{ASSET}", rule)] * times
            assert all(items > 0 for _, _, items in observer.of("overflow"))
            with trio.move_on_after(1):
                async for _ in candles:
                    pass
            # It has caught up: a single item waits for it.
            world.exchange.publish_trade(ASSET, 100, 1)
            await candles.receive()


async def test_an_overflow_that_raises_is_observed(autojump_clock: MockClock) -> None:
    observer = RecordingObserver()
    async with open_world(observer=observer) as world:
        async with world.md.stream_finalized_trades(overflow="error", buffer=2) as trades:
            await trades.wait_live()
            for _ in range(5):
                world.exchange.publish_trade(ASSET, 100, 1)
            await trio.sleep(1)
            with pytest.raises(SlowConsumer):
                async for _ in trades:
                    pass
        assert observer.of("overflow") == [("/trades", "error", 3)]


async def test_requests_and_sign_ins_are_observed_with_their_duration(autojump_clock: MockClock) -> None:
    observer = RecordingObserver()
    async with open_world(observer=observer) as world:
        world.exchange.faults.delay_requests(SNAPSHOT, 2.0)
        await world.md.get_orderbook_snapshot(ASSET)
        assert observer.of("request") == [("GET", SNAPSHOT, 200, 2.0)]
        await world.oms.get_user_orders()
        assert observer.of("sign_in") == [(0.0, None)]
        assert [status for _, path, status, _ in observer.of("request") if path == "/auth"] == [200]
        world.exchange.faults.fail_requests("/tickers", 404)
        with pytest.raises(NotFoundError):
            await world.md.get_tickers()
        assert observer.of("request")[-1][:3] == ("GET", "/tickers", 404)
        world.exchange.faults.delay_requests("/tickers", 3600)
        with trio.move_on_after(1.5):
            await world.md.get_tickers()
        assert observer.of("request")[-1] == ("GET", "/tickers", None, 1.5)


async def test_a_failed_sign_in_is_observed_with_its_error(autojump_clock: MockClock) -> None:
    observer = RecordingObserver()
    async with open_world(observer=observer) as world:
        world.exchange.faults.fail_requests("/auth", 401, 10)
        with pytest.raises(AuthError):
            await world.oms.get_user_orders()
        assert isinstance(observer.of("sign_in")[0][1], AuthError)


async def test_orders_are_observed_when_sent_and_when_their_fate_is_known(autojump_clock: MockClock) -> None:
    observer = RecordingObserver()
    async with open_world(observer=observer) as world:
        order = await world.oms.create_limit_order(1, 900, "Buy", asset_id=ASSET, order_id="mine")
        await world.oms.cancel_order(order.order_id, ASSET)
        assert observer.of("order_sent") == [("create", "mine"), ("cancel", "mine")]
        assert observer.of("order_fate") == [("create", "mine", "done"), ("cancel", "mine", "done")]
        await trio.sleep(1)
        with pytest.raises(NotFoundError):
            await world.oms.cancel_order("mine", ASSET)
        assert observer.of("order_fate")[2:] == [("cancel", "mine", "rejected")]
        world.exchange.faults.answer_requests("/orders/create", Response(200, b"<html>"))
        with pytest.raises(OrderFateUnknown):
            await world.oms.create_limit_order(1, 900, "Buy", asset_id=ASSET, order_id="third")
        assert observer.of("order_fate")[3:] == [("create", "third", "unknown")]


async def test_an_order_that_did_not_leave_is_not_in_doubt(autojump_clock: MockClock) -> None:
    observer = RecordingObserver()
    async with open_world(observer=observer) as world:
        await world.oms.create_limit_order(1, 900, "Buy", asset_id=ASSET, order_id="first")
        world.network.reset_connections()
        world.network.refuse(10)
        with pytest.raises(ConnectionFailed):
            await world.oms.create_limit_order(1, 900, "Buy", asset_id=ASSET, order_id="refused")
        assert observer.of("order_sent")[1:] == [("create", "refused")]
        assert observer.of("order_fate")[1:] == [("create", "refused", "unsent")]


async def test_an_order_that_is_sent_again_with_a_new_token_is_observed_once(autojump_clock: MockClock) -> None:
    observer = RecordingObserver()
    async with open_world(observer=observer) as world:
        await world.oms.create_limit_order(1, 900, "Buy", asset_id=ASSET, order_id="first")
        world.exchange.faults.expire_tokens()
        await world.oms.create_limit_order(1, 900, "Buy", asset_id=ASSET, order_id="again")
        statuses = [status for _, path, status, _ in observer.of("request") if path == "/orders/create"]
        assert statuses == [200, 401, 200]
        assert observer.of("order_sent")[1:] == [("create", "again")]
        assert observer.of("order_fate")[1:] == [("create", "again", "done")]


async def test_a_cancelled_order_request_ends_when_its_fate_is_known(autojump_clock: MockClock) -> None:
    observer = RecordingObserver()
    async with open_world(observer=observer) as world:
        world.exchange.faults.delay_requests("/orders/create", 3600)
        with trio.move_on_after(1):
            await world.oms.create_limit_order(1, 900, "Buy", asset_id=ASSET, order_id="late")
        assert observer.of("order_fate") == [("create", "late", "done")]
        assert not world.exchange.is_open(world.user, "late")


async def test_no_method_is_called_for_a_message(autojump_clock: MockClock) -> None:
    observer = RecordingObserver()
    async with (
        open_world(observer=observer) as world,
        world.md.open_book(ASSET) as book,
        world.md.stream_finalized_trades() as trades,
        world.md.stream_depth(ASSET, overflow="conflate") as depth,
    ):
        for live in (book.wait_synced, trades.wait_live, depth.wait_live):
            await live()
        before = len(observer.calls)
        for number in range(10_000):
            world.change()
            if number % 10 == 0:
                world.exchange.publish_trade(ASSET, 100, 1)
                await trades.receive()
        await trio.sleep(1)
        assert book.stats.messages >= 10_000
        assert observer.counts["overflow"] <= 1
        assert len(observer.calls) - before <= 1


async def test_an_observer_that_raises_is_logged_once_for_each_method(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    class Bad:
        def request(self, *_: object) -> None:
            raise ValueError("mine")

    async with open_world(observer=Bad()) as world:
        for _ in range(3):
            assert await world.md.get_tickers()
    (record,) = [record for record in caplog.records if getattr(record, "event", "") == LogEvent.OBSERVER_FAILED]
    assert record.levelno == logging.ERROR
    assert vars(record)["fields"] == {"method": "request", "error": "ValueError('mine')"}


def test_only_methods_that_an_observer_has_are_called() -> None:
    class Some(Observer):
        calls = 0

        def resync(self, path: str, reason: str) -> None:
            self.calls += 1

    some = Some()
    guard = ObserverGuard(some)
    guard.resync("/a", "b")
    guard.restart("/a", ValueError(), 1.0)
    assert some.calls == 1
    assert set(vars(guard)) & {"resync", "restart"} == {"resync"}
    ObserverGuard(None).resync("/a", "b")
    told: list[tuple[str, str]] = []
    plain = Observer()
    plain.resync = lambda path, reason: told.append((path, reason))  # type: ignore[method-assign]  # as a user might
    ObserverGuard(plain).resync("/a", "b")
    assert told == [("/a", "b")]


class WithAsyncMethod:
    async def gap(self, path: str, gap: Gap) -> None:
        """Never runs."""


@pytest.mark.parametrize(
    ("observer", "why"),
    [
        (Observer, "is the class Observer: pass an instance"),
        (print, "at least one method of Observer"),
        ("prometheus", "at least one method of Observer"),
        (WithAsyncMethod(), "observer.gap is async"),
    ],
)
def test_an_observer_that_could_not_be_called_is_refused(observer: object, why: str) -> None:
    with pytest.raises(TypeError, match=why):
        MarketDataClient(URL, observer=observer)


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("/trades", "/trades"),
        ("/marketdepth/diff/200", "/marketdepth/diff/*"),
        ("/klines/200?page=1", "/klines/*"),
        (f"/orders/user/{'ab' * 32}", "/orders/user/*"),
        (f"/orders/user/{'ab' * 32}/200", "/orders/user/*/*"),
        (f"/trades/user/{'f' * 64}", "/trades/user/*"),
        ("/orders/create", "/orders/create"),
        ("/tickers/ws", "/tickers/ws"),
    ],
)
def test_a_label_names_a_kind_of_path(path: str, label: str) -> None:
    assert route(path) == label


@pytest.mark.parametrize("ahead", [0.0, 90.0, -90.0])
async def test_the_lag_of_a_feed_is_the_time_from_the_exchange_to_the_client(
    ahead: float, autojump_clock: MockClock
) -> None:
    exchange_now_ns = Exchange().now_ns  # the same clock for every exchange of a run

    def now_ns() -> int:
        return exchange_now_ns() - int(ahead * 1e9)

    async with open_world(latency=0.3, now_ns=now_ns) as world, world.md.stream_finalized_trades() as trades:
        await trades.wait_live()
        await world.md.get_tickers()  # an answer over REST shows the service's time
        assert trades.statistics().lag is None
        world.exchange.publish_trade(ASSET, Decimal(100), 1)
        await trades.receive()
        await trio.sleep(7)  # items that were received earlier do not lag more
        lag, clock = trades.statistics().lag, world.md.statistics().clock
        assert lag is not None
        assert lag.bound is not None
        assert clock is not None
        assert lag.bound < 1.5
        assert abs(lag.seconds - 0.3) <= lag.bound
        assert abs(clock.offset_ns / 1e9 - ahead) <= clock.bound_ns / 1e9


async def test_without_a_date_the_clocks_are_taken_for_equal(autojump_clock: MockClock) -> None:
    class Undated(Exchange):
        def handle(self, request: Request) -> Response:
            answer = super().handle(request)
            return attrs.evolve(answer, headers=(*answer.headers, ("date", "yesterday")))

    exchange = Undated()
    exchange.add_market(ASSET)
    async with (
        MemoryNetwork(exchange, latency=0.3) as network,
        MarketDataClient(URL, connector=network, now_ns=exchange.now_ns) as md,
        md.stream_finalized_trades() as trades,
    ):
        await trades.wait_live()
        await md.get_tickers()
        exchange.publish_trade(ASSET, Decimal(100), 1)
        await trades.receive()
        lag = trades.statistics().lag
        assert lag is not None
        assert lag.seconds == pytest.approx(0.3)
        assert lag.bound is None
        assert md.statistics().clock is None


async def test_depth_and_candles_have_no_lag(autojump_clock: MockClock) -> None:
    async with (
        open_world() as world,
        world.md.open_book(ASSET) as book,
        world.md.stream_klines(ASSET) as candles,
    ):
        await book.wait_synced()
        await candles.wait_live()
        world.change()
        world.exchange.publish_trade(ASSET, Decimal(100), 1)
        await candles.receive()
        assert book.statistics().connection.messages == 1
        assert book.statistics().lag is None
        assert candles.statistics().lag is None

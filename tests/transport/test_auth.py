"""Signing in: one session per user and service, renewed in time, shared by all requests that need it."""

from __future__ import annotations

import logging

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.raw_client import Clock
from tests.helpers.sessions import URL, exchange_with_market, in_parallel, nonces
from tplus_trio import (
    AuthError,
    ConnectionFailed,
    HandshakeRejected,
    MarketDataClient,
    MissingUserError,
    OrderBookClient,
    ServerError,
    TplusError,
    User,
)
from tplus_trio.testing import Exchange, MemoryNetwork, Response


async def test_a_user_signs_in_once_for_many_calls(autojump_clock: MockClock) -> None:
    user = User()
    async with MemoryNetwork(exchange_with_market()) as network:
        async with OrderBookClient(URL, default_user=user, connector=network) as oms:
            assert network.connects == 0
            await oms.create_limit_order(5, 1000, "Sell", asset_id=200, order_id="one")
            orders, _ = await oms.get_user_orders()
            await oms.cancel_order("one", 200)
            async with oms.stream_orders() as stream:
                await stream.wait_live()
        assert [order.order_id for order in orders] == ["one"]
        assert (network.exchange.sign_ins, nonces(network.exchange, user)) == (1, 1)


async def test_each_user_and_each_client_has_a_session_of_its_own(autojump_clock: MockClock) -> None:
    alice, bob = User(), User()
    async with MemoryNetwork(exchange_with_market()) as network:
        async with (
            OrderBookClient(URL, default_user=alice, connector=network) as oms,
            MarketDataClient(URL, default_user=alice, connector=network) as md,
        ):
            await oms.get_user_orders()
            await oms.get_user_orders(bob)
            await md.get_trades()
            await oms.get_user_orders(alice)
        assert network.exchange.sign_ins == 3
        assert (nonces(network.exchange, alice), nonces(network.exchange, bob)) == (2, 1)


async def test_a_token_is_renewed_a_minute_before_it_expires(autojump_clock: MockClock) -> None:
    clock, user = Clock(), User()
    exchange = Exchange(now_ns=clock, token_ttl=600.0)
    async with (
        MemoryNetwork(exchange) as network,
        OrderBookClient(URL, default_user=user, connector=network, now_ns=clock) as oms,
    ):
        await oms.get_user_orders()
        clock.pass_(539.9)
        await oms.get_user_orders()
        assert exchange.sign_ins == 1
        clock.pass_(0.2)
        await oms.get_user_orders()
        assert exchange.sign_ins == 2
        clock.pass_(539.9)
        await oms.get_user_orders()
        assert exchange.sign_ins == 2


async def test_a_token_of_a_short_life_is_still_used(autojump_clock: MockClock) -> None:
    clock, user = Clock(), User()
    exchange = Exchange(now_ns=clock, token_ttl=30.0)
    async with (
        MemoryNetwork(exchange) as network,
        OrderBookClient(URL, default_user=user, connector=network, now_ns=clock) as oms,
    ):
        for _ in range(3):
            await oms.get_user_orders()
        assert exchange.sign_ins == 1
        clock.pass_(16)
        await oms.get_user_orders()
        assert exchange.sign_ins == 2


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_request_is_sent_once_more(status: int, autojump_clock: MockClock) -> None:
    async with MemoryNetwork(exchange_with_market()) as network:
        exchange = network.exchange
        async with OrderBookClient(URL, default_user=User(), connector=network) as oms:
            await oms.get_user_orders()
            exchange.faults.fail_requests("/orders/create", status)
            await oms.create_limit_order(5, 1000, "Buy", asset_id=200)
            assert exchange.sign_ins == 2
            assert exchange.requests["POST", "/orders/create"] == 2


@pytest.mark.parametrize("status", [401, 403])
async def test_a_second_refusal_reaches_the_caller(status: int, autojump_clock: MockClock) -> None:
    async with MemoryNetwork(exchange_with_market()) as network:
        exchange = network.exchange
        async with OrderBookClient(URL, default_user=User(), connector=network) as oms:
            exchange.faults.fail_requests("/orders/create", status, 5)
            with pytest.raises(AuthError) as caught:
                await oms.create_limit_order(5, 1000, "Buy", asset_id=200)
            assert caught.value.status == status
            assert exchange.requests["POST", "/orders/create"] == 2
            assert exchange.sign_ins == 2


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_handshake_is_tried_once_more(status: int, autojump_clock: MockClock) -> None:
    async with MemoryNetwork() as network:
        exchange = network.exchange
        async with OrderBookClient(URL, default_user=User(), connector=network) as oms:
            exchange.faults.reject_handshakes(1, status)
            async with oms.stream_orders(restart=None) as stream:
                await stream.wait_live()
            assert exchange.sign_ins == 2
            exchange.faults.reject_handshakes(2, status)
            with pytest.raises(HandshakeRejected) as caught:
                await oms.stream_orders().receive()
            assert caught.value.status == status
            assert exchange.sign_ins == 3
            assert network.open_connections <= 1  # one connection is kept for REST


async def test_expired_tokens_are_replaced_everywhere(autojump_clock: MockClock) -> None:
    async with MemoryNetwork() as network:
        exchange = network.exchange
        async with OrderBookClient(URL, default_user=User(), connector=network) as oms:
            await oms.get_user_orders()
            exchange.faults.expire_tokens()
            await oms.get_user_orders()
            exchange.faults.expire_tokens()
            async with oms.stream_orders() as stream:
                await stream.wait_live()
            assert exchange.sign_ins == 3


async def test_market_data_goes_on_anonymously(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    user = User()
    async with MemoryNetwork(exchange_with_market()) as network:
        exchange = network.exchange
        exchange.faults.fail_requests("/auth", 500, 100)
        async with MarketDataClient(URL, default_user=user, connector=network) as md:
            with caplog.at_level(logging.WARNING, "tplus_trio"):
                assert await in_parallel(20, md.get_trades) == []
                async with md.stream_finalized_trades() as stream:
                    await stream.wait_live()
            assert len(caplog.records) == 1
            assert "anonymous" in caplog.text
            assert user.public_key in caplog.text
            assert nonces(exchange, user) == 1
            await trio.sleep(60)
            await md.get_trades()
            assert nonces(exchange, user) == 2


async def test_market_data_signs_in_where_it_can(autojump_clock: MockClock) -> None:
    user = User()
    async with MemoryNetwork() as network:
        async with MarketDataClient(URL, default_user=user, connector=network) as md:
            await md.get_trades()
            async with md.stream_finalized_trades() as stream:
                await stream.wait_live()
        assert network.exchange.sign_ins == 1


async def test_an_order_is_never_sent_anonymously(autojump_clock: MockClock) -> None:
    async with MemoryNetwork(exchange_with_market()) as network:
        network.exchange.faults.fail_requests("/auth", 500, 100)
        async with OrderBookClient(URL, default_user=User(), connector=network) as oms:
            with pytest.raises(ServerError):
                await oms.create_limit_order(5, 1000, "Buy", asset_id=200)
            with pytest.raises(ServerError):
                await oms.stream_orders(restart=None).receive()
        assert network.exchange.requests["POST", "/orders/create"] == 0


async def test_without_a_user_nothing_is_sent(autojump_clock: MockClock) -> None:
    async with MemoryNetwork() as network, OrderBookClient(URL, connector=network) as oms:
        for stream in (oms.stream_orders, oms.stream_user_trade_events, oms.stream_user_positions):
            with pytest.raises(MissingUserError):
                stream()  # at the call, before anything is awaited
        for call in (oms.get_user_orders(), oms.cancel_order("x", 200), oms.create_limit_order(1, 1, "Buy", None, 200)):
            with pytest.raises(MissingUserError):
                await call
        assert network.connects == 0


async def test_at_a_gateway_signing_in_has_a_prefix(autojump_clock: MockClock) -> None:
    paths: list[str] = []

    class Gateway(Exchange):
        def handle(self, request):  # type: ignore[no-untyped-def]  # written as users would
            paths.append(request.target)
            return super().handle(request)

    async with MemoryNetwork(Gateway()) as network:
        for prefix in ("/market-data", "market-data/"):
            async with MarketDataClient(URL, default_user=User(), connector=network, auth_path_prefix=prefix) as md:
                await md.get_trades()
    assert [path.split("/")[1:3] for path in paths if "trades" not in path] == [
        ["market-data", "nonce"],
        ["market-data", "auth"],
    ] * 2
    assert network.exchange.sign_ins == 2


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[1]",
        b'{"token":5}',
        b'{"token":"a"}',
        b'{"token":"","expiry_ns":9999999999999999999}',
        b'{"token":"no spaces","expiry_ns":9999999999999999999}',
        b'{"token":"a\\nb","expiry_ns":9999999999999999999}',
    ],
)
async def test_an_illegal_token_is_a_typed_failure(body: bytes, autojump_clock: MockClock) -> None:
    async with MemoryNetwork() as network:
        network.exchange.faults.answer_requests("/auth", Response(200, body))
        async with OrderBookClient(URL, default_user=User(), connector=network) as oms:
            with pytest.raises(TplusError, match=r"token|AuthToken"):
                await oms.get_user_orders()


async def test_an_unreachable_service_is_a_typed_failure(autojump_clock: MockClock) -> None:
    async with MemoryNetwork() as network, OrderBookClient(URL, default_user=User(), connector=network) as oms:
        network.refuse()
        with pytest.raises(ConnectionFailed):
            await oms.get_user_orders()
        await oms.get_user_orders()


def test_a_failed_optional_sign_in_leaves_no_time_to_another_run() -> None:
    exchange, user = exchange_with_market(), User()
    network: MemoryNetwork

    class Current:
        async def connect(self, host: str, port: int) -> trio.abc.Stream:
            return await network.connect(host, port)

    md = MarketDataClient(URL, default_user=user, connector=Current())

    async def run(fails: bool) -> None:
        nonlocal network
        await trio.sleep(0.0 if not fails else 1000.0)
        async with MemoryNetwork(exchange) as network:
            exchange.faults.fail_requests("/auth", 503, int(fails))
            await md.get_trades()

    trio.run(run, True, clock=MockClock(autojump_threshold=0))
    assert exchange.sign_ins == 0
    trio.run(run, False, clock=MockClock(autojump_threshold=0))
    assert exchange.sign_ins == 1

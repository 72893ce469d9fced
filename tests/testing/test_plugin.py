"""The pytest plugin: a bot's author writes a test, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from tplus_trio import BookNotSynced, ClientOptions, MarketDataClient, OrderBook, OrderBookClient, StreamState, User
from tplus_trio.testing import Exchange, MemoryNetwork

pytest_plugins = ["pytester"]

WHOLE_FILE = """
async def test_my_bot(exchange, market_data, autojump_clock):
    exchange.publish_diff(200, bids=[("9.5", 20)], asks=[("10.5", 20)])
    async with market_data.open_book(200) as book:
        await book.wait_synced()
        assert book.best_bid == (9.5, 20)
"""


async def test_everything_in_memory(
    exchange: Exchange,
    network: MemoryNetwork,
    market_data: MarketDataClient,
    order_book: OrderBookClient,
    user: User,
    autojump_clock: MockClock,
) -> None:
    answer = await order_book.create_limit_order(quantity=2, price=950, side="Buy", asset_id=200)
    assert exchange.is_open(user, answer.order_id)
    assert [order.order_id for order in exchange.orders(user)] == [answer.order_id]
    assert await market_data.get_orderbook_snapshot(200) == exchange.book(200)
    assert network.open_connections > 0


async def test_clients_of_ones_own(
    exchange: Exchange, network: MemoryNetwork, client_options: ClientOptions, autojump_clock: MockClock
) -> None:
    buyer, seller = User(), User()
    async with (
        OrderBookClient(network.url, default_user=buyer, use_ws_control=True, **client_options) as bids,
        OrderBookClient(network.url, default_user=seller, **client_options) as asks,
    ):
        await bids.create_limit_order(2, 950, "Buy", asset_id=200)
        await asks.create_limit_order(2, 950, "Sell", asset_id=200)
    assert [answer.way for answer in exchange.answers] == ["control", "rest"]
    assert [position.side for position in exchange.positions(seller, 200)] == ["short"]


async def test_clients_of_ones_own_over_real_sockets(
    exchange: Exchange, network: MemoryNetwork, over_tcp: str, client_options: ClientOptions
) -> None:
    connects = network.connects
    async with MarketDataClient(over_tcp, **client_options) as client:
        assert await client.get_orderbook_snapshot(200) == exchange.book(200)
    assert network.connects == connects + 1


async def test_an_hour_without_a_network(
    exchange: Exchange, network: MemoryNetwork, market_data: MarketDataClient, autojump_clock: MockClock
) -> None:
    start = trio.current_time()
    async with market_data.open_book(200) as book:
        await book.wait_synced()
        network.partition(3600)
        exchange.publish_diff(200, bids=[("9.5", 20)])
        await trio.sleep(60)
        with pytest.raises(BookNotSynced):
            _ = book.best_bid
        await book.wait_synced()
        assert book.snapshot() == exchange.book(200)
    assert trio.current_time() - start >= 3600


@pytest.mark.tplus_network(latency=0.5)
async def test_what_the_network_is_like(market_data: MarketDataClient, autojump_clock: MockClock) -> None:
    start = trio.current_time()
    await market_data.get_trades()
    assert trio.current_time() - start == 2.0  # there and back for the connection, and for the request


async def test_real_sockets(
    exchange: Exchange,
    network: MemoryNetwork,
    over_tcp: str,
    market_data: MarketDataClient,
    order_book: OrderBookClient,
) -> None:
    async with (
        market_data.stream_depth(200) as depth,
        MarketDataClient(over_tcp) as another,
    ):
        assert isinstance(await depth.receive(), OrderBook)
        assert await another.get_orderbook_snapshot(200) == exchange.book(200)
        await order_book.create_limit_order(quantity=2, price=950, side="Buy", asset_id=200)
        await depth.receive()
        network.reset_connections()
        assert await depth.receive() == exchange.book(200)
        assert depth.state is StreamState.LIVE
        assert depth.stats.connects == 2


@pytest.fixture
def a_file(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makepyfile(WHOLE_FILE)
    return pytester


@pytest.mark.parametrize("settings", ["", "trio_mode = true"], ids=["no settings", "trio mode"])
def test_nothing_else_in_the_file(a_file: pytest.Pytester, settings: str) -> None:
    a_file.makeini(f"[pytest]\n{settings}\n")
    a_file.runpytest_inprocess().assert_outcomes(passed=1)


def test_a_bug_in_the_bot_fails_the_test(a_file: pytest.Pytester) -> None:
    a_file.makepyfile(WHOLE_FILE.replace("(9.5, 20)", "(9.5, 21)"))
    a_file.runpytest_inprocess().assert_outcomes(failed=1)


def test_a_bug_in_the_exchange_fails_the_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        async def test_my_bot(exchange, market_data, autojump_clock):
            exchange.crashes.append(ValueError("oops"))
        """
    )
    pytester.runpytest_inprocess().assert_outcomes(failed=1)


def test_real_sockets_need_real_time(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        async def test_my_bot(over_tcp, market_data, autojump_clock):
            pass
        """
    )
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["over_tcp needs real time*"])
    result.stdout.no_fnmatch_line("*Traceback*")


@pytest.mark.parametrize("arguments", ["latencyy=1", "0.5"])
def test_a_marker_that_says_nothing_of_use(pytester: pytest.Pytester, arguments: str) -> None:
    pytester.makepyfile(
        f"""
        import pytest

        @pytest.mark.tplus_network({arguments})
        async def test_my_bot(market_data, autojump_clock):
            pass
        """
    )
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["tplus_network takes latency=, bandwidth=, seed=, capacity= only"])


def test_beside_pytest_trios_own_nursery_and_a_fixture_of_the_same_name(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        import trio
        from tplus_trio.testing import Exchange

        @pytest.fixture
        def exchange():
            exchange = Exchange()
            exchange.add_market(7)
            return exchange

        async def test_my_bot(exchange, market_data, nursery, autojump_clock):
            seen = trio.Event()

            async def bot():
                async for item in market_data.stream_depth(7):
                    seen.set()

            nursery.start_soon(bot)
            await seen.wait()
        """
    )
    pytester.runpytest_inprocess().assert_outcomes(passed=1)


def test_the_plugin_loads_nothing_until_it_is_used(tmp_path: Path) -> None:
    (tmp_path / "test_other.py").write_text(
        "import sys\n"
        "def test_nothing():\n"
        "    assert 'tplus_trio.testing.plugin' in sys.modules\n"
        "    loaded = {name.partition('.')[0] for name in sys.modules}\n"
        "    assert not loaded & {'httpx', 'msgspec', 'cryptography', 'h11', 'trio_websocket'}\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert ended.returncode == 0, ended.stdout

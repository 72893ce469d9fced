"""The pytest plugin: an exchange, a network and clients as fixtures for tests that run under pytest-trio.

pytest loads it if the package is installed; it loads nothing else until a test uses a fixture::

    async def test_my_bot(exchange, market_data, autojump_clock):
        exchange.publish_diff(200, bids=[("9.5", 20)], asks=[("10.5", 20)])
        async with market_data.open_book(200) as book:
            await book.wait_synced()
            ...

A test with one of these fixtures needs no ``trio_mode`` and no marker. A project may override each of them, as any
fixture. The plugin ignores a project's own fixtures of the same name, and tests that are marked for another event loop.
If the exchange has an unexpected exception during a test (:attr:`tplus_trio.testing.Exchange.crashes`), the test fails.
"""

from __future__ import annotations

import random
import traceback
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final

import pytest

from tplus_trio.testing.exchange.crash_log import CrashWatch, watch_crashes
from tplus_trio.testing.plugin_selection import gets_fixture, mark_for_trio, refusal_reason

if TYPE_CHECKING:
    from tplus_trio import ClientOptions, MarketDataClient, OrderBookClient, User
    from tplus_trio.testing import Exchange, MemoryNetwork

_OURS: Final = frozenset({"exchange", "network", "market_data", "order_book", "user", "over_tcp", "client_options"})
_CRASH_WATCH: Final = pytest.StashKey[CrashWatch]()
_CONDITIONS: Final = ("latency", "bandwidth", "seed", "capacity")


def pytest_configure(config: pytest.Config) -> None:
    """Register the plugin's marker."""
    config.addinivalue_line(
        "markers",
        "tplus_network(latency=0.0, bandwidth=None, seed=0, capacity=65536): what the `network` fixture is like",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark asynchronous tests with the plugin's fixtures for pytest-trio."""
    for item in items:
        if isinstance(item, pytest.Function) and not _OURS.isdisjoint(item.fixturenames):
            mark_for_trio(item)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail a test that no event loop can run before its fixtures are made, so that only the reason is shown."""
    if (reason := refusal_reason(item)) is not None:
        pytest.fail(reason, pytrace=False)


def _refuse_bad_conditions(item: pytest.Item) -> None:
    fixtures: list[str] = getattr(item, "fixturenames", [])
    if gets_fixture(item, "over_tcp") and "autojump_clock" in fixtures:
        pytest.fail("over_tcp needs real time: a clock that jumps does not wait for sockets", pytrace=False)
    marker = item.get_closest_marker("tplus_network")
    if marker is not None and (marker.args or not marker.kwargs.keys() <= set(_CONDITIONS)):
        pytest.fail(f"tplus_network takes {', '.join(f'{name}=' for name in _CONDITIONS)} only", pytrace=False)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Watch all exchanges, also those that a test makes itself, while the test and its fixtures run."""
    with watch_crashes() as watch:
        item.stash[_CRASH_WATCH] = watch
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fail a test in which an exchange had an unexpected exception. A failure of the test itself is shown first."""
    _refuse_bad_conditions(item)
    try:
        result = yield
    except BaseException:
        if crashes := _crashes_of(item):
            item.add_report_section("call", "embedded exchange", _describe(crashes))
        raise
    _fail_for_crashes(item)
    return result


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """Fail a test in whose teardown an exchange had an unexpected exception."""
    result = yield
    _fail_for_crashes(item)
    return result


def _fail_for_crashes(item: pytest.Item) -> None:
    if crashes := _crashes_of(item):
        pytest.fail(_describe(crashes), pytrace=False)


def _crashes_of(item: pytest.Item) -> list[Exception]:
    watch = item.stash.get(_CRASH_WATCH, None)
    return [] if watch is None else watch.take()


def _describe(crashes: list[Exception]) -> str:
    said = "".join("".join(traceback.format_exception(crash)) for crash in crashes)
    return f"the embedded exchange failed {len(crashes)} times, which is a bug of the exchange:\n{said}"


@pytest.fixture
def exchange() -> Exchange:
    """An embedded exchange with one market, 200, whose book is empty."""
    from tplus_trio.testing.exchange.exchange import Exchange  # noqa: PLC0415 - loaded when used

    exchange = Exchange()
    exchange.add_market(200)
    return exchange


@pytest.fixture
async def network(exchange: Exchange, request: pytest.FixtureRequest) -> AsyncGenerator[MemoryNetwork]:
    """The network between the clients and the exchange, with its faults.

    The marker ``tplus_network`` sets its latency, bandwidth, seed and capacity, as the arguments of
    :class:`~tplus_trio.testing.MemoryNetwork`.
    """
    import trio  # noqa: PLC0415 - loaded when used

    from tplus_trio.testing.network.memory_network import MemoryNetwork  # noqa: PLC0415 - loaded when used

    if not trio.lowlevel.in_trio_run():
        pytest.fail("`network` of tplus_trio needs trio, and another event loop runs this test", pytrace=False)
    over_tcp = "over_tcp" in request.fixturenames
    node: pytest.Item = request.node
    marker = node.get_closest_marker("tplus_network")
    conditions: dict[str, Any] = {} if marker is None else dict(marker.kwargs)
    async with AsyncExitStack() as stack:
        network = await stack.enter_async_context(MemoryNetwork(exchange, **conditions))
        if over_tcp:
            await stack.enter_async_context(network.serve())
        yield network


@pytest.fixture
async def over_tcp(network: MemoryNetwork) -> str:
    """The exchange's URL on a TCP port of this machine; the clients of the test use it too.

    Connections pass through ``network``, so that its faults apply. Time is real: with ``autojump_clock``, which skips
    every wait for a socket, the test fails.
    """
    return network.url


@pytest.fixture
def user() -> User:
    """A new user with a random key."""
    from tplus_trio import User  # noqa: PLC0415 - loaded when used

    return User()


@pytest.fixture
def client_options(network: MemoryNetwork, request: pytest.FixtureRequest) -> ClientOptions:
    """The arguments of a client that a test makes itself: the network, the exchange's clock, and a fixed jitter.

    They go with the URL of the network::

        OrderBookClient(network.url, default_user=User(), use_ws_control=True, **client_options)
    """
    # The exchange's clock is for the ages of tokens. The jitter is the same in every run.
    options: ClientOptions = {"now_ns": network.exchange.now_ns, "jitter": random.Random(0).random}
    if "over_tcp" not in request.fixturenames:
        options["connector"] = network
    return options


@pytest.fixture
async def market_data(network: MemoryNetwork, client_options: ClientOptions) -> AsyncGenerator[MarketDataClient]:
    """An entered client of the exchange's market data, without a user."""
    from tplus_trio import MarketDataClient  # noqa: PLC0415 - loaded when used

    async with MarketDataClient(network.url, **client_options) as client:
        yield client


@pytest.fixture
async def order_book(
    network: MemoryNetwork, user: User, client_options: ClientOptions
) -> AsyncGenerator[OrderBookClient]:
    """An entered client of the exchange's order book, signed in as ``user`` when it needs to be."""
    from tplus_trio import OrderBookClient  # noqa: PLC0415 - loaded when used

    async with OrderBookClient(network.url, default_user=user, **client_options) as client:
        yield client

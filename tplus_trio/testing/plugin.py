"""The pytest plugin: an exchange, a network and clients as fixtures of pytest-trio's tests.

pytest loads it by itself where the package is installed, and it loads nothing else until a fixture is used::

    async def test_my_bot(exchange, market_data, autojump_clock):
        exchange.publish_diff(200, bids=[("9.5", 20)], asks=[("10.5", 20)])
        async with market_data.open_book(200) as book:
            await book.wait_synced()
            ...

A test with one of these fixtures needs no ``trio_mode`` and no marker. Each may be overridden, as any fixture. Tests
with fixtures of a project's own are left alone, also if a name is the same, and so are tests marked for another loop.
If an exchange fails itself during a test (:attr:`tplus_trio.testing.Exchange.crashes`), the test fails.
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
    from tplus_trio import MarketDataClient, OrderBookClient, User
    from tplus_trio.testing import Exchange, MemoryNetwork

_OURS: Final = frozenset({"exchange", "network", "market_data", "order_book", "user", "over_tcp"})
_CRASH_WATCH: Final = pytest.StashKey[CrashWatch]()
_CONDITIONS: Final = ("latency", "bandwidth", "seed", "capacity")


def pytest_configure(config: pytest.Config) -> None:
    """Tell pytest of our marker."""
    config.addinivalue_line(
        "markers",
        "tplus_network(latency=0.0, bandwidth=None, seed=0, capacity=65536): what the `network` fixture is like",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave asynchronous tests with our fixtures to pytest-trio."""
    for item in items:
        if isinstance(item, pytest.Function) and not _OURS.isdisjoint(item.fixturenames):
            mark_for_trio(item)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Refuse what no event loop can run before a fixture is made, so that nothing but the reason is shown."""
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
    """Watch every exchange while a test and its fixtures run, also one that the test makes itself."""
    with watch_crashes() as watch:
        item.stash[_CRASH_WATCH] = watch
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fail a test in which an exchange failed itself. If the test failed too, its own failure is shown first."""
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
    """Fail for what happened while fixtures were being left, likewise."""
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
    """The network between the clients and the exchange, with its faults. ``tplus_network`` says what it is like."""
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
    """The exchange's URL on a real port of this machine, which the clients of the test use too.

    Connections pass through ``network``, so that its faults are there. Time is real then: with ``autojump_clock``,
    which skips every wait for a socket, it is refused.
    """
    return network.url


@pytest.fixture
def user() -> User:
    """A fresh user, whose client signs in by itself."""
    from tplus_trio import User  # noqa: PLC0415 - loaded when used

    return User()


@pytest.fixture
async def market_data(network: MemoryNetwork, request: pytest.FixtureRequest) -> AsyncGenerator[MarketDataClient]:
    """A client of the exchange's market data, without a user."""
    from tplus_trio import MarketDataClient  # noqa: PLC0415 - loaded when used

    async with MarketDataClient(network.url, **_options(network, request)) as client:
        yield client


@pytest.fixture
async def order_book(
    network: MemoryNetwork, user: User, request: pytest.FixtureRequest
) -> AsyncGenerator[OrderBookClient]:
    """A client of the exchange's order book, for ``user``."""
    from tplus_trio import OrderBookClient  # noqa: PLC0415 - loaded when used

    async with OrderBookClient(network.url, default_user=user, **_options(network, request)) as client:
        yield client


def _options(network: MemoryNetwork, request: pytest.FixtureRequest) -> dict[str, Any]:
    """The exchange's clock, for tokens that age in virtual time, and the same delays in every run."""
    connector = None if "over_tcp" in request.fixturenames else network
    return {"connector": connector, "now_ns": network.exchange.now_ns, "jitter": random.Random(0).random}

"""The plugin in projects that have their own fixtures, and beside the plugins of other event loops."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

#: A project that has nothing to do with this package, and uses names that the plugin's fixtures have.
FOREIGN = """
import asyncio
import pytest
import pytest_asyncio

@pytest.fixture
def user():
    return {"name": "bob"}

@pytest.fixture
def exchange(user):
    return user["name"]

@pytest_asyncio.fixture
async def network(exchange):
    await asyncio.sleep(0)
    yield exchange

@pytest.mark.asyncio
async def test_user(user):
    await asyncio.sleep(0)
    assert user == {"name": "bob"}

@pytest.mark.asyncio
async def test_network(network, exchange):
    await asyncio.sleep(0)
    assert network == exchange == "bob"

class TestClass:
    @pytest.fixture
    def order_book(self, user):
        return user

    @pytest.mark.asyncio
    @pytest.mark.parametrize("number", [1, 2])
    async def test_order_book(self, order_book, number):
        await asyncio.sleep(0)
        assert order_book["name"] == "bob"
"""
OURS = """
async def test_ours(exchange, market_data, autojump_clock):
    exchange.publish_diff(200, bids=[("9.5", 20)], asks=[("10.5", 20)])
    async with market_data.open_book(200) as book:
        await book.wait_synced()
        assert book.best_bid == (9.5, 20)
"""


def _run(pytester: pytest.Pytester, *options: str) -> pytest.RunResult:
    return pytester.runpytest_subprocess("-p", "no:cacheprovider", *options)


def _expect(result: pytest.RunResult, reason: str, **outcomes: int) -> None:
    result.assert_outcomes(**outcomes)
    result.stdout.fnmatch_lines([f"*{reason}*"])


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_own_fixtures_of_the_same_names_beside_ours(pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
    pytester.makepyfile(test_foreign=FOREIGN, test_ours=OURS)
    _run(pytester, *workers).assert_outcomes(passed=5)


def test_own_fixtures_in_the_auto_mode_of_pytest_asyncio(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(FOREIGN.replace("@pytest.mark.asyncio", "").replace("pytest_asyncio.fixture", "pytest.fixture"))
    pytester.makeini("[pytest]\nasyncio_mode = auto\n")
    _run(pytester).assert_outcomes(passed=4)


def test_our_fixtures_in_the_auto_mode_are_explained_and_nothing_else_fails(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_foreign=FOREIGN, test_ours=OURS)
    result = _run(pytester, "--asyncio-mode=auto")
    _expect(result, "*`network` of tplus_trio need trio, and pytest-asyncio runs this test*", passed=4, errors=1)


def test_our_plain_objects_in_a_test_of_asyncio(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import asyncio
        import pytest

        @pytest.mark.asyncio
        async def test_plain(exchange, user):
            await asyncio.sleep(0)
            assert exchange.orders(user) == ()
        """
    )
    _run(pytester).assert_outcomes(passed=1)


def test_beside_anyios_plugin(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_foreign="""
        import anyio
        import pytest

        @pytest.fixture(params=["asyncio", "trio"])
        def anyio_backend(request):
            return request.param

        @pytest.fixture
        async def user(anyio_backend):
            await anyio.sleep(0)
            return "bob"

        @pytest.mark.anyio
        async def test_user(user):
            await anyio.sleep(0)
            assert user == "bob"

        @pytest.mark.anyio
        async def test_our_plain_object(exchange):
            await anyio.sleep(0)
        """,
        test_ours=OURS,
    )
    _run(pytester).assert_outcomes(passed=5)


def test_our_clients_under_anyio(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture(params=["asyncio", "trio"])
        def anyio_backend(request):
            return request.param

        @pytest.mark.anyio
        async def test_client(exchange, market_data):
            assert await market_data.get_orderbook_snapshot(200) == exchange.book(200)
        """
    )
    _expect(_run(pytester), "`network` of tplus_trio needs trio, and another event loop*", passed=1, errors=1)


def test_a_test_that_only_a_fixtures_name_has_in_common_is_not_marked(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        import inspect
        import pytest

        @pytest.fixture
        def user():
            return "bob"

        @pytest.hookimpl(tryfirst=True)
        def pytest_pyfunc_call(pyfuncitem):
            '''A project's own way to run asynchronous tests.'''
            assert pyfuncitem.get_closest_marker("trio") is None
            if inspect.iscoroutinefunction(pyfuncitem.obj):
                with pytest.raises(StopIteration):
                    pyfuncitem.obj(user=pyfuncitem.funcargs["user"]).send(None)
                return True
        """
    )
    pytester.makepyfile("async def test_user(user):\n    assert user == 'bob'\n")
    _run(pytester).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    "override",
    [
        "def exchange(exchange):\n    exchange.add_market(7)\n    return exchange",
        "def exchange():\n    exchange = Exchange()\n    exchange.add_market(7)\n    return exchange",
        "def exchange():\n    from tplus_trio import testing\n    yield testing.Exchange()",
        "async def exchange():\n    exchange = Exchange()\n    exchange.add_market(7)\n    yield exchange",
    ],
    ids=["asks for ours", "makes an object of ours", "imports inside", "asynchronous"],
)
def test_an_override_of_ours_is_ours(pytester: pytest.Pytester, override: str) -> None:
    pytester.makepyfile(
        "import pytest\nimport trio\nfrom tplus_trio.testing import Exchange\n\n"
        f"@pytest.fixture\n{override}\n\n"
        "async def test_override(exchange):\n    await trio.sleep(0)\n    assert exchange.orders('0' * 64) == ()\n"
    )
    _run(pytester).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("test", "reason"),
    [
        ("def test_it(market_data):\n    pass", "*make the test an `async def`*"),
        (
            "@given(integers())\nasync def test_it(market_data, number):\n    pass",
            "*@given runs the test's body many times*",
        ),
        ("@pytest.mark.trio\n@pytest.mark.asyncio\nasync def test_it(network):\n    pass", "*remove its asyncio mark*"),
    ],
    ids=["not asynchronous", "given", "two marks"],
)
def test_what_cannot_work_is_explained(pytester: pytest.Pytester, test: str, reason: str) -> None:
    pytester.makepyfile(
        f"import pytest\nfrom hypothesis import given\nfrom hypothesis.strategies import integers\n\n{test}\n"
    )
    result = _run(pytester)
    _expect(result, reason, errors=1)
    result.stdout.no_fnmatch_line("*Traceback*")


def test_given_with_what_is_made_inside(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        from hypothesis import given, settings
        from hypothesis.strategies import integers
        from tplus_trio import MarketDataClient
        from tplus_trio.testing import Exchange, MemoryNetwork

        @pytest.mark.trio
        @settings(max_examples=5, deadline=None)
        @given(number=integers(0, 9))
        async def test_it(number):
            exchange = Exchange()
            exchange.add_market(number)
            async with MemoryNetwork(exchange) as network, MarketDataClient(network.url, connector=network) as client:
                assert await client.get_orderbook_snapshot(number) == exchange.book(number)
        """
    )
    _run(pytester).assert_outcomes(passed=1)


def test_given_with_our_plain_objects(pytester: pytest.Pytester) -> None:
    """Hypothesis itself refuses what is made once a test, unless its author says that this is meant."""
    pytester.makepyfile(
        """
        from hypothesis import HealthCheck, given, settings
        from hypothesis.strategies import integers

        @settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
        @given(number=integers(0, 9))
        async def test_meant(user, number):
            assert len(user.public_key) == 64

        @settings(max_examples=5)
        @given(number=integers(0, 9))
        async def test_not_meant(user, number):
            pass
        """
    )
    _expect(_run(pytester), "*unction-scoped fixture*", passed=1, failed=1)


def test_without_pytest_trio(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(OURS.replace(", autojump_clock", ""))
    _expect(_run(pytester, "-p", "no:trio"), "*`network` of tplus_trio need pytest-trio: install the extra*", errors=1)


CRASH = """
from tplus_trio import MarketDataClient, TplusError
from tplus_trio.testing import Exchange, MemoryNetwork
import pytest

@pytest.fixture
def exchange():
    exchange = Exchange()
    exchange.add_market(200)
    return exchange

def broken(request):
    raise ZeroDivisionError("a bug of the exchange")

async def ask(exchange, client):
    exchange.handle = broken
    with pytest.raises(TplusError):
        await client.get_orderbook_snapshot(200)

async def test_overridden(exchange, market_data, autojump_clock):
    await ask(exchange, market_data)

@pytest.mark.trio
async def test_by_hand(autojump_clock):
    exchange = Exchange()
    async with MemoryNetwork(exchange) as network, MarketDataClient(network.url, connector=network) as client:
        await ask(exchange, client)

async def test_expected(exchange, market_data, autojump_clock):
    await ask(exchange, market_data)
    exchange.crashes.clear()

async def test_sound(exchange, market_data, autojump_clock):
    await market_data.get_orderbook_snapshot(200)

async def test_fails_too(exchange, market_data, autojump_clock):
    await ask(exchange, market_data)
    assert not "its own failure"
"""


def test_no_crash_of_an_exchange_is_overlooked(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(CRASH)
    result = _run(pytester)
    _expect(result, "the embedded exchange failed 1 times*", passed=2, failed=3)
    result.stdout.fnmatch_lines(
        ["*ZeroDivisionError: a bug of the exchange", "*assert not*", "*Captured embedded exchange*"]
    )

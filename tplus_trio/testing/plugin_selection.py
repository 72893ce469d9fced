"""Which tests the plugin runs under trio: those with one of its fixtures, and without another event loop's mark."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any, Final

import pytest

__all__ = ["gets_fixture", "mark_for_trio", "refusal_reason"]

_PACKAGE: Final = "tplus_trio"
_PLUGIN: Final = "tplus_trio.testing.plugin"
#: Markers of plugins that run asynchronous tests themselves, and the fixture that anyio gives to its tests.
_LOOPS: Final = ("asyncio", "anyio", "curio", "tornado", "twisted", "asyncio_cooperative")
_ANYIO_FIXTURE: Final = "anyio_backend"

Fixture = pytest.FixtureDef[Any]


def mark_for_trio(item: pytest.Function) -> None:
    """Mark an asynchronous test for pytest-trio if it uses the plugin's fixtures and no other event loop."""
    if not inspect.iscoroutinefunction(_test_function(item)) or _loop_of(item) is not None:
        return
    if item.get_closest_marker("trio") is not None or not _has_pytest_trio(item.config):
        return
    if any(_is_from_this_plugin(chain) for _, chain in _chains_of(item)):
        item.add_marker(pytest.mark.trio)


def gets_fixture(item: pytest.Item, name: str) -> bool:
    """Return whether the test gets the plugin's fixture of this name, or an override of it."""
    return isinstance(item, pytest.Function) and any(
        _is_from_this_plugin(chain) for known, chain in _chains_of(item) if known == name
    )


def refusal_reason(item: pytest.Item) -> str | None:
    """Return why the test cannot work with its fixtures, in one sentence; None if it can."""
    if not isinstance(item, pytest.Function):
        return None
    of_trio = [f"`{name}`" for name, chain in _chains_of(item) if _needs_trio(chain[-1])]
    if not of_trio:
        return None
    names = ", ".join(of_trio)
    if not _has_pytest_trio(item.config):
        return f'{names} of tplus_trio need pytest-trio: install the extra "testing" of tplus-trio'
    loop, marked = _loop_of(item), item.get_closest_marker("trio") is not None
    if loop == "asyncio":
        return (
            f"{names} of tplus_trio need trio, and pytest-asyncio runs this test: remove its asyncio mark, or set "
            "asyncio_mode = strict if the mark comes from the auto mode"
        )
    if loop is not None and marked:
        return f"the marks `trio` and `{loop}` are both on this test: remove one of them"
    if not marked and loop is None:
        return f"{names} of tplus_trio need trio: make the test an `async def`"
    if hasattr(item.obj, "hypothesis"):
        return (
            f"{names} of tplus_trio are made once a test, and @given runs the test's body many times: make the "
            "exchange, the network and the clients inside the body (`async with MemoryNetwork(exchange) as network`)"
        )
    return None


def _test_function(item: pytest.Function) -> Callable[..., object]:
    """Return the function that the author wrote, without Hypothesis's wrapper."""
    hypothesis = getattr(item.obj, "hypothesis", None)
    inner: Callable[..., object] = item.obj if hypothesis is None else hypothesis.inner_test
    return inner


def _has_pytest_trio(config: pytest.Config) -> bool:
    """Return whether pytest-trio is loaded, by its entry point or by its module (``-p``)."""
    return any(config.pluginmanager.has_plugin(name) for name in ("trio", "pytest_trio.plugin"))


def _loop_of(item: pytest.Function) -> str | None:
    """Return the other event loop that the test is marked for."""
    if _ANYIO_FIXTURE in item.fixturenames:
        return "anyio"
    return next((name for name in _LOOPS if item.get_closest_marker(name) is not None), None)


def _chains_of(item: pytest.Function) -> Iterator[tuple[str, list[Fixture]]]:
    """Yield each fixture of the test by name, with its definitions from the outermost to the one in use."""
    known = item._fixtureinfo.name2fixturedefs  # pyright: ignore[reportPrivateUsage] - pytest has no public way
    for name in item.fixturenames:
        if chain := known.get(name):
            yield name, list(chain)


def _is_from_this_plugin(chain: list[Fixture]) -> bool:
    """Return whether the definition in use is the plugin's, or overrides it.

    An override requests the plugin's fixture, or uses an object of this package. A project's own fixture of the same
    name does neither.
    """
    if not any(_is_the_plugins(fixture) for fixture in chain):
        return False
    for fixture in reversed(chain):
        if _is_the_plugins(fixture) or _uses_this_package(fixture.func):
            return True
        if fixture.argname not in fixture.argnames:
            return False
    return False


def _is_the_plugins(fixture: Fixture) -> bool:
    return getattr(fixture.func, "__module__", None) == _PLUGIN


def _needs_trio(fixture: Fixture) -> bool:
    asynchronous = inspect.iscoroutinefunction(fixture.func) or inspect.isasyncgenfunction(fixture.func)
    return asynchronous and _is_the_plugins(fixture)


def _uses_this_package(function: Any) -> bool:
    """Return whether a fixture's code uses a name of this package, as one that makes an `Exchange` does."""
    code, known = getattr(function, "__code__", None), getattr(function, "__globals__", {})
    return isinstance(code, CodeType) and any(_is_of_this_package(name, known) for name in code.co_names)


def _is_of_this_package(name: str, known: dict[str, object]) -> bool:
    value = known.get(name)
    home = getattr(value, "__module__", None) or getattr(value, "__name__", None) or ""
    return name.partition(".")[0] == _PACKAGE or (isinstance(home, str) and home.partition(".")[0] == _PACKAGE)

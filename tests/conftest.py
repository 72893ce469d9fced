"""How the tests run: the same way each time, unless told to look further.

``pytest --hypothesis-profile=search`` draws new cases in every run, and prints what replays a failing one.
"""

from __future__ import annotations

import gc
import signal

import pytest
from hypothesis import settings

settings.register_profile("fixed", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("search", derandomize=False, deadline=None, print_blob=True)
settings.load_profile("fixed")


def pytest_configure(config: pytest.Config) -> None:
    """Prepare each process that runs tests.

    With several workers, let those that are done take over from those that are not: some tests take seconds.
    A shell starts its background jobs with SIGINT ignored; the tests of Ctrl-C would wait for ever in such a job.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if getattr(config.option, "dist", "no") == "load":
        config.option.dist = "worksteal"


def pytest_collection_finish() -> None:
    """The thousands of tests stay to the end: spare the garbage collector from looking through them in each."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def pytester(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """pytest runs inside tests: they load pytest-asyncio, which warns unless this option of its own is set."""
    monkeypatch.setenv("PYTEST_ADDOPTS", "-o asyncio_default_fixture_loop_scope=function")
    return pytester

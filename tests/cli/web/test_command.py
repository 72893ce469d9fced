"""``book --web``: its options, what it prints, and how it ends."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from importlib.util import find_spec

import httpx
import pytest

from tests.helpers.commands import end, line, started
from tplus_trio.cli import book as books
from tplus_trio.cli import main

CLI = ("-m", "tplus_trio")


@pytest.fixture(scope="module")
def exchange_url() -> Iterator[str]:
    with started(*CLI, "exchange", "--port", "0") as process:
        yield line(process)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_a_signal(exchange_url: str, signum: signal.Signals) -> None:
    with started(*CLI, "book", "200", "--url", exchange_url, "--web", "--port", "0") as process:
        printed = line(process)
        found = re.fullmatch(r"(http://127\.0\.0\.1:\d+)  shows the book 200 .*; Ctrl-C ends", printed)
        assert found, printed
        with httpx.Client(base_url=found[1], trust_env=False) as browser:
            assert "<title>" in browser.get("/").text
            state = browser.get("/state").json()
            ended = end(process, signum)
    assert (state["market"], len(state["book"]["bids"])) == ("200", 15)
    assert (ended.status, ended.err, ended.out) == (130, "", "")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("book 200 --port 80", "--port applies to the page"),
        ("book 200 --web --plain", "--web prints no lines"),
        ("book 200 --web --count 3", "--web prints no lines"),
        ("book 200 --web --port 65536", "65536 is not in the range"),
    ],
)
def test_what_is_not_understood(capfd: pytest.CaptureFixture[str], arguments: str, reason: str) -> None:
    assert main(arguments.split()) == 2
    assert reason in capfd.readouterr().err


@pytest.mark.parametrize("missing", ["starlette", "hypercorn", "plotly"])
def test_a_missing_package(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setattr(books, "find_spec", lambda name: None if name == missing else find_spec(name))
    assert main(["book", "200", "--web"]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err == ('tplus-trio: the page needs starlette, hypercorn and plotly: pip install "tplus_trio[web]"\n')
